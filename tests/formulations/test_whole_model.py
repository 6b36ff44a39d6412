"""The model of whole plans, constraint by constraint, and against task graphs one by one and all plans there are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from ortools.sat.python import cp_model

from dnnplan.costs import Decisions
from dnnplan.costs.sharing.graph import Groups, canonical_groups
from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.formulations.whole.bounds import cheapest, quick_bound
from dnnplan.formulations.whole.copies import supports
from dnnplan.formulations.whole.cpsat import build, extract, hint
from dnnplan.formulations.whole.cpsat.parts import part_of_model
from dnnplan.formulations.whole.task_graphs import (
    classes_of,
    count_graphs,
    kept_graphs,
    partitions_of,
    refinements_of,
    shape_of,
    siblings,
)
from dnnplan.instances import Limits, UnsupportedError
from dnnplan.instances.generators import whole_instance
from dnnplan.instances.platform import Execution
from dnnplan.solvers.lists.constructive import single_device
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.whole.cpsat import CpSat
from dnnplan.solvers.whole.exact import solve_whole_exactly
from dnnplan.solvers.whole.start import propose_lists
from dnnplan.solvers.whole.task_graphs import TaskGraphs
from tests.support.task_oracles import task_graphs
from tests.support.two_tasks import APART, TOGETHER, D, E, two
from tests.support.whole_oracles import best_whole, random_whole
from tests.support.whole_settings import KINDS, MODELLED, whole_setting


def least(
    problem: WholeProblem, groups: Groups, place: dict[tuple[int, int], int] | None = None, **changes: Any
) -> float | None:
    """Least value with the task graph fixed, and devices by (block, task); None if there is none."""
    v = build(problem, 1.0, **changes)
    assert v is not None
    for level, row in enumerate(v.graph.apart):
        for pair, apart in row.items():
            v.model.add(apart == int(not any(set(pair) <= set(group) for group in groups[level])))
    for (block, task), device in (place or {}).items():
        for copy in v.copies.cells[block][task]:
            v.model.add(v.x[copy][device] == 1)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if solver.solve(v.model) != cp_model.OPTIMAL:
        return None
    value = solver.objective_value * v.unit + v.constant
    found, decisions = extract(v, solver.value)
    assert found == groups
    judged = problem.judge((found, decisions))
    assert judged.feasible
    assert judged.value <= value + 1e-6 * abs(value) + 1e-6
    return float(value)


# -- constraints, each where it binds and where it does not -----------------------------------------------------


def test_a_shared_block_runs_once_and_one_that_is_apart_twice() -> None:
    """All on d: 4 + 2 + 3 + 3 s, and 2 s more for the second copy."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    assert least(two(), TOGETHER, on_d) == pytest.approx(12)
    assert least(two(), APART, on_d) == pytest.approx(14)


def test_readers_of_a_shared_block_wait_for_the_copy_that_stands_for_theirs() -> None:
    """Head of the second task on e: b on d ends at 6, its tensor is there at 7; without a transfer at 6."""
    place = {(0, 0): D, (1, 0): D, (2, 0): D, (2, 1): E}
    assert least(two(), TOGETHER, place) == pytest.approx(10)
    assert least(two(size=0), TOGETHER, place) == pytest.approx(9)


def test_a_task_may_not_have_its_shared_block_elsewhere() -> None:
    """The second task's b is where that of the first one is, if they share it."""
    place = {(1, 0): D, (1, 1): E}
    assert least(two(), TOGETHER, place) is None
    assert least(two(), APART, place) is not None


def test_costs_of_a_shared_block_are_those_of_its_first_task() -> None:
    """The second task's own b takes 7 s, its shared one 2 s."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    assert least(two(own={"b": 7.0}), TOGETHER, on_d) == pytest.approx(12)
    assert least(two(own={"b": 7.0}), APART, on_d) == pytest.approx(19)


def test_devices_run_one_call_a_slot() -> None:
    """Two slots: both chains beside each other, 4 + 2 + 3 s."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    assert least(two(slots=2), APART, on_d) == pytest.approx(9)
    assert least(two(slots=1), APART, on_d) == pytest.approx(14)


def test_layers_start_after_their_release() -> None:
    """Five seconds later."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    assert least(two(release=5), TOGETHER, on_d) == pytest.approx(17)


def test_weights_of_copies_that_are_there_fit() -> None:
    """Four nodes of 2 bytes fit into 8 bytes of one device, five do not."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    assert least(two(memory=8), TOGETHER, on_d) == pytest.approx(12)
    assert least(two(memory=8), APART, on_d) is None
    assert least(two(memory=10), APART, on_d) == pytest.approx(14)


def test_a_transfer_serves_all_readers_on_a_device() -> None:
    """Both heads on e read the shared b from d: one transfer of 5 bytes, 10 J, beside the seconds of the devices."""
    place = {(0, 0): D, (1, 0): D, (2, 0): E, (2, 1): E}
    assert least(two(objective="energy", size=5), TOGETHER, place) == pytest.approx(4 + 2 + 3 * 6 + 10)
    place = {(0, 0): D, (1, 0): D, (1, 1): D, (2, 0): E, (2, 1): E}
    assert least(two(objective="energy", size=5), APART, place) == pytest.approx(4 + 4 + 3 * 6 + 20)
    assert least(two(objective="traffic", size=5), APART, place) == pytest.approx(10)


def test_transfers_on_one_channel_do_not_overlap() -> None:
    """Two tensors of 6 bytes from d to e, ready at 6 and 8 s: with queues the second one leaves at 12."""
    place = {(0, 0): D, (1, 0): D, (1, 1): D, (2, 0): E, (2, 1): E}
    queued = two(size=6, execution=Execution(contention="links"))
    assert least(two(size=6), APART, place) == pytest.approx(18)
    assert least(queued, APART, place) == pytest.approx(21)


def test_a_shared_tensor_is_sent_once_over_a_channel() -> None:
    """One transfer of 6 s for both heads."""
    place = {(0, 0): D, (1, 0): D, (2, 0): E, (2, 1): E}
    queued = two(size=6, execution=Execution(contention="links"))
    assert least(queued, TOGETHER, place) == pytest.approx(6 + 6 + 3 + 3)


def test_outputs_go_to_the_host_and_inputs_come_from_it() -> None:
    """One second each, and both outputs queue on one bus."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    resident = Execution(weights="resident")
    assert least(two(host=True, execution=resident), TOGETHER, on_d) == pytest.approx(1 + 12 + 1)
    place = {(0, 0): D, (1, 0): D, (2, 0): D, (2, 1): E}
    queued = Execution(weights="resident", contention="links")
    assert least(two(host=True, execution=resident), TOGETHER, place) == pytest.approx(1 + 6 + 1 + 3 + 1)
    assert least(two(host=True, execution=queued), TOGETHER, place) == pytest.approx(1 + 6 + 1 + 3 + 1)


def test_streamed_weights_lengthen_calls() -> None:
    """Two bytes take 2 s: less than any layer; at 7 bytes a layer they are what counts."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    streamed = Execution(weights="streamed")
    problem = two(host=True, execution=streamed)
    assert least(problem, TOGETHER, on_d) == pytest.approx(14)
    models = tuple(
        replace(model, layers=tuple(replace(layer, weight_bytes=7) for layer in model.layers))
        for model in problem.instance.models
    )
    heavy = whole_problem(replace(problem.instance, models=models))
    assert least(heavy, TOGETHER, on_d) == pytest.approx(1 + 4 * 7 + 1)


def test_what_is_pinned_is_chosen_where_there_is_room_for_some() -> None:
    """Layers of 7 bytes: one of them fits, and saves 7 s for its own time, least for b."""
    on_d = {(b, t): D for b in range(3) for t in range(2)}
    problem = two(host=True, memory=7, execution=Execution(weights="choice", memory="static"))
    models = tuple(
        replace(model, layers=tuple(replace(layer, weight_bytes=7) for layer in model.layers))
        for model in problem.instance.models
    )
    heavy = whole_problem(replace(problem.instance, models=models))
    assert least(heavy, TOGETHER, on_d) == pytest.approx(1 + 3 * 7 + 2 + 1)


def test_limits_of_both_kinds_are_kept() -> None:
    """Variety of 0.5 if the tasks share; a limit on latency below 12 s needs both devices; one on energy forbids e."""
    assert least(two(limits=Limits(variety=0.4)), TOGETHER) is None
    assert least(two(limits=Limits(variety=0.5)), TOGETHER) == pytest.approx(10)
    assert least(two(objective="energy", limits=Limits(latency=11)), TOGETHER) == pytest.approx(6 + 3 + 9 + 2)
    assert least(two(limits=Limits(energy=12)), TOGETHER) == pytest.approx(12)
    assert least(two(limits=Limits(size=9)), APART) is None
    assert least(two(limits=Limits(deadline=9)), TOGETHER) is None


def test_objectives_of_both_kinds_add_up() -> None:
    """Latency, and 8 s for each variety: 10 + 4 together, 9 + 2 apart with one b on e after its tensor."""
    problem = two(objective="latency=1,variety=8")
    assert least(problem, TOGETHER) == pytest.approx(14)
    assert least(problem, APART) == pytest.approx(10)


def test_a_plan_is_a_feasible_hint() -> None:
    """All that is hinted can be fixed, at the value of the plan."""
    for kind in ("plain", "own", "levels"):
        problem = whole_problem(replace(whole_setting(kind, 3), objective="latency", limits=Limits()))
        for groups in task_graphs((0, 1), problem.levels):
            search = TaskSearch(problem, Settings(time_limit=5))
            propose_lists(problem, search, groups)
            assert search.best is not None
            v = build(problem, 1.0, proofs=False)
            assert v is not None
            assert hint(v, groups, search.best.decisions.evaluation.decisions)
            for index, value in zip(
                v.model.proto.solution_hint.vars, v.model.proto.solution_hint.values, strict=True
            ):
                v.model.add(v.model.get_int_var_from_proto_index(index) == value)
            solver = cp_model.CpSolver()
            assert solver.solve(v.model) == cp_model.OPTIMAL
            assert solver.objective_value * v.unit == pytest.approx(search.value)


def test_a_part_of_the_model_changes_free_tasks_alone() -> None:
    """With no task free the plan stays as it is; with all of them free the best one is found."""
    problem = two()
    search = TaskSearch(problem, Settings(time_limit=5))
    on_d = _all_on_d(problem)
    assert search.propose((APART, on_d))
    v = build(problem, 1.0, proofs=False)
    assert v is not None
    for free, value in (((), 14.0), ((0, 1), 10.0)):
        model = part_of_model(v, search.best.decisions, free, None)  # type: ignore[union-attr]
        solver = cp_model.CpSolver()
        assert solver.solve(model) == cp_model.OPTIMAL
        assert solver.objective_value == pytest.approx(value)


def _all_on_d(problem: WholeProblem) -> Decisions:
    return single_device(problem.mapping(APART), D)


# -- what the model covers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "word"),
    [
        (two(execution=Execution(overlap=False)), "wait"),
        (two(host=True, execution=Execution(staging="host")), "host"),
        (two(memory=9, execution=Execution(memory="live")), "moment"),
        (two(host=True, execution=Execution(contention="links", weights="streamed")), "loaded"),
        (two(objective="max_load"), "objective"),
        (two(limits=Limits(switches=1)), "limit"),
    ],
)
def test_what_the_model_does_not_cover_is_refused(problem: WholeProblem, word: str) -> None:
    """With the reason."""
    assert word in (supports(problem) or "")
    with pytest.raises(UnsupportedError, match=word):
        CpSat().run(problem, TaskSearch(problem, Settings(time_limit=1)))
    assert supports(two()) is None


# -- task graphs ----------------------------------------------------------------------------------------------


def test_all_task_graphs_are_listed_once() -> None:
    """As many as are counted, and the same as another way to list them."""
    assert len(list(partitions_of((0, 1, 2, 3)))) == 15
    assert len(refinements_of(((0, 1, 2), (3,)))) == 5
    for n, levels in ((2, 2), (3, 2), (4, 1)):
        instance = replace(whole_instance(n, levels + 2, 2, seed=1), limits=Limits())
        grouping = whole_problem(instance).grouping
        assert grouping is not None
        found = kept_graphs(grouping)
        assert sorted(found) == sorted(map(canonical_groups, task_graphs(tuple(range(n)), levels)))
        assert len(found) == len(set(found)) == count_graphs(n, levels)


def test_limits_on_task_graphs_are_kept_when_they_are_listed() -> None:
    """Exactly those that the measures allow."""
    grouping = whole_problem(whole_instance(3, 4, 2, seed=4, variety=0.4)).grouping
    assert grouping is not None
    wanted = [
        g for g in task_graphs((0, 1, 2), 2) if grouping.measures(g)["variety"] <= grouping.limits["variety"]
    ]
    assert sorted(kept_graphs(grouping)) == sorted(map(canonical_groups, wanted))
    assert 0 < len(wanted) < count_graphs(3, 2)


def test_task_graphs_of_one_shape_leave_equal_mappings() -> None:
    """Exchanging equal tasks changes nothing; a task of its own costs is another matter."""
    problem = whole_problem(replace(whole_instance(3, 4, 2, seed=4), limits=Limits()))
    assert classes_of(problem) == (0, 0, 0)
    by_shape: dict[object, list[Groups]] = {}
    for groups in task_graphs((0, 1, 2), 2):
        by_shape.setdefault(shape_of(groups, (0, 0, 0)), []).append(groups)
    assert len(by_shape) < count_graphs(3, 2)
    for members in by_shape.values():
        views = [problem.mapping(groups) for groups in members]
        assert len({view.n for view in views}) == 1
        assert all(
            np.allclose(np.sort(v.duration, axis=0), np.sort(views[0].duration, axis=0)) for v in views
        )
    assert classes_of(two(own={"b": 7.0})) == (0, 1)


def test_equal_trees_below_one_node_are_found() -> None:
    """Both tasks' chains behind the stem where nothing is shared, both heads where the block is."""
    problem = two()
    cells = problem.layers(APART)
    assert siblings(problem, APART, (0, 0)) == [[cells[1][0][0], cells[1][1][0]]]
    cells = problem.layers(TOGETHER)
    assert siblings(problem, TOGETHER, (0, 0)) == [[cells[2][0][0], cells[2][1][0]]]
    assert siblings(problem, TOGETHER, (0, 1)) == []


# -- values and bounds ----------------------------------------------------------------------------------------


def solved(solver: Any, problem: WholeProblem) -> TaskSearch[WholeProblem]:
    """A search through to its end."""
    search = TaskSearch(problem, Settings(time_limit=30, workers=1))
    solver.run(problem, search)
    assert search.proved
    return search


@pytest.mark.parametrize("kind", KINDS)
def test_both_exact_methods_and_exhaustion_agree(kind: str) -> None:
    """Values, bounds, and whether there is any plan, with two tasks."""
    for seed in (0, 1, 2, 3):
        problem = first_stage(whole_problem(whole_setting(kind, seed)))
        best = best_whole(problem)
        quick = quick_bound(problem).value
        assert best is None or quick <= best * (1 + 1e-9)
        for solver in (TaskGraphs(), CpSat()) if kind in MODELLED else (TaskGraphs(),):
            search = solved(solver, problem)
            assert (search.value is None) == (best is None)
            if best is not None:
                assert search.value == pytest.approx(best, rel=2e-4, abs=1e-9)
                assert search.bound is not None
                assert search.bound <= best * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_three_tasks_agree_with_exhaustion(seed: int) -> None:
    """One branch point, five task graphs."""
    problem = first_stage(whole_problem(random_whole(seed, tasks=3)))
    best = best_whole(problem)
    search = TaskSearch(problem, Settings(time_limit=30, workers=2))
    solve_whole_exactly(problem, search)
    assert search.proved
    assert best is None if search.value is None else search.value == pytest.approx(best, rel=2e-4)


def first_stage(problem: WholeProblem) -> WholeProblem:
    """The problem of the first stage of its objective."""
    return dataclasses.replace(problem, stages=problem.stages[:1])


def test_four_tasks_by_six_blocks_are_proven_both_ways() -> None:
    """Equal values; the bound is not above them."""
    problem = whole_problem(whole_instance(4, 6, 3, seed=5))
    values = [solved(solver, problem).value for solver in (TaskGraphs(), CpSat())]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert quick_bound(problem).value <= quick_bound(problem, strong=True).value <= (values[0] or 0)


def test_the_bound_on_work_sees_limits_on_variety() -> None:
    """Without any variety nothing is shared: the work of all copies counts, not only that of one."""
    free = whole_problem(whole_instance(4, 8, 2, seed=2, variety=1.0, layers=2))
    tight = whole_problem(whole_instance(4, 8, 2, seed=2, variety=0.0, layers=2))
    assert quick_bound(tight).value > 1.3 * quick_bound(free).value
    assert cheapest(tight).n < tight.mapping(tight.apart).n


def test_a_limit_that_no_plan_keeps_is_infeasible() -> None:
    """Nothing may be shared, and there is no room for that."""
    problem = two(memory=4, limits=Limits(variety=0.4))
    for solver in (TaskGraphs(), CpSat()):
        search = solved(solver, problem)
        assert search.infeasible


def test_work_limits_make_runs_repeatable() -> None:
    """The same history of values twice, with one thread and a limit on work."""
    problem = whole_problem(whole_instance(3, 4, 2, seed=3))
    runs = []
    for _ in range(2):
        search = TaskSearch(problem, Settings(time_limit=None, work_limit=0.1, workers=1, seed=4))
        TaskGraphs().run(problem, search)
        runs.append([value for _, value, _ in search.history])
    assert runs[0] == runs[1]
