"""The CP-SAT solver: repeatable by work, stage by stage, and on identical devices."""

from __future__ import annotations

import json

import pytest

import dnnplan
from dnnplan.costs import decisions_of, evaluate, mapping_problem
from dnnplan.formulations.mapping.symmetry import named_in_order, symmetry_of, without_copies
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, Tensor
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered
from dnnplan.solvers import solve
from tests.support.data import data_folder, needs_data


def fork(*, devices: int, children: int = 4) -> Instance:
    """A layer of 2 s with several readers of 3 s, on copies of one device a second away from each other."""
    names = [f"c{i}" for i in range(children)]
    copies = [f"d.{i}" for i in range(devices)]
    return Instance(
        platform=Platform(
            devices=(Device(name="d", count=devices),),
            links=(Link(name="bus", source="d", target="d", bandwidth=1),),
        ),
        models=(
            Model(
                name="m",
                layers=(Layer(name="root"), *(Layer(name=name) for name in names)),
                tensors=(Tensor(name="t", source="root", targets=tuple(names), bytes=1),),
            ),
        ),
        costs=Costs(
            latency={
                "m": {
                    "root": dict.fromkeys(copies, 2.0),
                    **{name: dict.fromkeys(copies, 3.0) for name in names},
                }
            }
        ),
    )


def test_the_same_work_gives_the_same_history() -> None:
    instance = layered(layers=40, devices=4, seed=2)
    runs = [solve(instance, "cpsat", time_limit=None, work_limit=0.3, workers=1) for _ in range(2)]
    histories = [[(value, bound) for _, value, bound in run.history] for run in runs]
    assert histories[0] == histories[1]
    assert len(histories[0]) > 3
    assert runs[0].plan == runs[1].plan
    assert runs[0].stop_reason == "work_limit"


@pytest.mark.parametrize("solver", ["cpsat", "milp"])
def test_a_stage_of_several_terms_is_kept_by_the_next_one(solver: str) -> None:
    instance = load_bundled("tiny/hand")
    first = solve(instance, solver, objective="latency=1,energy=0.2", time_limit=20)
    both = solve(instance, solver, objective="latency=1,energy=0.2>traffic", time_limit=20)
    assert both.status == "optimal"
    assert both.objective.value == pytest.approx(first.objective.value, rel=1e-6)
    assert both.cost is not None
    assert first.cost is not None
    assert both.cost.traffic <= first.cost.traffic


def test_copies_of_a_device_are_identical_until_a_layer_is_tied_to_one() -> None:
    problem = mapping_problem(fork(devices=3))
    symmetry = symmetry_of(problem)
    assert symmetry.classes == ((0, 1, 2),)
    assert symmetry.order[0] == 0  # the root: everything goes to its readers
    assert without_copies(problem, symmetry).allowed[0] == (0,)
    tied = fork(devices=3)
    tied.costs.latency["m"]["c1"]["d.1"] = 4.0
    assert symmetry_of(mapping_problem(tied)).classes == ((0, 2),)


def test_devices_with_other_routes_are_not_identical() -> None:
    problem = mapping_problem(layered(layers=6, devices=3, seed=1))
    assert symmetry_of(problem).classes == ()


def test_renaming_identical_devices_keeps_the_cost() -> None:
    problem = mapping_problem(fork(devices=3))
    decisions = decisions_of(problem, [2, 2, 1, 0, 1], [[3], [2, 4], [0, 1]])
    renamed = named_in_order(symmetry_of(problem), decisions)
    assert renamed.place == [0, 0, 1, 2, 1]
    assert renamed.order == [[0, 1], [2, 4], [3]]
    assert evaluate(problem, renamed).cost.latency == evaluate(problem, decisions).cost.latency


def test_identical_devices_are_used_as_well_as_different_names_allow() -> None:
    """Root 0-2, children beside it from 2, elsewhere from 3: two and two to 9; two, one, one to 8; all apart to 6."""
    for devices, optimum in ((2, 9.0), (3, 8.0), (4, 6.0)):
        result = solve(fork(devices=devices), "cpsat", time_limit=20, workers=1)
        assert (result.status, result.objective.value) == ("optimal", optimum)


@needs_data("sched")
@pytest.mark.parametrize(
    "name", ["2p_Fork_Nodes_30_CCR_0.10", "4p_Join_Nodes_30_CCR_2.00", "2p_Fork_Nodes_21_CCR_0.96"]
)
def test_forks_and_joins_on_identical_processors_are_proven(name: str) -> None:
    """Without the names of processors in order, and the work that follows each arrival, minutes are not enough."""
    path = data_folder() / "sched" / "auckland" / f"{name}_WeightType_Random.json"
    result = solve(dnnplan.load(path), "cpsat", time_limit=60, workers=1)
    assert result.status == "optimal"
    assert result.objective.value == json.loads(path.read_text())["optimum"]
