"""List schedules guided by the linear relaxation: devices by earliest end and by what the bound says they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, evaluate
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.bounds import Guide, heads_and_tails
from dnnplan.instances import PlanError
from dnnplan.solvers.exact.relaxed import bound_by_relaxation
from dnnplan.solvers.kernels.list_schedule import upward_ranks
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.constructive import ordered
from dnnplan.solvers.lists.heft import decode_list, mean_delays, mean_times, warm_up
from dnnplan.solvers.local.anneal import worth_compiling
from dnnplan.solvers.local.segment_search import SegmentSearch
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

FRESH, PRICES = 0.25, (0.1, 100.0)
"""Share of tries that are drawn anew, and the range of weights of reduced costs against ends (logarithmic)."""
SPREADS = (0.0, 0.1, 0.3, 0.8)
"""Standard deviations of the logarithms of the networks' weights."""
UNLIMITED = 60.0
TIGHT_SHARE = 0.7
"""Share of the time left for plans under live memory, which other solvers rarely improve."""
SEGMENTS = 0.8
"""Share of the time for moves of stretches, where the objective is not latency alone."""
SHARE, SECONDS_BY_SIZE = 0.15, 0.005
"""Share of the time left and seconds by layer and device that guided plans get among other solvers."""


class LpRounding:
    """Round the relaxation, then search the list schedules that it guides.

    A layer goes to the device of least ``end + price x reduced cost + share x tail``: reduced costs say what a second
    on a device is worth to the others (LP duality), tails what must follow. Ranks are weighted by network. Price,
    share and weights are searched at random around the best so far. Ours; the rounding of the load relaxation goes
    back to Lenstra, Shmoys and Tardos (1990).
    """

    summary = "rounding of the linear relaxation, and list schedules guided by its reduced costs"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES, bounds=True)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, the relaxation, then guided list schedules until the limits (60 s where there are none)."""
        propose_simple_plans(problem, search)
        guide = bound_by_relaxation(problem, search, share=0.5)
        if guide is not None:
            seconds = search.remaining if math.isfinite(search.remaining) else UNLIMITED
            propose_guided_plans(problem, search, guide, seconds)


def relax_and_guide(problem: MappingProblem, search: Search) -> None:
    """The bound of the relaxation, and the plans that it guides, in a share of the time that is left."""
    guide = bound_by_relaxation(problem, search)
    if problem.execution.memory == "live" and math.isfinite(search.remaining) and not search.finished():
        from dnnplan.solvers.local.tight_memory import search_tight

        search_tight(problem, search, guide, TIGHT_SHARE * search.remaining)
    elif guide is not None and not search.finished():
        seconds = min(SHARE * search.remaining, SECONDS_BY_SIZE * problem.n * problem.m)
        propose_guided_plans(problem, search, guide, seconds)


@dataclass(frozen=True, eq=False)
class Rule:
    """How one list schedule is made: which ranks, weight of each job, price of reduced costs, share of tails."""

    ranks: int
    weights: FloatArray
    price: float
    share: float


def propose_guided_plans(problem: MappingProblem, search: Search, guide: Guide, seconds: float) -> None:
    """Propose the rounded placement, then guided list schedules for some seconds."""
    until = search.seconds + seconds
    search.propose(rounded(problem, guide))
    if search.finished() or problem.n < 2:
        return
    if worth_compiling(search):
        warm_up()
    maker = _Maker(problem, search, guide)
    if problem.stages[0] != (("latency", 1.0),):
        place = rounded_placement(problem, guide)
        SegmentSearch(problem, search, maker.ranks[1]).run(place, SEGMENTS * seconds)
    rng = np.random.default_rng(search.settings.seed)
    best_rule, best_value = None, math.inf
    while search.seconds < until and not search.finished():
        fresh = best_rule is None or rng.random() < FRESH
        rule = maker.draw(rng) if fresh or best_rule is None else maker.change(best_rule, rng)
        value = maker.try_rule(rule)
        if value < best_value:
            best_rule, best_value = rule, value


def rounded(problem: MappingProblem, guide: Guide) -> Decisions:
    """The list schedule of the rounded placement."""
    return ordered(problem, rounded_placement(problem, guide))


def rounded_placement(problem: MappingProblem, guide: Guide) -> IntArray:
    """Every layer on the device that holds most of it."""
    place = np.where(np.isfinite(problem.duration), guide.fractions, -1.0).argmax(axis=1)
    return colocated(problem, place.astype(np.int64))


class _Maker:
    """Makes the plans of rules, and proposes them."""

    def __init__(self, problem: MappingProblem, search: Search, guide: Guide) -> None:
        self.problem, self.search = problem, search
        self.topological = np.array(problem.topological, dtype=np.int64)
        self.position = np.empty(problem.n, dtype=np.int64)
        self.position[self.topological] = np.arange(problem.n)
        finite = np.isfinite(problem.duration)
        seconds = (guide.fractions * np.where(finite, problem.duration, 0.0)).sum(axis=1)
        delays = mean_delays(problem, problem.arrays)
        self.ranks = [
            self._ranks(mean_times(problem), delays),
            self._ranks(seconds, delays),
            self._ranks(seconds, 0.0 * delays),
        ]
        tails = heads_and_tails(problem)[1]
        self.tails = np.where(np.isfinite(tails), tails, np.inf)
        # A unit of the objective in seconds.
        latency = (
            search.best.cost.latency if search.best is not None else float(tails[finite].max(initial=0.0))
        )
        unit = latency / abs(search.value) if search.value else 1.0
        self.reduced = np.where(np.isfinite(guide.reduced), guide.reduced * unit, np.inf)

    def _ranks(self, times: FloatArray, delays: FloatArray) -> FloatArray:
        """Upward ranks; where tasks wait for others, which ranks do not know, the topological order."""
        if self.problem.precedences:
            return (self.problem.n - self.position).astype(np.float64)
        found: FloatArray = upward_ranks(self.problem.arrays, self.topological, times, delays)
        return found

    def draw(self, rng: np.random.Generator) -> Rule:
        """A new rule. Jobs that wait for others keep their ranks."""
        jobs = len(self.problem.jobs)
        spread = 0.0 if self.problem.precedences else float(rng.choice(SPREADS))
        low, high = np.log(PRICES)
        return Rule(
            ranks=int(rng.integers(len(self.ranks))),
            weights=np.exp(rng.normal(0.0, spread, jobs)),
            price=float(np.exp(rng.uniform(low, high))),
            share=float(rng.choice((0.0, 0.5, 1.0))),
        )

    def change(self, rule: Rule, rng: np.random.Generator) -> Rule:
        """A rule that differs from another in one or two things."""
        choice = rng.random()
        if choice < 0.5 and not self.problem.precedences and len(rule.weights) > 1:
            weights = rule.weights.copy()
            weights[rng.integers(len(weights))] *= np.exp(rng.normal(0.0, float(rng.choice((0.1, 0.3)))))
            return replace(rule, weights=weights)
        if choice < 0.9:
            return replace(rule, price=rule.price * float(np.exp(rng.normal(0.0, 0.3))))
        return replace(
            rule, ranks=int(rng.integers(len(self.ranks))), share=float(rng.choice((0.0, 0.5, 1.0)))
        )

    def order(self, rule: Rule) -> IntArray:
        """Layers by weighted rank; ties in topological order."""
        keys = self.ranks[rule.ranks] * rule.weights[self.problem.job_of]
        found: IntArray = np.lexsort((self.position, -keys)).astype(np.int64)
        return found

    def try_rule(self, rule: Rule) -> float:
        """The value of the plan of a rule; infinite if there is none."""
        problem = self.problem
        bias = rule.price * self.reduced + (rule.share * self.tails if rule.share > 0 else 0.0)
        decisions = decode_list(problem, problem.arrays, self.order(rule), bias=bias)
        if decisions is None:
            return math.inf
        try:
            found = evaluate(problem, decisions)
        except PlanError:
            return math.inf
        self.search.accept(found)
        return objective_value(problem.stages[0], found.cost) if is_feasible(found) else math.inf
