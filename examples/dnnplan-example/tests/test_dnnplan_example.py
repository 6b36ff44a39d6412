"""The plug-ins as users meet them: by name, through dnnplan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dnnplan
from dnnplan.costs.filled import read_costs
from dnnplan.instances import InputError
from dnnplan.instances.formats import describe_formats, write_with
from dnnplan.solvers import solver_names
from dnnplan.solvers.conformance import check_solver

EDGES = "conv relu 4096\nrelu pool 4096\nconv pool 100\n"


def test_the_solver_does_what_solvers_have_to_do() -> None:
    assert "example_restarts" in solver_names()
    assert check_solver("example_restarts") == ()


def test_the_solver_finds_the_optimum_of_a_small_instance() -> None:
    result = dnnplan.solve(dnnplan.load("tiny/hand"), "example_restarts", time_limit=None, work_limit=0.5)
    assert result.valid
    assert result.objective.value == pytest.approx(0.013)


def test_the_format_is_recognised_read_and_written(tmp_path: Path) -> None:
    assert "example-edges" in [row.name for row in describe_formats()]
    path = tmp_path / "net.edges"
    path.write_text(EDGES)
    network = dnnplan.load(path, platform="phone-soc")
    assert [layer.name for layer in network.models[0].layers] == ["conv", "relu", "pool"]
    write_with(network, tmp_path / "again.edges", "example-edges")
    assert (tmp_path / "again.edges").read_text() == EDGES
    path.write_text("conv relu many\n")
    with pytest.raises(InputError, match="line 1"):
        dnnplan.load(path, platform="phone-soc")


def test_the_source_of_costs_fills_costs_json(tmp_path: Path) -> None:
    entry = {"kind": "example-per-layer", "seconds": 1e-3, "operators": {"Conv": 2e-3}}
    file = tmp_path / "costs.json"
    file.write_text(json.dumps({"format_version": "1.0", "devices": {"*": entry}}))
    model = dnnplan.load("tiny/hand").models[0]
    costs = read_costs(tmp_path)["*"].layer_costs(model, (1, 2))
    assert costs.seconds.shape == (len(model.layers), 2)
    assert (costs.seconds[:, 1] == 2 * costs.seconds[:, 0]).all()
    file.write_text(
        json.dumps({"format_version": "1.0", "devices": {"*": {**entry, "seconds": "x", "y": 1}}})
    )
    with pytest.raises(InputError) as caught:
        read_costs(tmp_path)
    assert {problem.path for problem in caught.value.problems} == {'devices["*"].seconds', 'devices["*"].y'}
