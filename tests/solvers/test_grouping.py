"""Grouping: rules, local search, enumeration, fronts and bounds against all task graphs there are."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.data import data_folder
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem, grouping_problem
from dnnplan.formulations.grouping.bounds import grouping_bounds
from dnnplan.formulations.grouping.bounds_kernels import smallest_diameters
from dnnplan.formulations.grouping.bounds_levels import sizes_of_groups
from dnnplan.formulations.grouping.criteria import symmetric_distances
from dnnplan.instances import InputError, Instance, Limits, Sharing, Task
from dnnplan.instances.formats.affinity import read
from dnnplan.instances.generators import task_sharing
from dnnplan.solvers.grouping.agglomerative import Agglomerative, laminar_clusters
from dnnplan.solvers.grouping.auto import Auto
from dnnplan.solvers.grouping.baselines import Private, Shared, SharedFirst, shared_up_to
from dnnplan.solvers.grouping.beam import Beam
from dnnplan.solvers.grouping.branch_points import at_branch_points, choose_branch_points
from dnnplan.solvers.grouping.enumeration import Enumeration
from dnnplan.solvers.grouping.front import FrontPoint, crossing_point, pareto_front_of
from dnnplan.solvers.grouping.lattice import lattice_of
from dnnplan.solvers.grouping.local_search import LocalSearch
from dnnplan.solvers.registry import Solver
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.data import needs_data
from tests.support.task_oracles import best_task_graph, partitions, random_grouping, task_graphs

HEURISTICS = (Private, Shared, SharedFirst, Agglomerative, Beam, LocalSearch)


def run(solver: Solver, problem: GroupingProblem, **settings) -> TaskSearch:
    search = TaskSearch(problem, Settings(**{"time_limit": 60, **settings}))
    solver.run(problem, search)
    return search


def small(seed: int) -> GroupingProblem:
    return grouping_problem(random_grouping(seed, most_tasks=4, most_levels=3))


def everything(problem: GroupingProblem) -> list[dict[str, float]]:
    graphs = task_graphs(tuple(range(problem.n)), problem.levels)
    return [judged.measures for judged in map(problem.judge, graphs) if judged.feasible]


# -- exact answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(10))
def test_enumeration_and_bounds_agree_with_all_task_graphs(block: int) -> None:
    """250 random instances: figures that differ between tasks, weighted sums, up to two limits, some impossible."""
    for seed in range(25 * block, 25 * block + 25):
        problem = small(seed)
        best = best_task_graph(problem)
        search = run(Enumeration(), problem)
        assert search.proved
        assert (search.value is None) == (best is None) == (search.infeasible is not None), seed
        for bound in grouping_bounds(problem):
            assert bound.value <= (math.inf if best is None else best.value + 1e-9), (seed, bound)
        if best is not None:
            assert search.value == pytest.approx(best.value, rel=1e-9, abs=1e-12), seed
            assert search.bound <= search.value


@pytest.mark.parametrize("seed", range(1000, 1008))
def test_enumeration_of_five_tasks_agrees_with_all_task_graphs(seed: int) -> None:
    problem = grouping_problem(random_grouping(seed, most_tasks=5, most_levels=2))
    best = best_task_graph(problem)
    assert run(Enumeration(), problem).value == (
        None if best is None else pytest.approx(best.value, rel=1e-9)
    )
    assert run(Auto(), problem).value == (None if best is None else pytest.approx(best.value, rel=1e-4))


@pytest.mark.parametrize("seed", range(2000, 2012))
def test_later_stages_keep_earlier_ones(seed: int) -> None:
    problem = small(seed)
    first = best_task_graph(problem)
    if first is None:
        return
    later = dataclasses.replace(
        problem, stages=((("size", 1.0),),), sums_at_most=((problem.stages[0], first.value),)
    )
    best = best_task_graph(later)
    assert best is not None
    assert run(Enumeration(), later).value == pytest.approx(best.value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    "names", [("size", "variety"), ("execution_cost", "task_variety"), ("variety", "size")]
)
@pytest.mark.parametrize("seed", range(3000, 3008))
def test_a_front_has_all_that_nothing_beats(seed: int, names: tuple[str, str]) -> None:
    problem = small(seed)
    pairs = sorted((measures[names[0]], measures[names[1]]) for measures in everything(problem))
    expected: list[tuple[float, float]] = []
    for pair in pairs:
        if not expected or pair[1] < expected[-1][1] - 1e-9:
            expected.append(pair)
    front = pareto_front_of(problem, *names)
    found = [(point.measures[names[0]], point.measures[names[1]]) for point in front]
    assert all(point.proven for point in front)
    assert np.allclose(
        np.array(found).reshape(-1, 2), np.array(expected).reshape(-1, 2), rtol=1e-9, atol=1e-9
    )
    for point in front:
        assert problem.judge(point.groups).measures == point.measures


def plain_front(problem: GroupingProblem) -> list[tuple[float, float]]:
    """Front of unit blocks by plain enumeration: partitions are measured once each."""
    tasks = tuple(range(problem.n))
    variety = [
        {tuple(sorted(p)): problem.level_variety(level, p)[0] for p in partitions(tasks)}
        for level in range(problem.levels)
    ]
    best: dict[int, float] = {}
    for graph in task_graphs(tasks, problem.levels):
        size = sum(len(partition) for partition in graph)
        value = math.fsum(variety[level][tuple(sorted(p))] for level, p in enumerate(graph))
        best[size] = min(best.get(size, math.inf), value)
    front: list[tuple[float, float]] = []
    for size, value in sorted(best.items()):
        if not front or value < front[-1][1] - 1e-9:
            front.append((size, value))
    return front


@needs_data("antler")
@pytest.mark.parametrize(("tasks", "levels"), [(7, (2, 4)), (6, (0, 1, 3))])
@pytest.mark.parametrize("name", ["RSM/cifar10_net1_rsm7", "RSM/mnist_net2_rsm1"])
def test_fronts_of_published_tensors_agree_with_plain_enumeration(
    name: str, tasks: int, levels: tuple[int, ...]
) -> None:
    whole = read(data_folder() / "antler" / "affinity_tensors.json", name)
    sharing = Sharing(
        branch_points=tuple(whole.sharing.branch_points[level] for level in levels),
        affinity=tuple(
            tuple(row[:tasks] for row in whole.sharing.affinity[level][:tasks]) for level in levels
        ),
    )
    problem = grouping_problem(replace(whole, tasks=whole.tasks[:tasks], sharing=sharing))
    found = [(p.measures["size"], p.measures["variety"]) for p in pareto_front_of(problem)]
    assert np.allclose(found, plain_front(problem), rtol=0, atol=1e-9)


@needs_data("antler")
def test_the_front_of_ten_tasks_and_five_branch_points_is_what_limits_give() -> None:
    """Every size has its point: variety falls with each more copy."""
    instance = read(data_folder() / "antler" / "affinity_tensors.json", "RSM/cifar10_net1_rsm7")
    front = pareto_front_of(grouping_problem(instance))
    assert [point.measures["size"] for point in front] == list(range(5, 51))
    assert front[-1].measures["variety"] == 0
    for size in (12, 27, 40):
        limited = grouping_problem(replace(instance, limits=Limits(size=size)))
        search = run(Enumeration(), limited)
        assert search.proved
        assert search.value == pytest.approx(front[size - 5].measures["variety"], abs=1e-9)


def test_numbers_of_partitions_and_of_neighbours() -> None:
    """Bell numbers; joining two of k groups gives k (k - 1) / 2 partitions."""
    for n, bell in ((1, 1), (2, 2), (3, 5), (4, 15), (6, 203), (8, 4140)):
        lattice = lattice_of(n)
        assert lattice.size == bell
        pairs = lattice.count * (lattice.count - 1) // 2
        assert np.diff(lattice.coarser[0]).tolist() == pairs.tolist()
        assert len(lattice.finer[1]) == pairs.sum()


# -- limits that cannot be kept ------------------------------------------------------------------------------


def test_reasons_name_the_limit_and_the_least_possible_value() -> None:
    instance = task_sharing(5, 2, seed=1)
    least = grouping_problem(instance).measures(shared_up_to(grouping_problem(instance), 2))
    limited = grouping_problem(replace(instance, limits=Limits(size=least["size"] - 1)))
    for solver in (Enumeration(), Auto()):
        search = run(solver, limited)
        assert search.infeasible
        assert "limits.size" in search.infeasible
        assert f"{least['size']:.9g}" in search.infeasible
    both = grouping_problem(replace(instance, limits=Limits(size=least["size"], variety=1e-6)))
    for solver in (Enumeration(), Auto()):
        search = run(solver, both)
        assert search.infeasible
        assert "together" in search.infeasible


def test_bounds_prove_that_limits_cannot_be_kept_together() -> None:
    instance = task_sharing(16, 3, seed=1)
    least = grouping_problem(instance).measures(shared_up_to(grouping_problem(instance), 3))
    search = run(Auto(), grouping_problem(replace(instance, limits=Limits(size=least["size"], variety=1e-6))))
    assert search.infeasible
    assert "together" in search.infeasible


# -- heuristics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", HEURISTICS, ids=lambda solver: solver.__name__)
@pytest.mark.parametrize("seed", range(4000, 4012))
def test_heuristics_keep_limits_and_claim_no_more_than_is_true(solver: type[Solver], seed: int) -> None:
    problem = small(seed)
    best = best_task_graph(problem)
    search = run(solver(), problem, work_limit=0.05, time_limit=None, workers=1)
    if search.best is not None:
        assert best is not None
        assert search.best.feasible
        assert search.value >= best.value - 1e-9
        assert problem.judge(search.best.decisions).value == search.value
    assert search.infeasible is None or best is None


@pytest.mark.parametrize("objective", ["variety", "size", "task_variety"])
def test_local_search_and_beam_find_the_best_of_eight_tasks(objective: str) -> None:
    instance = task_sharing(8, 4, seed=3)
    limits = {
        "variety": Limits(size=260_000),
        "size": Limits(variety=0.5),
        "task_variety": Limits(execution_cost=60),
    }
    problem = grouping_problem(replace(instance, objective=objective, limits=limits[objective]))
    best = run(Enumeration(), problem)
    assert best.proved
    assert best.value > 0
    found = run(LocalSearch(), problem, work_limit=2, time_limit=None, workers=1)
    assert found.value == pytest.approx(best.value, rel=1e-9)
    assert best.value - 1e-9 <= run(Beam(), problem).value <= 2 * best.value


def test_local_search_under_a_work_limit_depends_on_the_seed_alone() -> None:
    problem = grouping_problem(replace(task_sharing(14, 4, seed=2), limits=Limits(size=500_000)))
    runs = [
        run(LocalSearch(), problem, work_limit=0.4, time_limit=None, workers=1, seed=seed)
        for seed in (5, 5, 6)
    ]
    assert runs[0].best.decisions == runs[1].best.decisions
    assert [row[1:] for row in runs[0].history] == [row[1:] for row in runs[1].history]
    assert [row[1:] for row in runs[0].history] != [row[1:] for row in runs[2].history]


def test_bounds_of_many_tasks_are_near_what_local_search_finds() -> None:
    """Half way between least and largest size; the gap is what the whole of the bounds leaves, not the time."""
    instance = task_sharing(14, 4, seed=1)
    problem = grouping_problem(instance)
    ends = [problem.measures(shared_up_to(problem, levels))["size"] for levels in (0, 4)]
    limited = grouping_problem(replace(instance, limits=Limits(size=sum(ends) / 2)))
    found = run(LocalSearch(), limited, work_limit=1, time_limit=None, workers=1)
    bounds = list(grouping_bounds(limited))
    assert {bound.name for bound in bounds} == {
        "branch points on their own",
        "nested diameters",
        "nested sets of tasks",
    }
    assert found.value - 0.02 <= max(bound.value for bound in bounds) <= found.value


def test_a_search_that_is_told_to_stop_keeps_what_it_has() -> None:
    problem = grouping_problem(replace(task_sharing(10, 4, seed=1), limits=Limits(size=300_000)))
    asked = itertools.count()
    search = run(Auto(), problem, stop=lambda: next(asked) > 3)
    assert search.interrupted
    assert search.best is not None


def test_threads_report_their_errors(monkeypatch) -> None:
    monkeypatch.setattr("dnnplan.solvers.grouping.local_search.Walker.step", lambda *_: 1 / 0)
    problem = grouping_problem(replace(task_sharing(6, 2, seed=1), limits=Limits(size=60_000)))
    with pytest.raises(ZeroDivisionError):
        run(LocalSearch(), problem, time_limit=5)


def test_clusters_are_laminar_and_joined_by_the_largest_distance() -> None:
    """Tasks 0, 1 and 2 on a line at 0, 2 and 3: 1 and 2 are joined first, at height 1; all three at height 3."""
    line = np.abs(np.subtract.outer([0.0, 2.0, 3.0], [0.0, 2.0, 3.0]))
    heights: list[list[float]] = []

    def two(level: int, found: np.ndarray) -> int:
        heights.append(found.tolist())
        return 2

    assert laminar_clusters(np.stack([line, line]), two) == (((0,), (1, 2)), ((0,), (1, 2)))
    assert heights == [[1.0, 3.0], [3.0]]


def test_what_baselines_share() -> None:
    problem = grouping_problem(replace(task_sharing(4, 3, seed=1), objective="size"))
    private, shared, first = (run(solver(), problem) for solver in (Private, Shared, SharedFirst))
    assert [len(partition) for partition in private.best.decisions] == [4, 4, 4]
    assert [len(partition) for partition in shared.best.decisions] == [1, 1, 1]
    assert first.value == shared.value
    least = run(SharedFirst(), dataclasses.replace(problem, limits={"variety": 0.5}))
    counts = [len(partition) for partition in least.best.decisions]
    assert counts == sorted(counts)
    assert set(counts) <= {1, 4}


# -- bounds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_least_diameters_are_those_of_all_sets(seed: int) -> None:
    problem = grouping_problem(task_sharing(9, 1, seed=seed))
    distance = symmetric_distances(problem)[0]
    expected = [0.0, 0.0]
    for size in range(2, 10):
        sets = itertools.combinations(range(9), size)
        expected.append(min(distance[np.ix_(chosen, chosen)].max() for chosen in sets))
    assert sizes_of_groups(problem).diameter[0].tolist() == expected
    every = np.ones((9, 9), dtype=bool)
    rough = smallest_diameters(distance, every, 1)
    assert (rough <= np.array(expected)).all()


# -- fronts and branch points --------------------------------------------------------------------------------


def point(variety: float, cost: float) -> FrontPoint:
    return FrontPoint(measures={"variety": variety, "execution_cost": cost}, groups=(), proven=True)


def test_curves_cross_where_scaled_variety_meets_scaled_cost() -> None:
    """Variety 1, 0.6, 0.5, 0 and cost 0, 0.1, 0.6, 1 of their ranges are nearest at the third point."""
    points = [point(10, 0), point(6, 1), point(5, 6), point(0, 10)]
    assert crossing_point(points) is points[2]
    # The first point is dropped, even if both curves meet there.
    level = [point(1, 1), point(0, 2)]
    assert crossing_point(level) is level[1]
    assert crossing_point(level[:1]) is level[0]
    # Variety that rises again and cost that falls again count as before.
    rough = [point(10, 0), point(4, 5), point(8, 4), point(0, 10)]
    assert crossing_point(rough) is rough[1]
    with pytest.raises(InputError, match="empty"):
        crossing_point([])


def test_fronts_of_many_tasks_come_from_searches() -> None:
    front = pareto_front_of(grouping_problem(task_sharing(12, 2, seed=1)), points=3, time_limit=6)
    assert [front[0].groups, front[-1].groups] == [
        ((tuple(range(12)),),) * 2,
        (tuple((t,) for t in range(12)),) * 2,
    ]
    assert front[0].proven
    values = [(p.measures["size"], p.measures["variety"]) for p in front]
    assert values == sorted(values)
    assert [v for _, v in values] == sorted((v for _, v in values), reverse=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("size", "bytes"), "not a measure"), (("size", "size"), "twice")],
)
def test_fronts_need_two_measures(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pareto_front_of(grouping_problem(task_sharing(3, 1, seed=1)), *arguments)


def test_chosen_branch_points_give_the_measures_of_the_whole_instance() -> None:
    """Tasks part at points 1 and 2, and all at 3 of five: figures are those of a task graph with all points."""
    problem = grouping_problem(task_sharing(4, 5, seed=2))
    reduced = at_branch_points(problem, (1, 2, 3))
    assert reduced.levels == 2
    one, two = ((0, 1, 2), (3,)), ((0,), (1, 2), (3,))
    alone = tuple((t,) for t in range(4))
    whole = problem.measures((((0, 1, 2, 3),), one, two, alone, alone))
    found = reduced.measures((one, two))
    assert found["size"] == pytest.approx(whole["size"])
    assert found["execution_cost"] == pytest.approx(whole["execution_cost"])
    assert found["variety"] == pytest.approx(
        problem.level_variety(1, one)[0] + problem.level_variety(2, two)[0]
    )
    partly = at_branch_points(problem, (1, 2), last_parts=False)
    assert partly.measures((one, two))["size"] == pytest.approx(
        problem.measures((((0, 1, 2, 3),), one, two, two, two))["size"]
    )


def test_the_choice_of_branch_points_is_the_best_of_all() -> None:
    problem = grouping_problem(task_sharing(4, 4, seed=5))
    scores = {}
    for points in itertools.combinations(range(4), 3):
        reduced = at_branch_points(problem, points)
        sizes: dict[float, list[tuple[float, float]]] = {}
        for measures in everything(reduced):
            pair = measures["variety"], measures["execution_cost"]
            sizes.setdefault(round(measures["size"], 6), []).append(pair)
        best, total = (math.inf, math.inf), 0.0
        for size in sorted(sizes):
            least = min(sizes[size])
            best = least if least[0] < best[0] - 1e-12 else best
            total += 50 * best[0] + best[1]
        scores[points] = total
    chosen = choose_branch_points(problem)
    assert chosen.complete
    assert chosen.points == min(scores, key=lambda points: scores[points])
    assert chosen.score == pytest.approx(scores[chosen.points], rel=1e-6)
    with pytest.raises(InputError, match="expected 1 to 4"):
        choose_branch_points(problem, count=5)


def test_problems_without_a_choice() -> None:
    """One task, or no branch point."""
    lonely = Instance(
        objective="variety",
        tasks=(Task(name="a", model="net"),),
        sharing=Sharing(branch_points=("p",), affinity=(((1,),),)),
    )
    none = Instance(objective="size", tasks=(Task(name="a", model="net"),), sharing=Sharing())
    for instance in (lonely, none):
        problem = grouping_problem(instance)
        assert len(pareto_front_of(problem)) == 1
        for solver in (*HEURISTICS, Enumeration, Auto):
            search = run(solver(), problem)
            assert search.value is not None
            assert search.best.measures.keys() == set(MEASURES)


# -- compiled code -------------------------------------------------------------------------------------------

TWIN = """
import json
from msgspec.structs import replace
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.formulations.grouping.bounds import grouping_bounds
from dnnplan.instances import Limits
from dnnplan.instances.generators import task_sharing
from dnnplan.solvers.grouping.beam import Beam, BeamParameters
from dnnplan.solvers.grouping.front import pareto_front_of
from dnnplan.solvers.grouping.local_search import Walker
from dnnplan.solvers.search import Settings, TaskSearch
problem = grouping_problem(replace(task_sharing(5, 2, seed=1), limits=Limits(size=60000)))
answers = [[p.measures["size"], p.measures["variety"]] for p in pareto_front_of(problem)]
answers += [[b.name, b.value] for b in grouping_bounds(problem)]
for solve in (lambda s: Beam(BeamParameters(width=2)).run(problem, s), lambda s: Walker(problem, s, 0).step(300)):
    search = TaskSearch(problem, Settings(time_limit=None))
    solve(search)
    answers.append(search.best.decisions)
print(json.dumps(answers))
"""


def test_compiled_code_is_its_plain_twin() -> None:
    answers = []
    for disabled in ("0", "1"):
        environment = os.environ | {
            "NUMBA_DISABLE_JIT": disabled,
            "PYTHONPATH": ":".join([os.getcwd(), *(p for p in sys.path if p)]),
        }
        ended = subprocess.run(
            [sys.executable, "-c", TWIN], capture_output=True, text=True, check=True, env=environment
        )
        answers.append(json.loads(ended.stdout))
    assert answers[0] == answers[1]
