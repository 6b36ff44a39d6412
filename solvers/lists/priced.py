"""List scheduling with prices for time on the devices: layers go where they end soon and use little that is scarce."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.solvers.lists.heft import decode_list, rank_order
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Seconds of delay that a second of excess price weighs as much as, plan after plan."""
ROUNDS, FIRST_STEP = 200, 0.5


class Priced:
    """HEFT's order; each layer where end + strength x (price of its time there - least such price) is least.

    Prices are near-optimal duals of the load relaxation of R||Cmax (Lenstra, Shmoys and Tardos 1990): a second on a
    device that all layers want costs more. Where devices are full this keeps layers off devices on which others gain
    more, which earliest-end rules do not see. The rule is ours.
    """

    summary = "list scheduling with load prices: earliest end plus what a layer takes from scarce devices"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the plan of each strength."""
        propose_priced_plans(problem, search)


def propose_priced_plans(problem: MappingProblem, search: Search) -> None:
    """The plan of each strength, until the limits."""
    if problem.m < 2 or problem.n == 0:
        return
    order = rank_order(problem, problem.arrays)
    excess = excess_prices(problem)
    for strength in STRENGTHS:
        if search.finished():
            return
        decisions: Decisions | None = decode_list(problem, problem.arrays, order, bias=strength * excess)
        if decisions is not None:
            search.propose(decisions)


def excess_prices(problem: MappingProblem) -> FloatArray:
    """(n, m) price of a layer's time on a device less that on its cheapest one, in seconds; 0 where it cannot run."""
    times = problem.arrays.duration
    finite = np.isfinite(times)
    price = load_prices(np.where(finite, times, np.inf), np.minimum(problem.slots, max(problem.n, 1)))
    paid = np.where(finite, np.where(finite, times, 0.0) * price[None, :], np.inf)
    least = paid.min(axis=1, keepdims=True)
    excess: FloatArray = np.where(
        finite & np.isfinite(least), paid - np.where(np.isfinite(least), least, 0.0), 0.0
    )
    return excess


def load_prices(times: FloatArray, slots: FloatArray) -> FloatArray:
    """(m,) prices of a second on each device, mean 1, near the optimum of max sum_i min_d price(d) t(i,d).

    Multiplicative weights with falling steps (Arora, Hazan and Kale, Theory of Computing 8, 2012): what is asked for
    more than the average gets dearer. The mean of the second half of the rounds is taken.
    """
    n, m = times.shape
    rows, known = np.arange(n), np.where(np.isfinite(times), times, 0.0)
    price = np.ones(m)
    total = np.zeros(m)
    for number in range(ROUNDS):
        chosen = (times * price).argmin(axis=1)
        load = np.bincount(chosen, weights=known[rows, chosen], minlength=m) / slots
        mean = float(load.sum()) / m
        if mean <= 0.0:
            return np.ones(m)
        step = FIRST_STEP / (1.0 + number / 10.0)
        price = price * np.exp(step * np.minimum(np.maximum(load / mean - 1.0, -1.0), 1.0))
        price = np.maximum(price / (price.sum() / m), 1e-6)
        if number >= ROUNDS // 2:
            total += price
    prices: FloatArray = total / total.mean()
    return prices
