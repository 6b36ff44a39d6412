"""Which operators to measure next: those whose measurement tells most about what will be predicted.

What a regression leaves is taken as a Gaussian process over the logarithms of work: operators of one group that are
alike err alike. Given what has been measured, measuring operator j at noise s lowers the weighted variance of all
targets by sum_i w_i C_ij^2 / (C_jj + s^2), and the covariance C by a rank-one step; operators are taken greedily
(MacKay, Neural Computation 1992; Cohn, Ghahramani and Jordan 1996). Features, length and noise are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError

NOISE = 0.2
"""Standard deviation of a measurement, in units of what is unknown of an operator that is like no other."""
LENGTH = 0.5
"""Distance over which operators are alike, in units of the median distance between them."""
MOST = 3000
"""Operators of one kind (measured, candidates, targets) that are looked at; memory grows with the square."""


@dataclass(frozen=True)
class Suggestion:
    """What to measure next.

    Attributes
    ----------
    order
        Positions of candidates, the most useful first.
    gain
        Share of the weighted variance of the targets that each removes, after those before it.
    """

    order: NDArray[np.intp]
    gain: FloatArray


def suggest(
    measured: Design,
    candidates: Design,
    count: int,
    *,
    targets: Design | None = None,
    weight: FloatArray | None = None,
    noise: float = NOISE,
    length: float = LENGTH,
) -> Suggestion:
    """The candidates to measure.

    Parameters
    ----------
    measured
        (t,) operators that have been measured; there may be none.
    candidates
        (n,) operators that could be measured.
    count
        How many to name; at most all of them.
    targets
        (m,) operators whose prediction matters; None: the candidates.
    weight
        (m,) of the targets, such as the seconds that they take; None: all alike.

    Raises
    ------
    InputError
        More than 3,000 operators of a kind, other columns, or weights that are negative.
    """
    aim = candidates if targets is None else targets
    weight = np.ones(len(aim)) if weight is None else weight
    for design in (measured, candidates, aim):
        if len(design) > MOST:
            raise InputError(f"{len(design)} operators, expected at most {MOST}: draw some of them")
        if design.names != candidates.names:
            raise InputError("operators have other features")
    if len(weight) != len(aim) or not (weight >= 0).all():
        raise InputError("weights: expected one of 0 or more for each target")
    known, own, far = _scaled((measured, candidates, aim), length)
    between, across = _after(known, own, own, noise), _after(known, far, own, noise)
    total = float(weight @ np.diag(_after(known, far, far, noise)))
    order, gains, left = [], [], np.ones(len(candidates), dtype=bool)
    for _ in range(min(count, len(candidates))):
        variance = np.diag(between) + noise**2
        gain = np.where(left, weight @ across**2 / variance, -1.0)
        best = int(np.argmax(gain))
        order.append(best)
        gains.append(gain[best] / total if total > 0 else 0.0)
        left[best] = False
        row, scale = between[best].copy(), variance[best]
        across = across - np.outer(across[:, best], row) / scale
        between = between - np.outer(row, row) / scale
    return Suggestion(np.array(order, dtype=np.intp), np.array(gains))


@dataclass(frozen=True)
class _Points:
    """Operators as (n, d) points, and their groups."""

    at: FloatArray
    group: NDArray[np.str_]


def _scaled(designs: tuple[Design, ...], length: float) -> tuple[_Points, ...]:
    """Logarithms of work, each spread over 1, in units of the length over which operators are alike."""
    every = np.log2(1 + np.vstack([d.work for d in designs]))
    spread = every.std(axis=0)
    every = every[:, spread > 0] / spread[spread > 0]
    some = every[np.random.default_rng(0).permutation(len(every))[:500]]
    apart = np.sqrt(_squares(some, some))
    unit = length * max(float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0, 1e-9)
    ends = np.cumsum([len(d) for d in designs])[:-1]
    return tuple(
        _Points(part, d.group) for part, d in zip(np.split(every / unit, ends), designs, strict=True)
    )


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    found: FloatArray = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0.0)
    return found


def _alike(a: _Points, b: _Points) -> FloatArray:
    found: FloatArray = np.exp(-0.5 * _squares(a.at, b.at)) * (a.group[:, None] == b.group[None, :])
    return found


def _after(known: _Points, a: _Points, b: _Points, noise: float) -> FloatArray:
    """Covariance of two sets of operators given what has been measured."""
    if not len(known.at):
        return _alike(a, b)
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(_alike(known, known) + noise**2 * np.eye(len(known.at)))
    found: FloatArray = _alike(a, b) - _alike(a, known) @ cho_solve(factor, _alike(known, b))
    return found
