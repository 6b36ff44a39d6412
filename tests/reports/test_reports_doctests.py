"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "dnnplan.reports.units",
        "dnnplan.reports.gantt_text",
        "dnnplan.costs.explain",
        "dnnplan.instances.loading",
    ],
)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
