"""Large neighbourhoods of whole plans, and exact search in turns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs.check import check
from dnnplan.costs.judged import keeps_limits
from dnnplan.costs.sharing.graph import canonical_groups, refines
from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.instances import Limits
from dnnplan.instances.generators import whole_instance
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.whole.exact import solve_whole_exactly
from dnnplan.solvers.whole.graph_moves import neighbours, work_of_groups
from dnnplan.solvers.whole.lns import Lns, by_starts, improve_whole
from dnnplan.solvers.whole.start import propose_simple_wholes
from dnnplan.solvers.whole.task_graphs import Pool
from tests.support.whole_settings import whole_setting


def searched(problem: WholeProblem, work: float, seed: int = 0) -> TaskSearch[WholeProblem]:
    """A search limited by work, with simple plans."""
    search = TaskSearch(problem, Settings(time_limit=None, work_limit=work, workers=1, seed=seed))
    propose_simple_wholes(problem, search)
    return search


def test_near_task_graphs_keep_their_limits_and_come_once() -> None:
    """All of them are task graphs; none is the one they started from."""
    problem = whole_problem(whole_instance(6, 6, 2, seed=2))
    assert problem.grouping is not None
    known: set = set()
    found = []
    for _ in range(5):
        found += neighbours(
            problem, problem.apart, np.random.default_rng(1), 10, known, work_of_groups(problem)
        )
    assert len(found) == len(set(found)) > 5
    for groups in found:
        assert groups == canonical_groups(groups), "equal task graphs must be equal tuples"
        assert groups != problem.apart
        assert keeps_limits(problem.grouping.measures(groups), problem.limits)
        assert all(refines(fine, coarse) for coarse, fine in pairwise(groups))


def test_one_task_has_no_near_task_graphs() -> None:
    """There is only one."""
    problem = whole_problem(whole_instance(1, 4, 2, seed=2))
    rng = np.random.default_rng(0)
    assert neighbours(problem, problem.apart, rng, 3, set(), np.ones(2)) == []


def test_orders_of_layers_follow_a_plan() -> None:
    """Topological, whatever the plan."""
    problem = whole_problem(whole_instance(4, 5, 3, seed=3))
    search = searched(problem, 1.0)
    assert search.best is not None
    answer = search.best.decisions
    view = problem.mapping(answer.groups)
    order = by_starts(view, answer.evaluation.decisions).tolist()
    place = {layer: number for number, layer in enumerate(order)}
    assert sorted(order) == list(range(view.n))
    assert all(place[i] < place[j] for _, i, j in view.edges.tolist())


@pytest.mark.parametrize("kind", ["plain", "own", "links", "no overlap", "through the host", "choice"])
def test_neighbourhoods_never_lose_and_keep_all_limits(kind: str) -> None:
    """In every setting; the plan is checked."""
    instance = replace(whole_setting(kind, 1, tasks=3), limits=Limits(variety=0.6))
    problem = whole_problem(instance)
    search = searched(problem, 0.6)
    before = search.value
    assert before is not None
    improve_whole(problem, search)
    assert search.value is not None
    assert search.value <= before
    assert search.best is not None
    assert not check(instance, problem.plan(search.best), measures=search.best.measures)


def test_neighbourhoods_find_what_exact_search_proves() -> None:
    """Four tasks, five blocks, two devices."""
    problem = whole_problem(whole_instance(4, 5, 2, seed=6))
    search = TaskSearch(problem, Settings(time_limit=60, workers=2))
    solve_whole_exactly(problem, search)
    assert search.proved
    found = searched(problem, 4.0)
    Lns().run(problem, found)
    assert found.value == pytest.approx(search.value, rel=0.03)
    assert found.bound is not None
    assert found.bound <= (search.value or 0) * (1 + 1e-9)


def test_runs_with_limited_work_are_repeatable() -> None:
    """Same seed, same plan; the seed matters to the course at least."""
    problem = whole_problem(whole_instance(4, 5, 3, seed=8))
    plans = []
    for _ in range(2):
        search = searched(problem, 0.6, seed=3)
        improve_whole(problem, search)
        assert search.best is not None
        plans.append(problem.plan(search.best))
    assert plans[0] == plans[1]


def test_without_a_plan_there_is_nothing_to_improve() -> None:
    """It returns at once."""
    problem = whole_problem(whole_instance(3, 4, 2, seed=1))
    search = TaskSearch(problem, Settings(time_limit=5))
    improve_whole(problem, search)
    assert search.best is None


def test_open_task_graphs_stay_open_from_turn_to_turn() -> None:
    """A pool that is given next to no time goes on where it was, until all is proven."""
    problem = whole_problem(whole_instance(3, 5, 2, seed=2))
    search = TaskSearch(problem, Settings(time_limit=60, workers=1))
    pool = Pool(problem, search, 0.05)
    for _ in range(40):
        pool.resume(1.0)
        if search.proved:
            break
    assert search.proved
    assert all(one.bound >= (search.value or 0) * (1 - 1e-4) for one in pool.all)
