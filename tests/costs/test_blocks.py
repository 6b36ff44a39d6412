"""Networks in blocks: nothing is lost, and the bundled scenarios are what their builder makes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks import rate_scenarios
from dnnplan.costs import mapping_problem
from dnnplan.costs.blocks import in_blocks
from dnnplan.instances import Task, UnsupportedError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered
from dnnplan.instances.validation import ensure_valid
from dnnplan.solvers import solve


@pytest.mark.parametrize("most", [1, 4, 9])
def test_blocks_take_the_time_and_weights_of_their_layers(most):
    whole = layered(layers=30, devices=3, seed=2)
    blocks = in_blocks(whole, most)
    ensure_valid(blocks)
    fine, coarse = mapping_problem(whole), mapping_problem(blocks)
    assert coarse.n == most
    assert np.allclose(fine.duration.sum(axis=0), coarse.duration.sum(axis=0))
    assert np.allclose(fine.energy.sum(axis=0), coarse.energy.sum(axis=0))
    assert fine.weight_bytes.sum() == coarse.weight_bytes.sum()
    assert sum(layer.attributes["layers"] for layer in blocks.models[0].layers) == 30


def test_a_plan_of_blocks_is_a_plan():
    result = solve(in_blocks(layered(layers=30, devices=3, seed=2), 6), "heft", time_limit=10)
    assert result.valid


def test_layers_that_run_elsewhere_are_not_joined():
    whole = layered(layers=30, devices=3, seed=2, restrict=0.3)
    fine = mapping_problem(whole)
    coarse = mapping_problem(in_blocks(whole, 2))
    changes = sum(
        fine.allowed[a] != fine.allowed[b]
        for a, b in zip(fine.topological, fine.topological[1:], strict=False)
    )
    assert coarse.n == changes + 1
    assert set(coarse.allowed) == set(fine.allowed)


def test_batches_and_nonsense_are_refused():
    whole = layered(layers=5, devices=2, seed=0)
    with pytest.raises(UnsupportedError, match="at least 1"):
        in_blocks(whole, 0)
    with pytest.raises(UnsupportedError, match="batch"):
        in_blocks(replace(whole, tasks=(Task(name="t", model=whole.models[0].name, batch=2),)), 2)


@pytest.mark.parametrize("name", rate_scenarios.SCENARIOS)
def test_bundled_scenarios_are_what_their_builder_makes(name):
    pytest.importorskip("onnx")
    built, bundled = rate_scenarios.build(name), load_bundled(f"rates/{name}")
    one, other = (mapping_problem(instance) for instance in (built, bundled))
    assert one.layers == other.layers
    assert np.allclose(one.duration, other.duration, rtol=1e-9)
    assert np.allclose(one.size, other.size)
    assert [dataclasses.astuple(job) for job in one.jobs] == [dataclasses.astuple(job) for job in other.jobs]
