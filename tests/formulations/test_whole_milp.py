"""The MILP of whole plans: each kind of row by hand, and against CP-SAT and all plans there are."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.formulations.whole.milp import Variables, build, constraints, extract, supports
from dnnplan.instances import Limits, UnsupportedError
from dnnplan.instances.generators import whole_instance
from dnnplan.instances.platform import Execution
from dnnplan.solvers.exact.highs import run_highs
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.whole.milp import Milp
from dnnplan.solvers.whole.task_graphs import TaskGraphs
from tests.support.two_tasks import APART, TOGETHER, D, E, two
from tests.support.whole_oracles import best_whole, random_whole
from tests.support.whole_settings import KINDS, whole_setting

COVERED = [kind for kind in KINDS[:-2] if kind not in ("links", "choice", "outputs")]
ON_D = {(b, t): D for b in range(3) for t in range(2)}
SPLIT = {(0, 0): D, (1, 0): D, (2, 0): D, (2, 1): E}
HEADS_ON_E = {(0, 0): D, (1, 0): D, (1, 1): D, (2, 0): E, (2, 1): E}
RESIDENT = Execution(weights="resident")


def least(
    problem: WholeProblem, groups: Groups, place: dict[tuple[int, int], int] | None = None
) -> float | None:
    """Least value with the task graph fixed, and devices by (block, task); None if there is none."""
    v = build(problem)
    assert v is not None
    for level, row in enumerate(v.graph.apart):
        for pair, apart in row.items():
            v.model.addConstraint(apart == int(not any(set(pair) <= set(group) for group in groups[level])))
    for (block, task), device in (place or {}).items():
        for copy in v.copies.cells[block][task]:
            v.model.addConstraint(v.x[copy][device] == 1)
    found: list[dict[str, float]] = []
    outcome = run(v, found)
    if outcome.status != "optimal":
        assert outcome.status == "infeasible"
        return None
    value = outcome.bound * v.graph.unit + v.graph.constant
    graph, decisions = extract(v, found[-1])
    assert graph == groups
    judged = problem.judge((graph, decisions))
    assert judged.feasible
    # The model says what the plan costs: neither more nor less.
    assert judged.value == pytest.approx(value, rel=1e-6)
    return float(value)


def run(v: Variables, found: list[dict[str, float]]) -> Any:
    """HiGHS to the end."""
    return run_highs(
        v.model,
        time_limit=20,
        gap=0.0,
        threads=1,
        seed=0,
        presolve=True,
        on_solution=found.append,
        on_bound=lambda bound: None,
        stop=lambda: False,
    )


@pytest.mark.parametrize(
    ("problem", "groups", "place", "value"),
    [
        # A shared block runs once, one that is apart twice.
        (two(), TOGETHER, ON_D, 12),
        (two(), APART, ON_D, 14),
        # Readers of a shared block wait for its copy and for its tensor.
        (two(), TOGETHER, SPLIT, 10),
        (two(size=0), TOGETHER, SPLIT, 9),
        # A task does not have its shared block elsewhere.
        (two(), TOGETHER, {(1, 0): D, (1, 1): E}, None),
        (two(), APART, {(1, 0): D, (1, 1): E}, 10),
        # A shared block costs what it costs its first task.
        (two(own={"b": 7.0}), TOGETHER, ON_D, 12),
        (two(own={"b": 7.0}), APART, ON_D, 19),
        # Two slots run both chains beside each other; releases shift all.
        (two(slots=2), APART, ON_D, 9),
        (two(release=5), TOGETHER, ON_D, 17),
        # Four nodes of 2 bytes fit into 8 bytes, five do not.
        (two(memory=8), TOGETHER, ON_D, 12),
        (two(memory=8), APART, ON_D, None),
        (two(memory=10), APART, ON_D, 14),
        # A transfer of 5 bytes, 10 J, serves all readers on a device; copies that are apart send their own.
        (two(objective="energy", size=5), TOGETHER, HEADS_ON_E, 4 + 2 + 3 * 6 + 10),
        (two(objective="energy", size=5), APART, HEADS_ON_E, 4 + 4 + 3 * 6 + 20),
        (two(objective="traffic", size=5), TOGETHER, HEADS_ON_E, 5),
        (two(objective="traffic", size=5), APART, HEADS_ON_E, 10),
        # Inputs come from the host and outputs go there, a second each; without queues both outputs at once.
        (two(host=True, execution=RESIDENT), TOGETHER, ON_D, 14),
        (two(host=True, execution=RESIDENT), TOGETHER, SPLIT, 12),
        # One input and two outputs of a byte.
        (two(host=True, execution=RESIDENT, objective="traffic"), TOGETHER, ON_D, 3),
        (two(host=True, execution=Execution(weights="streamed")), TOGETHER, ON_D, 14),
        # Limits of both kinds.
        (two(limits=Limits(variety=0.4)), TOGETHER, None, None),
        (two(limits=Limits(variety=0.5)), TOGETHER, None, 10),
        (two(limits=Limits(task_variety=0.4)), TOGETHER, None, None),
        (two(limits=Limits(size=9)), APART, None, None),
        (two(limits=Limits(size=10)), APART, ON_D, 14),
        (two(limits=Limits(deadline=9)), TOGETHER, None, None),
        (two(limits=Limits(energy=12)), TOGETHER, None, 12),
        (two(objective="energy", limits=Limits(latency=11)), TOGETHER, None, 6 + 3 + 9 + 2),
        # Sums of both kinds.
        (two(objective="latency=1,variety=8"), TOGETHER, None, 14),
        (two(objective="latency=1,variety=8"), APART, None, 10),
        (two(objective="latency=1,size=1"), TOGETHER, ON_D, 12 + 8),
    ],
)
def test_rows_by_hand(
    problem: WholeProblem, groups: Groups, place: dict[tuple[int, int], int] | None, value: float | None
) -> None:
    assert supports(problem) is None
    assert least(problem, groups, place) == (None if value is None else pytest.approx(value))


def test_redundant_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without heads, tails and loads: what they say follows from the others, results at the host included."""
    for name in ("paths_bound_times", "makespan_covers_load"):
        monkeypatch.setattr(constraints, name, lambda v: None)
    assert least(two(), TOGETHER, SPLIT) == pytest.approx(10)
    assert least(two(host=True, execution=RESIDENT), TOGETHER, SPLIT) == pytest.approx(12)


def test_layers_without_tensors_run_somewhere() -> None:
    """Stem, block and heads beside each other: 4 + 2 s on one device, 3 + 3 s on the other."""
    problem = two()
    models = tuple(replace(model, tensors=()) for model in problem.instance.models)
    assert least(whole_problem(replace(problem.instance, models=models)), TOGETHER) == pytest.approx(6)


def searched(problem: WholeProblem, solver: Any) -> TaskSearch[WholeProblem]:
    search = TaskSearch(problem, Settings(time_limit=20, workers=1, gap=0.0))
    solver.run(problem, search)
    return search


@pytest.mark.parametrize("kind", COVERED)
@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_plans_is_found(kind: str, seed: int) -> None:
    problem = whole_problem(whole_setting(kind, seed))
    assert supports(problem) is None
    found = searched(problem, Milp())
    best = best_whole(problem)
    if best is None:
        assert found.infeasible
        return
    assert found.value == pytest.approx(best, rel=1e-6, abs=1e-9)
    assert found.bound <= best + 1e-9 * abs(best)
    assert found.bound == pytest.approx(best, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_three_tasks_agree_with_cpsat_and_all_task_graphs(seed: int) -> None:
    instance = replace(
        random_whole(seed, tasks=3), objective=("latency=1,variety=2", "energy", "latency")[seed]
    )
    settings: dict[str, Any] = {"problem": "whole", "time_limit": 20, "workers": 1}
    settings["objective"] = instance.objective
    found = {name: dnnplan.solve(instance, name, **settings) for name in ("milp", "cpsat", "task_graphs")}
    assert {result.status for result in found.values()} == {"optimal"}
    values = [result.objective.value for result in found.values()]
    assert values == pytest.approx([values[0]] * 3, rel=2e-4)
    assert found["milp"].valid


@pytest.mark.parametrize(
    "objective", ["variety", "task_variety", "size", "latency=1,task_variety=3", "latency>variety"]
)
def test_measures_of_task_graphs_are_those_of_grouping(objective: str) -> None:
    problem = whole_problem(replace(random_whole(1, tasks=3), objective=objective, limits=Limits(size=20)))
    found, other = searched(problem, Milp()), searched(problem, TaskGraphs())
    assert other.value is not None
    assert found.value == pytest.approx(other.value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("problem", "word"),
    [
        (two(execution=Execution(contention="links")), "queue for links"),
        (two(host=True, memory=7, execution=Execution(weights="choice", memory="static")), "a decision"),
        (two(execution=Execution(overlap=False)), "devices wait"),
        (two(objective="max_load"), "no terms"),
        (whole_problem(replace(whole_instance(2, 3, 2, seed=1), sharing=None, limits=Limits())), "nothing"),
    ],
)
def test_what_is_not_covered_is_refused(problem: WholeProblem, word: str) -> None:
    reason = supports(problem)
    assert reason is not None
    assert word in reason
    with pytest.raises(UnsupportedError, match="'milp' does not cover this"):
        searched(problem, Milp())


def test_a_model_is_abandoned_when_time_is_over() -> None:
    asked = iter([True] * 8)
    assert build(two(), keep_going=lambda: next(asked, False)) is None
