"""How often a plan stays the best one when costs move within their errors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.filled import Filled
from dnnplan.costs.objectives import objective_unit
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Plan
from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.instances.fields import Record
from dnnplan.instances.result import EPSILON, GAP_TOLERANCE
from dnnplan.solvers.facade import with_objective
from dnnplan.solvers.tasks import with_problem
from dnnplan.solvers.trials import Trial, retimed

DRAW_SECONDS, DRAW_WORK = 5.0, 0.1
"""What planning anew for one draw may take: seconds, and units of work, which end it first on most instances."""
MOST_DRAWS = 100_000


class Stability(Record, omit_defaults=False, kw_only=True):
    """What becomes of a plan when costs are drawn from their errors.

    The best value of a draw is the least of all plans that were found for any draw. Unless it is proven, there may be
    a better one: then regrets are too small, and shares too large.

    Parameters
    ----------
    draws, seed
        How many draws, and of which seed.
    objective, unit
        What is compared: the first stage of the objective.
    optimal
        Share of draws in which no plan that was found is better by more than the gap.
    optimal_at_least
        Share of draws in which a bound proves that.
    within_1, within_5
        Shares of draws in which the plan is within 1 % and 5 % of the best one found.
    regret_mean, regret_max
        (value - best) / best over the draws: not less than this. None: no draw in which the plan keeps the limits.
    regret_mean_at_most
        The same against bounds: not more than this; None where a draw has no bound above 0.
    proven
        Draws whose best plan is proven.
    broken
        Draws in which the plan breaks a limit, or memory; they count as not optimal and have no regret.
    plans
        Different plans found, this one included.
    median, quantile_90
        Of the plan's own value over the draws.
    alternative_regret_mean, alternative
        Of the plan found with the least mean regret, where that is not this plan. It is chosen by the same draws and
        looks better than it is.
    values, best, bounds
        By draw; None: limits broken, no plan, no bound.
    """

    draws: int
    seed: int
    objective: str
    unit: str | None
    optimal: float | None
    optimal_at_least: float | None
    within_1: float | None
    within_5: float | None
    regret_mean: float | None
    regret_max: float | None
    regret_mean_at_most: float | None
    proven: int
    broken: int
    plans: int
    median: float | None
    quantile_90: float | None
    alternative_regret_mean: float | None
    alternative: Plan | None
    values: tuple[float | None, ...]
    best: tuple[float | None, ...]
    bounds: tuple[float | None, ...]


def stability(
    filled: Filled,
    plan: Plan,
    *,
    draws: int = 100,
    seed: int = 0,
    solver: str = "auto",
    objective: str | None = None,
    limits: Mapping[str, float] | None = None,
    gap: float = GAP_TOLERANCE,
    workers: int = 1,
    work_limit: float | None = DRAW_WORK,
    time_limit: float | None = DRAW_SECONDS,
    on_draw: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Stability:
    """Draw costs from their errors, plan anew for each draw, and judge all plans under all draws.

    Parameters
    ----------
    filled
        Costs and their errors; draws are around the medians, whatever quantile the plan was made for.
    plan
        A plan of the instance, of problem ``mapping``.
    objective, limits, gap
        As for `solve`. Of a lexicographic objective the first stage counts.
    solver, workers, work_limit, time_limit
        What plans anew, from the best plan known, and how much it may do for one draw. With the work limit the outcome
        depends on the seed alone, unless the time limit comes first.
    on_draw
        Called with the number of draws done, and of all.
    stop
        Asked before each draw; True ends with those that are done.

    Raises
    ------
    InputError
        The plan does not fit the instance, or the number of draws is none.
    UnsupportedError
        The objective is not one of mappings, or the solver cannot optimise it.

    Examples
    --------
    >>> from dnnplan.costs.filled import analytic_source, fill_costs
    >>> from dnnplan.instances import Device, Instance, Layer, Model, Platform
    >>> from dnnplan.solvers import solve
    >>> instance = Instance(
    ...     models=(Model(name="net", layers=(Layer(name="conv", flops=3e6),)),),
    ...     platform=Platform(devices=(Device(name="npu"), Device(name="cpu"))),
    ... )
    >>> peaks = {"npu": 9e9, "cpu": 1e9}
    >>> sources = {name: analytic_source({"kind": "roofline", "peak": peak}) for name, peak in peaks.items()}
    >>> filled = fill_costs(instance, sources)
    >>> found = stability(filled, solve(filled.instance, "heft").plan, draws=10, solver="heft")
    >>> found.optimal, found.regret_mean
    (1.0, 0.0)
    """
    if not 1 <= draws <= MOST_DRAWS:
        raise InputError(f"draws: {draws}, expected 1 to {MOST_DRAWS}")
    asked, kind = with_problem(
        with_objective(filled.given, objective, limits), None, explicit=objective is not None
    )
    if kind != "mapping" or plan.problem != "mapping":
        raise UnsupportedError("stability is that of mappings; costs of layers do not enter other problems")
    base = replace(asked, objective=asked.objective.split(">")[0].strip())
    trial = Trial(dataclasses.replace(filled, given=base), plan, seed)
    settings: dict[str, Any] = {
        "problem": "mapping",
        "gap": gap,
        "workers": workers,
        "work_limit": work_limit,
        "time_limit": time_limit,
        "seed": seed,
        "stop": stop,
    }
    for number in range(draws):
        if stop is not None and stop():
            break
        trial.draw(number, solver, settings)
        if on_draw is not None:
            on_draw(number + 1, draws)
    return _figures(trial, gap)


def _figures(trial: Trial, gap: float) -> Stability:
    judged, matrix, best = trial.judged()
    count = len(best)
    bound = np.array([math.nan if b is None or b <= 0 else b for b in trial.bounds], dtype=float)
    own = matrix[0]
    regrets = _regret(matrix, best)
    kept = np.isfinite(own)
    mine, most = regrets[0][kept], _regret(own, bound)[kept]
    below = _share(np.nan_to_num(_regret(best, bound), nan=np.inf) <= gap)
    mean = [float(row.mean()) if count and np.isfinite(row).all() else math.inf for row in regrets]
    other = int(np.argmin(mean))
    is_better = bool(mean[other] < mean[0] - EPSILON)
    return Stability(
        draws=count,
        seed=trial.seed,
        objective=trial.filled.given.objective,
        unit=objective_unit(trial.median.stages[0]),
        optimal=_share(regrets[0] <= gap),
        optimal_at_least=_share(np.nan_to_num(_regret(own, bound), nan=np.inf) <= gap),
        within_1=_share(regrets[0] <= 0.01),
        within_5=_share(regrets[0] <= 0.05),
        regret_mean=float(mine.mean()) if len(mine) else None,
        regret_max=float(mine.max()) if len(mine) else None,
        regret_mean_at_most=float(most.mean()) if len(most) and np.isfinite(most).all() else None,
        proven=round((below or 0.0) * count),
        broken=int(count - kept.sum()),
        plans=len(trial.plans),
        median=float(np.median(own)) if kept.all() and count else None,
        quantile_90=float(np.quantile(own, 0.9)) if kept.all() and count else None,
        alternative_regret_mean=mean[other] if is_better else None,
        alternative=retimed(trial.plans[judged[other]], trial.filled.instance) if is_better else None,
        values=_numbers(own),
        best=_numbers(best),
        bounds=tuple(trial.bounds),
    )


def _regret(values: FloatArray, best: FloatArray) -> FloatArray:
    """(value - best) / best, at least 0; infinite where there is no value, NaN where there is no best."""
    with np.errstate(invalid="ignore"):
        regret = np.maximum(values - best, 0.0) / np.maximum(np.abs(best), EPSILON)
    return np.where(np.isfinite(values), regret, np.inf)


def _share(holds: Any) -> float | None:
    return float(np.mean(holds)) if len(holds) else None


def _numbers(values: FloatArray) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())
