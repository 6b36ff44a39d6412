"""Networks from their latencies end to end alone: a line of work, corrected by the shapes of operators.

seconds = a + sum over operators of line(work) x (1 + g(shape)). `fit_whole` (whole_fit.py) trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.compose import at_quantile
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.instances.errors import InputError

AMPLITUDES = {"linear": 0.0, "shapes": 0.1}
"""Standard deviation of g: how far operators of a class differ from their line."""
LEAST_FACTOR = 0.1
"""No operator is predicted below this share of its line."""
BLOCK = 4096


@dataclass(frozen=True)
class WholeModel:
    """A trained model of networks.

    Attributes
    ----------
    kind
        `linear` or `shapes`.
    names, terms
        Columns of the design.
    overhead, coefficients
        Seconds of a network without operators, and (t,) seconds for each amount of work.
    groups
        (u,) classes of the shapes that g is known at.
    shapes, weights
        (u, f) coordinates, and (u,): g(x) = sum of weight x exp(-distance) over shapes of the same class.
    residuals
        (m,) sorted log(measured / predicted) of the training networks, each predicted without itself.
    """

    kind: str
    names: tuple[str, ...]
    terms: tuple[str, ...]
    overhead: float
    coefficients: FloatArray
    groups: TextArray
    shapes: FloatArray
    weights: FloatArray
    residuals: FloatArray

    def operators(self, design: Design) -> FloatArray:
        """(n,) seconds of operators; only their sums were ever compared with measured ones."""
        if (design.names, design.terms) != (self.names, self.terms):
            raise InputError("the design has other columns than the one that was trained on")
        factor = np.ones(len(design))
        for name in np.unique(self.groups):
            known = self.groups == name
            rows = np.flatnonzero(design.group == name)
            for start in range(0, len(rows), BLOCK):
                part = rows[start : start + BLOCK]
                factor[part] += covariance(design.values[part], self.shapes[known]) @ self.weights[known]
        seconds: FloatArray = design.work @ self.coefficients * np.maximum(factor, LEAST_FACTOR)
        return seconds

    def predict(
        self, design: Design, network: TextArray, names: TextArray, quantile: float | None = None
    ) -> FloatArray:
        """(m,) seconds of the networks `names`; with a quantile, what that share of networks stays below.

        Parameters
        ----------
        design, network
            Operators, and the network of each.
        names
            (m,) networks.
        quantile
            Between 0 and 1.
        """
        at = places(network, names)
        sums = np.bincount(at[at >= 0], self.operators(design)[at >= 0], minlength=len(names))
        seconds: FloatArray = (self.overhead + sums).astype(np.float64)
        return seconds if quantile is None else at_quantile(seconds, self.residuals, quantile)


def places(network: TextArray, names: TextArray) -> NDArray[np.intp]:
    """(n,) position in `names` of the network of each operator, -1 for other networks.

    Raises
    ------
    InputError
        A network has no operator.
    """
    index = {str(name): at for at, name in enumerate(names)}
    found = np.array([index.get(str(name), -1) for name in network], dtype=np.intp)
    empty = set(range(len(names))) - set(found.tolist())
    if empty:
        raise InputError(f"network {str(names[min(empty)])!r} has no operator in the table")
    return found


def covariance(left: FloatArray, right: FloatArray) -> FloatArray:
    """(n, u) exp(-distance) of coordinates: a Matern kernel of 1/2 with length 1."""
    square = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    out: FloatArray = np.exp(-np.sqrt(np.maximum(square, 0.0)))
    return out
