"""The examples in the docstrings of files, validation, graphs and tables run."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "graphs",
    "cost_tables",
    "json_text",
    "yaml_text",
    "objective",
    "schema",
    "wording",
    "validation",
    "validation.cycles",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"dnnplan.instances.{name}"))
    assert outcome.failed == 0
    assert outcome.attempted > 0
