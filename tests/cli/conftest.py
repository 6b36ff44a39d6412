"""Running the command line inside the test process."""

from __future__ import annotations

import cli_solvers
import pytest
from typer.testing import CliRunner

from dnnplan.cli.app import app
from dnnplan.solvers import registry

HAND_PLAN = """{"format_version": "1.0",
"placement": {"hand/0/stem": "npu", "hand/0/left": "npu", "hand/0/right": "cpu", "hand/0/join": "npu",
"hand/0/head": "npu", "hand/0/score": "cpu"},
"order": {"cpu": ["hand/0/right", "hand/0/score"],
"npu": ["hand/0/stem", "hand/0/left", "hand/0/join", "hand/0/head"]}}
"""
"""A plan of tiny/hand that takes 14 ms."""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that runs the command line in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    solvers = dict(registry.REGISTRY)
    monkeypatch.setattr(registry, "REGISTRY", solvers)
    monkeypatch.setitem(registry.PROBLEMS, "mapping", solvers)
    cli_solvers.register()
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})

    def invoke(*arguments: str, stdin: bytes | None = None):
        return runner.invoke(app, list(arguments), input=stdin, catch_exceptions=False)

    return invoke


@pytest.fixture
def hand_plan(tmp_path):
    """A file with a plan of tiny/hand."""
    path = tmp_path / "hand-plan.json"
    path.write_text(HAND_PLAN)
    return str(path)
