"""Where data sets of others lie: never part of the project, tests skip without them."""

from __future__ import annotations

import pytest

from benchmarks.data import data_folder

__all__ = ["data_folder", "needs_data"]


def needs_data(name: str) -> pytest.MarkDecorator:
    """Skip a test where the data set `name` is absent."""
    folder = data_folder() / name
    return pytest.mark.skipif(not folder.is_dir(), reason=f"no data in {folder}; set DNNPLAN_DATA")
