"""Chains of partitions of least priced sums: the Lagrangian relaxation of limits, exact in everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray
from dnnplan.solvers.grouping.lattice import Lattice

ROUNDS = 30
"""Rounds of the cutting-plane method at most."""
STEEPEST = 1e4
"""Largest price of a limit, by the range of the objective over the range of the limited sum."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Priced:
    """The chain of least priced sum.

    Parameters
    ----------
    price
        (C,) price of each sum.
    chain, sums
        The partitions, one for each branch point, and (C,) their sums without stem and heads.
    value
        The priced sum.
    above
        (L, N) least priced sum of the branch points before each one, over all chains that end in a partition which a
        given one refines; rounded down.
    """

    price: FloatArray
    chain: list[int]
    sums: FloatArray
    value: float
    above: NDArray[np.float32]


def priced(lattice: Lattice, costs: Sequence[FloatArray], price: FloatArray) -> Priced:
    """The best chain at a price, by a dynamic programme over the lattice of partitions.

        reach(l, Q) = cost(l, Q) + min over P that Q refines of reach(l - 1, P)

    Partitions are reached by joining two groups at a time: O(L E) for E pairs of neighbours in the lattice.
    """
    from dnnplan.solvers.kernels.partition_lattice import least_coarser

    above = np.zeros((len(costs), lattice.size), dtype=np.float32)
    origins: list[NDArray[np.int32]] = []
    reach = price @ costs[0]
    for level in range(1, len(costs)):
        least, origin = least_coarser(reach, *lattice.coarser)
        origins.append(origin)
        above[level] = _rounded_down(least)
        reach = least + price @ costs[level]
    last = int(np.argmin(reach))
    chain = [last]
    for origin in reversed(origins):
        chain.append(int(origin[chain[-1]]))
    chain.reverse()
    sums = np.array([costs[level][:, p] for level, p in enumerate(chain)]).sum(axis=0)
    return Priced(price=price, chain=chain, sums=sums, value=float(reach[last]), above=above)


def _rounded_down(values: FloatArray) -> NDArray[np.float32]:
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def dual_prices(
    lattice: Lattice,
    costs: Sequence[FloatArray],
    limit: FloatArray,
    keep_going: Callable[[Priced], bool],
) -> list[Priced]:
    """Prices of limits that make the relaxation large, the best ones last, by cutting planes (Kelley 1960).

    The relaxation at prices y is the least of ``sum[0] + y @ (sum[1:] - limit[1:])`` over chains, a concave function
    of y. Each chain found is a plane above it; the next prices are those at which the lowest of all planes is
    highest. The first chains are the best ones for each sum alone.

    Parameters
    ----------
    limit
        (C,) limits less what stem and heads add; the first is not looked at.
    keep_going
        Told of every chain; False ends the search.
    """
    from scipy.optimize import linprog

    count = len(limit)
    found = []
    for price in np.eye(count):
        found.append(priced(lattice, costs, price))
        if not keep_going(found[-1]):
            return found
    spread = np.ptp([one.sums for one in found], axis=0)
    steepest = np.divide(spread[0], spread[1:], out=np.zeros(count - 1), where=spread[1:] > 0) * STEEPEST
    # Prices are counted in the range of the objective, so that numbers in the programme are alike.
    scale = np.where(steepest > 0, steepest / STEEPEST, 1.0)
    best = -np.inf
    for _ in range(ROUNDS):
        planes = np.array([one.sums for one in found])
        rows = np.column_stack([np.ones(len(found)), -(planes[:, 1:] - limit[1:]) * scale])
        solved = linprog(
            np.array([-1.0, *np.zeros(count - 1)]),
            A_ub=rows,
            b_ub=planes[:, 0],
            bounds=[(None, None), *((0.0, STEEPEST if high > 0 else 0.0) for high in steepest)],
            method="highs",
        )
        if solved.x is None:
            break
        price = np.array([1.0, *(np.maximum(solved.x[1:], 0.0) * scale)])
        one = priced(lattice, costs, price)
        value = one.value - float(price[1:] @ limit[1:])
        if value > best or len(found) == count:
            best = max(best, value)
            found.append(one)
        else:
            found.insert(count, one)
        if not keep_going(one) or value >= -solved.fun - 1e-9 * (abs(value) + spread[0]):
            break
    return found
