"""The best bound over prices of one limit, where each case has its own best price."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dnnplan.costs.routes import FloatArray

STEPS = 25
CLOSE = 1.02
"""Prices tried after the first ones at most, and the ratio at which two of them are as good as one."""


def rising_bounds(
    values: Callable[[float], FloatArray | None], prices: Sequence[float]
) -> Iterator[tuple[float, float]]:
    """The least over cases of the largest value over prices so far, price after price.

    A case stands for a part of all answers, such as those with a given number of groups somewhere; at each price its
    value bounds the answers of the case from below, and is a concave function of the price. So each case has the
    bound of its best price, and the least of these bounds all answers. After the first prices comes one beside the
    best one of the case that is least.

    Parameters
    ----------
    values
        (K,) value of each case at a price, infinite where the case has no answer; None ends the search.
    prices
        Prices to begin with; 0 alone is all there is without a limit.

    Yields
    ------
    The bound, and the best price of the case that has it.
    """
    rows: list[tuple[float, FloatArray]] = []
    for step in range(len(prices) + STEPS):
        price = prices[step] if step < len(prices) else _beside(rows)
        found = None if price is None else values(price)
        if price is None or found is None:
            return
        rows.append((price, found))
        rows.sort(key=lambda row: row[0])
        case, best = _least(rows)
        yield float(rows[best][1][case]), rows[best][0]


def _least(rows: list[tuple[float, FloatArray]]) -> tuple[int, int]:
    """The case of the least bound, and the row of its best price."""
    table = np.array([row[1] for row in rows])
    case = int(np.argmin(table.max(axis=0)))
    return case, int(np.argmax(table[:, case]))


def _beside(rows: list[tuple[float, FloatArray]]) -> float | None:
    """A price between the best one of the least case and its better neighbour; None if they are close."""
    case, best = _least(rows)
    prices = [row[0] for row in rows]
    if prices[-1] <= 0:
        return None
    if best == len(rows) - 1:
        return 2 * prices[best]
    if best == 0:
        return prices[0] / 2 if prices[0] > 0 else prices[1] / 4
    for side in sorted((best - 1, best + 1), key=lambda x: -rows[x][1][case]):
        low, high = sorted((prices[best], prices[side]))
        if low <= 0:
            return high / 4
        if high / low > CLOSE:
            return float(np.sqrt(low * high))
    return None
