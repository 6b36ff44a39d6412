"""The largest Poisson rate at which a percentile of the latency keeps the objective: the metric of a server.

MLPerf Inference, scenario server (rules: mlcommons/inference_policies, inference_rules.adoc): samples come one by one
as a Poisson process, and the figure is the largest rate at which the latency, from the time at which a sample was to
come until its answer, keeps its bound for 99 % of the samples. It is found by bisection; then the rate goes down in
small steps until a run of its own is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.policies.objective import require_objectives
from dnnplan.serving.simulate import counted_from, simulate
from dnnplan.serving.spec import shares

PRECISION = 0.01
"""Ratio of successive rates at which the bisection ends, and the part by which the rate goes down afterwards."""
LOWEST_LOAD, HIGHEST_LOAD = 1e-3, 64.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run: samples a second, the largest share of violations of a stream, and whether that is small enough."""

    rate: float
    violations: float
    keeps: bool


@dataclass(frozen=True, kw_only=True)
class LargestRate:
    """What was found.

    Parameters
    ----------
    rate
        Samples a second of all streams; 0: the objective is not kept at a thousandth of the capacity either.
    load
        rate / capacity.
    percentile
        Share of the samples of each stream that keeps its objective.
    trials
        All runs in order.
    """

    policy: str
    rate: float
    load: float
    percentile: float
    trials: tuple[Trial, ...]


def largest_rate(
    problem: ServingProblem,
    policy: Policy,
    *,
    capacity: float,
    samples: int = 20_000,
    seed: int = 0,
    percentile: float = 0.99,
    report: Callable[[Trial], None] | None = None,
) -> LargestRate:
    """Search for the largest rate at which a policy keeps the objectives.

    Parameters
    ----------
    policy
        Samples that it drops count as late.
    capacity
        Samples a second at load 1.
    samples
        Of each run; of streams each keeps its share. The rules of MLPerf ask for 270,336.
    seed
        All runs of the bisection see the same samples, faster or slower; the last ones see others.
    percentile
        Share of the samples of each stream that has to leave in time.
    report
        Called with every run.

    Raises
    ------
    InputError
        `percentile` is not between 0 and 1.
    UnsupportedError
        A stream has no objective.
    PolicyError
        The policy did what it may not.
    """
    if not 0 < percentile < 1:
        raise InputError(f"percentile: {percentile:g}, expected a number between 0 and 1")
    require_objectives(policy.name, problem)
    trials: list[Trial] = []

    def keeps(rate: float, seed: int) -> bool:
        found = violations(problem, policy, rate, samples=samples, seed=seed)
        trials.append(Trial(rate=rate, violations=found, keeps=found <= 1 - percentile))
        if report is not None:
            report(trials[-1])
        return trials[-1].keeps

    low, high = LOWEST_LOAD * capacity, 0.5 * capacity
    if not keeps(low, seed):
        low = high = 0.0
    while 0 < high < HIGHEST_LOAD * capacity and keeps(high, seed):
        low, high = high, 2 * high
    while high > low * (1 + PRECISION):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if keeps(middle, seed) else (low, middle)
    while low > LOWEST_LOAD * capacity and not keeps(low, seed + 1):
        low *= 1 - PRECISION
    return LargestRate(
        policy=policy.name, rate=low, load=low / capacity, percentile=percentile, trials=tuple(trials)
    )


def violations(problem: ServingProblem, policy: Policy, rate: float, *, samples: int, seed: int) -> float:
    """Share of late or dropped samples under Poisson arrivals, of the stream that has most of them.

    Samples of the warm-up do not count.
    """
    processes = [Arrivals(kind="poisson", rate=share * rate) for share in shares(problem)]
    drawn = draw_samples(problem, samples, seed, processes)
    done = simulate(problem, policy, drawn)
    skip = counted_from(drawn)
    violated, stream = done.violated[skip:], drawn.stream[skip:]
    counts = np.bincount(stream, minlength=len(problem.streams))
    late = np.bincount(stream, weights=violated, minlength=len(problem.streams))
    return float(np.max(late / np.maximum(counts, 1)))
