"""The sieve of labels drops nothing that could be better, and proves what the sets alone prove."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest

from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.formulations.ordering.bounds.path_form import PathForm, path_forms
from dnnplan.formulations.ordering.bounds.relaxation import Relaxation
from dnnplan.solvers.ordering import sieve
from dnnplan.solvers.ordering.local_search import propose_orders
from dnnplan.solvers.ordering.relax_and_search import OrderProof
from dnnplan.solvers.ordering.sieve import Sieve
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.order_oracles import best_by_trying
from tests.support.random_orders import random_order_instance

KINDS = ("open", "closed", "graph")


@pytest.fixture(autouse=True)
def _sieve_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "FEWEST", 1)
    monkeypatch.setattr(sieve, "FIRST_GUESS", 0.0)
    monkeypatch.setattr(sieve, "SHARE", math.inf)


def completions(form: PathForm, path: list[int]) -> float:
    """The cheapest path that begins with some nodes, by trying all."""
    rest = [v for v in range(form.size - 1) if v not in path]
    best = math.inf
    for tail in permutations(rest):
        whole = [*path, *tail, form.size - 1]
        place = {v: p for p, v in enumerate(whole)}
        if all(place[i] < place[j] for i, j in np.argwhere(form.before)):
            best = min(best, float(sum(form.cost[a, b] for a, b in pairwise(whole))))
    return best


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workers", [1, 2])
def test_bounds_of_paths_are_below_their_best_completion(seed: int, workers: int) -> None:
    form = path_forms(ordering_problem(random_order_instance(seed, "open")))[0]
    relaxation = Relaxation(form)
    found = relaxation.tighten(np.ones(len(relaxation.cost), dtype=bool), math.inf, left=lambda: 60.0)
    if found.empty or form.size < 4:
        return
    steps = [
        v for v in range(1, form.size - 1) if np.isfinite(form.cost[0, v]) and not form.before[1:-1, v].any()
    ]
    paths = np.array([[0, v] for v in steps], dtype=np.int64)
    best = np.array([completions(form, path.tolist()) for path in paths])
    for ceiling in (
        math.inf,
        float(np.median(best[np.isfinite(best)], axis=0)) if np.isfinite(best).any() else 1.0,
    ):
        bounds = Sieve(relaxation, found.allowed, ceiling, lambda: 60.0, workers)(paths)
        assert bounds is not None
        kept = best <= ceiling
        assert (bounds[kept] <= best[kept] + 1e-9 * np.abs(best[kept])).all()
        assert np.isinf(bounds[bounds > ceiling]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(15))
def test_with_the_sieve_on_every_layer_the_optimum_is_proven(kind: str, seed: int) -> None:
    instance = random_order_instance(seed, kind)
    problem = ordering_problem(instance)
    search = TaskSearch(problem, Settings(time_limit=30, workers=2), name="relax_and_search")
    propose_orders(problem, search)
    OrderProof(problem).run(search)
    best = best_by_trying(instance)
    assert search.proved
    if math.isinf(best):
        assert search.best is None
    else:
        assert search.value == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_without_time_there_are_no_bounds() -> None:
    form = path_forms(ordering_problem(random_order_instance(1, "open")))[0]
    relaxation = Relaxation(form)
    allowed = np.ones(len(relaxation.cost), dtype=bool)
    assert Sieve(relaxation, allowed, math.inf, lambda: 0.0)(np.array([[0, 1]])) is None


def test_without_time_nothing_is_proven() -> None:
    problem = ordering_problem(random_order_instance(1, "open"))
    search = TaskSearch(problem, Settings(time_limit=30, workers=1), name="relax_and_search")
    OrderProof(problem).run(search, seconds=0.0)
    assert search.infeasible is None
    assert search.bound is None
