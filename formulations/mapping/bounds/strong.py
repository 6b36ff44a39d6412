"""Bounds that take some seconds: the linear relaxation, tightened by what a better plan could not do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds.bound import SAFETY, Bound
from dnnplan.formulations.mapping.bounds.linear import Solution, solve_linear
from dnnplan.formulations.mapping.bounds.measures import Measures, add_measures
from dnnplan.formulations.mapping.bounds.paths import heads_and_tails, least_duration
from dnnplan.formulations.mapping.bounds.quick import energy_bound, latency_bounds, objective_bound
from dnnplan.formulations.mapping.bounds.relaxation import Relaxation, needs_pairs, relax

LARGEST, SECONDS_BY_PAIR = 20_000, 1e-4
"""Layers x devices up to which the relaxation is built at all; seconds by variable that it takes, about."""
ROUNDS, FIRST_STEP, LAST_STEP = 4, 0.03, 2e-3
"""How often placements are struck out for one target; how far above the bound targets are, at first and at last."""
HANDLED = ("latency", "energy", "edp", "traffic")
FIRST_HORIZON = 4.0
"""Where no plan is known: latest moment considered, as a multiple of the quick latency bound."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Guide:
    """What the relaxation says of placements.

    Parameters
    ----------
    fractions
        (n, m) of each layer on each device; rows sum to 1.
    reduced
        (n, m) what the bound gains, in units of the objective, if a layer is put on a device: 0 where the relaxation
        puts it.
    """

    fractions: FloatArray
    reduced: FloatArray


@dataclass(frozen=True, eq=False)
class Strong:
    """A bound (None where the objective has none) and a guide (None if no programme was solved)."""

    bound: Bound | None
    guide: Guide | None


@dataclass(eq=False)
class _Run:
    """What a computation of a strong bound knows and may still do."""

    problem: MappingProblem
    terms: dict[str, float]
    value: float
    until: float
    keep_going: Callable[[], bool]
    guide: Guide | None = None

    @property
    def left(self) -> float:
        return self.until - time.perf_counter()

    def over(self) -> bool:
        return self.left <= 0 or not self.keep_going()


def strong_bound(
    problem: MappingProblem,
    *,
    value: float | None = None,
    time_limit: float,
    keep_going: Callable[[], bool] = lambda: True,
) -> Strong:
    """The best bound of the linear relaxation on the first stage of the objective.

    Parameters
    ----------
    value
        Value of a known plan: better plans may not do what costs as much (placements are struck out). The bound is
        never above it.
    time_limit
        Seconds to stay within, about.
    keep_going
        Asked between programmes; False ends with the best bound so far.

    Terms other than latency, energy, edp and traffic count as 0.
    """
    terms = {name: weight for name, weight in problem.stages[0] if name in HANDLED}
    if not terms or problem.n * problem.m > LARGEST or problem.n == 0 or problem.tick is not None:
        return Strong(None, None)
    if any(not row for row in problem.allowed) or _joins_transfers(problem):
        return Strong(None, None)
    until = time.perf_counter() + time_limit
    quick = objective_bound(problem)
    run = _Run(problem, terms, math.inf if value is None else value, until, keep_going)
    if expected_seconds(problem) > time_limit:
        return Strong(quick, None)
    if "edp" in terms:
        found = _edp(run) if len(terms) == 1 else -math.inf
        name = "latency-energy front of the relaxation"
    elif set(terms) == {"latency"}:
        found, name = _latency(run), "load and path LP"
    else:
        found, name = _weighted(run), " and ".join(sorted(terms)) + " LP"
    bound = Bound(found * (1 - SAFETY), name)
    if quick is not None and quick.value >= bound.value:
        bound = quick
    return Strong(bound, run.guide)


def expected_seconds(problem: MappingProblem) -> float:
    """About how long one programme takes to build and to solve."""
    pairs = len(problem.edges) * problem.m ** (2 if needs_pairs(problem) else 1)
    return SECONDS_BY_PAIR * (problem.n * problem.m + pairs)


def _joins_transfers(problem: MappingProblem) -> bool:
    """Whether plans may join layers to calls that load or read once for all of them."""
    streams = problem.host and problem.execution.weights != "resident"
    return "calls_per_device" in problem.limits and (streams or problem.execution.staging == "host")


def _latency(run: _Run) -> float:
    """The relaxation with all that a plan of the known value may do; then for targets below it (destructive bounds).

    If no plan of a makespan <= T exists, T is a bound; what such plans may do is found by striking out placements
    (`_strike`), whose relaxation then has a bound of its own.
    """
    weight = run.terms["latency"]
    low = latency_bounds(run.problem)[0].value
    known = run.value / weight
    high = known if math.isfinite(known) else FIRST_HORIZON * max(low, 1e-30)
    low = max(low, _for_target(run, high, rounds=ROUNDS, guide=True))
    if not math.isfinite(known):
        return low * weight
    step = FIRST_STEP
    while step >= LAST_STEP and not run.over() and low < known:
        target = min(low * (1 + step), high)
        proven = _for_target(run, target, rounds=ROUNDS)
        gained, low = proven > low * (1 + LAST_STEP), max(low, proven)
        step = step if gained else step / 4
    return min(low, known) * weight


def _for_target(run: _Run, target: float, *, rounds: int, guide: bool = False) -> float:
    """A bound, at most `target`, from what plans of a makespan up to `target` may do."""
    problem = run.problem
    allowed = np.isfinite(problem.duration)
    best = 0.0
    for _ in range(rounds):
        allowed = _strike(problem, allowed, target)
        if not allowed.any(axis=1).all():
            return target
        if run.over():
            break
        r = relax(problem, allowed, target)
        r.program.cost[r.makespan] = 1.0
        solution = solve_linear(r.program, time_limit=run.left)
        best = max(best, min(solution.bound, 1.0) * target)
        if guide and solution.optimal:
            run.guide = _guide(r, solution, target)
        fewer = allowed & ~_too_dear(r, solution, 1.0)
        if best >= target or (fewer == allowed).all():
            break
        allowed = fewer
    return best


def _strike(problem: MappingProblem, allowed: Mask, target: float) -> Mask:
    """Where layers can run if all ends by `target`: head + work + tail <= target, to a fixed point."""
    while True:
        if not allowed.any(axis=1).all():
            return allowed
        view = replace(problem, duration=np.where(allowed, problem.duration, np.inf))
        heads, tails = heads_and_tails(view)
        through = heads + least_duration(view) + tails
        fewer = allowed & (through <= target * (1 + 1e-9))
        if (fewer == allowed).all():
            return allowed
        allowed = fewer


def _too_dear(r: Relaxation, solution: Solution, most: float) -> Mask:
    """Placements whose reduced cost lifts the bound above `most`."""
    reduced = np.where(r.x >= 0, solution.reduced[r.x], 0.0)
    dear: Mask = (r.x >= 0) & (solution.bound + reduced > most * (1 + 1e-9))
    return dear


def _guide(r: Relaxation, solution: Solution, scale: float) -> Guide:
    here = r.x >= 0
    return Guide(
        fractions=np.where(here, np.clip(solution.values[r.x], 0.0, 1.0), 0.0),
        reduced=np.where(here, np.maximum(solution.reduced[r.x], 0.0) * scale, np.inf),
    )


def _weighted(run: _Run) -> float:
    """Least weighted sum over one relaxation, with placements struck out by reduced cost."""
    problem, terms = run.problem, run.terms
    horizon, beyond = _horizon(problem, terms, run.value)
    allowed = np.isfinite(problem.duration)
    best = -math.inf
    for _ in range(ROUNDS):
        if run.over():
            break
        r = relax(problem, allowed, horizon)
        measures = add_measures(r)
        scale = _charge(r, measures, terms)
        solution = solve_linear(r.program, time_limit=run.left)
        best = max(best, min(solution.bound * scale, beyond, run.value))
        if solution.optimal:
            run.guide = _guide(r, solution, scale)
        if not math.isfinite(run.value) or best >= run.value:
            break
        fewer = allowed & ~_too_dear(r, solution, run.value / scale)
        if (fewer == allowed).all():
            break
        if not fewer.any(axis=1).all():
            return run.value
        allowed = fewer
    return best


def _charge(r: Relaxation, measures: Measures, terms: dict[str, float]) -> float:
    """Set the objective to the weighted sum, divided by the scale that is returned."""
    costs = np.zeros(len(r.program.low))
    for name, weight in terms.items():
        for variable, amount in measures.by_name[name]:
            costs[variable] += weight * amount
    scale = float(costs.max(initial=0.0)) or 1.0
    r.program.cost = (costs / scale).tolist()
    return scale


def _horizon(problem: MappingProblem, terms: dict[str, float], value: float) -> tuple[float, float]:
    """Latest moment that is considered, and what every plan that takes longer costs at least."""
    idle = terms.get("energy", 0.0) * float(problem.idle_power.sum())
    hidden = terms.get("energy", 0.0) * float(
        (
            problem.idle_power * np.where(np.isfinite(problem.duration), problem.duration, 0.0).sum(axis=0)
        ).sum()
    )
    slope = terms.get("latency", 0.0) + idle
    shortest = latency_bounds(problem)[0].value
    if slope <= 0:
        return math.inf, math.inf
    if math.isfinite(value):
        return max((value + hidden) / slope, shortest) * (1 + 1e-9), math.inf
    horizon = max(FIRST_HORIZON * shortest, 1e-30) + hidden / slope
    return horizon, slope * horizon - hidden


def _edp(run: _Run) -> float:
    """Least C E over all (C, E) above the lines E + b C >= L(b), with a line added where the minimum is.

    The relaxation gives L(b) for any slope b >= 0; the hyperbola through the lowest point has slope E / C there.
    Plans longer than the horizon cost at least horizon x least energy.
    """
    problem, weight = run.problem, run.terms["edp"]
    shortest = max(bound.value for bound in latency_bounds(problem))
    least = energy_bound(problem, shortest).value
    if shortest <= 0 or least <= 0:
        return -math.inf
    known = run.value / weight
    horizon = known / least if math.isfinite(known) else FIRST_HORIZON * shortest
    if horizon <= shortest:
        return -math.inf
    r = relax(problem, np.isfinite(problem.duration), horizon)
    measures = add_measures(r)
    r.program.low[r.makespan] = shortest / horizon
    lines = [(0.0, least)]
    best = least * shortest
    for slope in (0.0, None, None, None, None, None, None, None):
        if run.over():
            break
        c, e = _lowest(lines, shortest, horizon)
        chosen = e / c if slope is None else slope
        scale = _charge(r, measures, {"energy": 1.0, "latency": chosen})
        solution = solve_linear(r.program, time_limit=run.left)
        if solution.optimal:
            run.guide = _guide(r, solution, scale * c)
        lines.append((chosen, solution.bound * scale))
        c, e = _lowest(lines, shortest, horizon)
        gained, best = c * e > best * (1 + 1e-4), max(best, c * e)
        if not gained and slope is None:
            break
    return min(best, horizon * least) * weight


def _lowest(lines: list[tuple[float, float]], first: float, last: float) -> tuple[float, float]:
    """The point (C, E) with first <= C <= last on the upper envelope of ``L - b C`` where C E is least.

    Along each line C E is concave, so it is least where lines meet or at the ends.
    """
    moments = [first, last]
    for position, (b, value) in enumerate(lines):
        for other, offset in lines[:position]:
            if b != other:
                moments.append((value - offset) / (b - other))
    points = [(c, max(max(value - b * c for b, value in lines), 0.0)) for c in moments if first <= c <= last]
    return min(points, key=lambda point: point[0] * point[1])
