"""Which operators to measure next: those whose measurement tells most about what will be predicted.

A committee of models, each trained on operators drawn with replacement, differs where data are missing. Its
differences are taken as samples of a Gaussian: measuring operator j at noise s lowers the weighted variance of all
targets by sum_i w_i C_ij^2 / (C_jj + s^2), and the covariance by the same rank-one step; operators are taken
greedily. The method is ours, in the line of Bayesian experimental design and query by committee (Seung et al.,
COLT 1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.models import OperatorModel, fit_operators
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError

MEMBERS = 8
NOISE = 0.03
"""Standard deviation of the logarithm of a measurement."""


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


def committee(
    design: Design, seconds: FloatArray, *, kind: str = "boosting", members: int = MEMBERS, seed: int = 0
) -> tuple[OperatorModel, ...]:
    """Models of one kind, each trained on as many operators drawn with replacement."""
    if members < 2:
        raise InputError(f"a committee of {members}, expected 2 or more")
    rng = np.random.default_rng(seed)
    draws = [np.sort(rng.integers(len(seconds), size=len(seconds))) for _ in range(members)]
    return tuple(
        fit_operators(design.take(rows), seconds[rows], kind, seed=seed + at) for at, rows in enumerate(draws)
    )


def suggest(
    models: tuple[OperatorModel, ...],
    candidates: Design,
    count: int,
    *,
    targets: Design | None = None,
    weight: FloatArray | None = None,
    noise: float = NOISE,
) -> Suggestion:
    """The candidates to measure.

    Parameters
    ----------
    models
        A `committee`.
    candidates
        (n,) operators that could be measured.
    count
        How many to name; at most all of them.
    targets
        (m,) operators whose prediction matters; None: the candidates.
    weight
        (m,) of the targets, such as the seconds that they take; None: all alike.
    noise
        Standard deviation of the logarithm of a measurement.
    """
    aim = candidates if targets is None else targets
    weight = np.ones(len(aim)) if weight is None else weight
    here, there = (np.array([np.log(m.predict(d)) for m in models]) for d in (candidates, aim))
    # Deviations of the committee: covariances are products of their columns.
    root = np.sqrt(len(models) - 1)
    own, far = ((logs - logs.mean(axis=0)) / root for logs in (here, there))
    total = float(weight @ (far**2).sum(axis=0))
    order, gains, left = [], [], np.ones(len(candidates), dtype=bool)
    for _ in range(min(count, len(candidates))):
        scatter = (far * weight) @ far.T
        variance = (own**2).sum(axis=0) + noise**2
        gain = np.where(left, np.einsum("ki,kl,li->i", own, scatter, own) / variance, -1.0)
        best = int(np.argmax(gain))
        order.append(best)
        gains.append(gain[best] / total if total > 0 else 0.0)
        left[best] = False
        # Knowing it, what the committee says elsewhere moves along: a step of a Cholesky factorisation.
        axis = own[:, best].copy()
        shrink = (1 - np.sqrt(noise**2 / variance[best])) / max(axis @ axis, 1e-300)
        own, far = (part - shrink * np.outer(axis, axis @ part) for part in (own, far))
    return Suggestion(np.array(order, dtype=np.intp), np.array(gains))
