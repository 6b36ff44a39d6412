"""Linear regressors: non-negative least squares on work, and a lasso on logarithms by coordinate descent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.instances.errors import FormatError

LEAST_ROWS = 12
"""A group with fewer rows uses the coefficients of all rows."""
LEAST_SECONDS = 1e-9
ROUNDS = 6
SMALL = 0.1
"""Relative errors below this count squared, larger ones almost linearly."""


def relative_nnls(
    terms: FloatArray, seconds: FloatArray, ridge: FloatArray, *, rounds: int = ROUNDS, small: float = SMALL
) -> FloatArray:
    """Coefficients x >= 0 that make terms @ x / seconds near 1, robustly.

    Parameters
    ----------
    terms, seconds
        (n, t) and (n,), seconds above 0.
    ridge
        (t,) penalty of each term, in units of the squared relative contribution of that term.
    rounds
        Rounds of reweighting; 1: plain least squares of relative errors.
    small
        Relative error where the loss turns from squares to absolute values.

    Returns
    -------
    (t,) coefficients; 0 for a term that is 0 everywhere.
    """
    from scipy.optimize import nnls

    relative = terms / seconds[:, None]
    scale = np.sqrt((relative**2).mean(axis=0))
    used = scale > 0
    relative = relative[:, used] / scale[used]
    penalty = np.diag(np.sqrt(ridge[used] * len(seconds)))
    found, weight = np.zeros(used.sum()), np.ones(len(seconds))
    for _ in range(rounds):
        rows = np.vstack([relative * weight[:, None], penalty])
        found, _ = nnls(rows, np.concatenate([weight, np.zeros(len(penalty))]), maxiter=100 * len(scale))
        error = np.abs(relative @ found - 1)
        weight = 1 / np.sqrt(np.maximum(error, max(small, 1e-4)))
        weight /= weight.mean()
    out = np.zeros(len(scale))
    out[used] = found / scale[used]
    return out


@dataclass(frozen=True)
class WorkLine:
    """Seconds as a non-negative combination of work terms, one for each group of operators.

    Attributes
    ----------
    groups
        Names with coefficients of their own.
    coefficients
        (1 + len(groups), t): first those of all rows together.
    """

    groups: tuple[str, ...]
    coefficients: FloatArray

    def predict(self, terms: FloatArray, group: TextArray) -> FloatArray:
        """(n,) natural logarithms of seconds."""
        seconds = terms @ self.coefficients[0]
        for at, name in enumerate(self.groups, start=1):
            rows = group == name
            seconds[rows] = terms[rows] @ self.coefficients[at]
        logs: FloatArray = np.log(np.maximum(seconds, LEAST_SECONDS))
        return logs

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds."""
        return {"coefficients": self.coefficients}


def fit_line(terms: FloatArray, group: TextArray, seconds: FloatArray, ridge: float = 1e-5) -> WorkLine:
    """The line of each group with `LEAST_ROWS` rows."""
    names = [str(name) for name in np.unique(group) if (group == name).sum() >= LEAST_ROWS]
    penalty = np.full(terms.shape[1], ridge)
    rows = [np.ones(len(group), dtype=bool), *(group == name for name in names)]
    return WorkLine(tuple(names), np.array([relative_nnls(terms[r], seconds[r], penalty) for r in rows]))


def line_from(arrays: Mapping[str, NDArray[Any]], groups: tuple[str, ...], terms: int) -> WorkLine:
    """A line from the arrays of a file.

    Raises
    ------
    FormatError
        Missing, of a wrong size, negative or not finite.
    """
    found = arrays.get("coefficients")
    if found is None or found.dtype != np.float64 or found.shape != (1 + len(groups), terms):
        raise FormatError("linear part: coefficients are missing or not of the size of groups x terms")
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise FormatError("linear part: coefficients that are negative or not finite")
    return WorkLine(groups, found)


def lasso(
    features: FloatArray,
    target: FloatArray,
    penalty: float = 1e-3,
    *,
    sweeps: int = 300,
    tolerance: float = 1e-6,
) -> tuple[FloatArray, float]:
    """Weights (f,) and intercept that minimise mean squared error / 2 + penalty x sum |weight x deviation|.

    Cyclic coordinate descent on standardised features with the Gram matrix, after Friedman, Hastie, Tibshirani
    (2010); constant features get weight 0.
    """
    middle, spread = features.mean(axis=0), features.std(axis=0)
    used = spread > 1e-9
    scaled = (features[:, used] - middle[used]) / spread[used]
    gram, moment = scaled.T @ scaled / len(target), scaled.T @ (target - target.mean()) / len(target)
    weight = np.zeros(used.sum())
    for _ in range(sweeps):
        largest = 0.0
        for j in range(len(weight)):
            rest = moment[j] - gram[j] @ weight + weight[j] * gram[j, j]
            new = np.sign(rest) * max(abs(rest) - penalty, 0.0) / gram[j, j]
            largest, weight[j] = max(largest, abs(new - weight[j])), new
        if largest < tolerance:
            break
    out = np.zeros(features.shape[1])
    out[used] = weight / spread[used]
    return out, float(target.mean() - middle @ out)
