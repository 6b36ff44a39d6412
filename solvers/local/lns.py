"""Large neighbourhood search over the CP-SAT model."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.solvers.exact.cpsat import GRACE, BackEnd, choose_tick, expected_seconds
from dnnplan.solvers.local.neighbourhoods import NEIGHBOURHOODS
from dnnplan.solvers.local.windows import Bandit, improve_windows, suits_windows
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

log = logging.getLogger("dnnplan")
SUB_SECONDS = 3.0
SMALLEST, LARGEST = 10, 400


class Lns:
    """Free some layers, fix device and order of the others, and let CP-SAT look for a better plan (Shaw 1998).

    Where windows time plans exactly (`dnnplan.solvers.local.windows`) each sub-problem is a model of its window alone;
    elsewhere it is the whole model with most of it fixed. Which neighbourhood comes next is a bandit's choice; the
    number of free layers grows when sub-problems are proven quickly and shrinks when they time out.
    """

    summary = "large neighbourhood search: CP-SAT on a window or another part of the plan, the rest stays"
    capabilities = Capabilities(
        objectives=("latency", "energy", "traffic", "weighted_completion", "tardiness")
    )

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, then neighbourhoods until the limits (200 of them where there is none)."""
        propose_simple_plans(problem, search)
        if suits_windows(problem):
            improve_windows(problem, search, workers=search.settings.workers)
        else:
            improve(problem, search)


def improve(problem: MappingProblem, search: Search, *, rounds: int = 200) -> None:
    """Improve the incumbent, neighbourhood after neighbourhood."""
    if search.best is None or search.finished():
        return
    if search.remaining + GRACE < expected_seconds(problem):
        return
    back_end = BackEnd(problem, search, choose_tick(problem, search))
    if not back_end.build():
        return
    rng = np.random.default_rng(search.settings.seed)
    bandit = Bandit(list(NEIGHBOURHOODS), rng)
    size = float(min(40, problem.n))
    unlimited = search.settings.time_limit is None and search.settings.work_limit is None
    count = 0
    while not search.finished() and (not unlimited or count < rounds):
        name = bandit.choose()
        count += 1
        free = NEIGHBOURHOODS[name](search.best, int(size), rng)
        if len(free) < 2:
            continue
        before, began = search.value or 0.0, search.work
        proved = back_end.solve_part(
            set(free), fixed_pairs(search.best, set(free)), min(SUB_SECONDS, search.remaining)
        )
        if proved and len(free) == problem.n:
            return  # nothing better exists
        size = min(size * 1.08, LARGEST, problem.n) if proved else max(size * 0.93, SMALLEST)
        gain = (before - (search.value or 0.0)) / max(abs(before), 1e-30)
        bandit.learn(name, gain, max(search.work - began, 0.01))
        if gain > 0:
            log.debug("neighbourhood %s of %d layers: %s", name, len(free), search.value)


def fixed_pairs(plan: Evaluation, free: set[int]) -> list[tuple[int, int]]:
    """Consecutive layers of each device that both stay: their order stays too."""
    pairs: list[tuple[int, int]] = []
    for row in plan.decisions.order:
        stay = [c for c in row if c not in free]
        pairs += pairwise(stay)
    return pairs
