"""Networks from their latencies end to end alone: a line of work, corrected by the shapes of operators.

seconds = a + sum over operators of line(work) x (1 + g(shape)). The line has coefficients of 0 or more. g is a Gaussian
process of mean 0 over shapes within a class, seen through sums only: a network tells the mean of g over its operators,
weighted by their shares. This is regression on sums with a linear mean (universal kriging); the coefficients are
fitted with the covariance of g, so that the line does not bend for what g explains. Applied to latency, ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.linear import relative_nnls
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

AMPLITUDES = {"linear": 0.0, "shapes": 0.1}
"""Standard deviation of g: how far operators of a class differ from their line."""
NOISE = 0.02
"""Relative noise of a network; larger errors count almost linearly."""
RIDGE = 1e-4
ROUNDS = 6
PASSES = 2
FOLDS = 5
LEAST_NETWORKS = 10
TOLERANCE = 0.02
"""`shapes` has to be better than `linear` by this share of the error."""
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
            known, rows = self.groups == name, np.flatnonzero(design.group == name)
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
        seconds: FloatArray = self.overhead + sums
        if quantile is None:
            return seconds
        if not 0 < quantile < 1:
            raise InputError(f"quantile {quantile}, expected a number between 0 and 1")
        ranks = np.arange(1, len(self.residuals) + 1) / (len(self.residuals) + 1)
        bound: FloatArray = seconds * np.exp(np.interp(quantile, ranks, self.residuals))
        return bound


def require_kind(kind: str) -> None:
    """A kind of `AMPLITUDES`, or `auto`."""
    if kind not in (*AMPLITUDES, "auto"):
        raise InputError(unknown("model of networks", kind, (*AMPLITUDES, "auto")))


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


@dataclass(frozen=True)
class _Sums:
    """Training networks: (m, 1 + t) work, and how operators fall on networks and on distinct shapes."""

    terms: FloatArray
    seconds: FloatArray
    work: FloatArray
    network: NDArray[np.intp]
    shape: NDArray[np.intp]
    groups: TextArray
    shapes: FloatArray
    covariance: FloatArray

    def shares(self, coefficients: FloatArray) -> FloatArray:
        """(m, u) parts of the line of each network that lie at each shape."""
        size = (len(self.seconds), len(self.groups))
        cell = self.network * size[1] + self.shape
        line = np.bincount(cell, self.work @ coefficients[1:], minlength=size[0] * size[1]).reshape(size)
        out: FloatArray = line / np.maximum(self.terms @ coefficients, 1e-12)[:, None]
        return out

    def predict(self, coefficients: FloatArray, weights: FloatArray) -> FloatArray:
        """(m,) seconds."""
        g = np.maximum(self.covariance @ weights, LEAST_FACTOR - 1)
        seconds: FloatArray = self.terms @ coefficients * (1 + self.shares(coefficients) @ g)
        return np.maximum(seconds, 1e-9)


def fit_whole(
    design: Design,
    network: TextArray,
    names: TextArray,
    seconds: FloatArray,
    kind: str = "auto",
    seed: int = 0,
) -> WholeModel:
    """Train on (m,) networks with measured seconds; operators of other networks are not looked at.

    Parameters
    ----------
    design, network
        Operators (`dnnplan.costs.predict.cpu_design`), and the network of each.
    names, seconds
        Networks, each with an operator, and their seconds end to end.
    kind
        `linear`: the line; `shapes`: with g; `auto`: the better one in cross-validation.
    seed
        Of the folds.
    """
    require_kind(kind)
    if len(names) < LEAST_NETWORKS:
        raise InputError(f"{len(names)} networks to train on, expected {LEAST_NETWORKS} or more")
    sums = _sums(design, network, names, seconds)
    folds = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    held = {name: _held_out(sums, a, folds) for name, a in AMPLITUDES.items() if kind in (name, "auto")}
    if kind == "auto":
        error = {name: float(np.abs(found / seconds - 1).mean()) for name, found in held.items()}
        kind = "shapes" if error["shapes"] < (1 - TOLERANCE) * error["linear"] else "linear"
    coefficients, weights = _fit(sums, np.arange(len(names)), AMPLITUDES[kind])
    used = np.flatnonzero(weights)
    return WholeModel(
        kind,
        design.names,
        design.terms,
        float(coefficients[0]),
        coefficients[1:],
        sums.groups[used],
        sums.shapes[used],
        weights[used],
        np.sort(np.log(seconds / held[kind])),
    )


def _sums(design: Design, network: TextArray, names: TextArray, seconds: FloatArray) -> _Sums:
    at = places(network, names)
    design, at = design.take(at >= 0), at[at >= 0]
    groups, code = np.unique(design.group, return_inverse=True)
    shapes, shape = np.unique(np.column_stack([code, design.values]), axis=0, return_inverse=True)
    kinds = shapes[:, 0].astype(int)
    within = np.where(kinds[:, None] == kinds, covariance(shapes[:, 1:], shapes[:, 1:]), 0.0)
    terms = np.zeros((len(names), design.work.shape[1]))
    np.add.at(terms, at, design.work)
    terms = np.column_stack([np.ones(len(names)), terms])
    return _Sums(terms, seconds, design.work, at, shape.reshape(-1), groups[kinds], shapes[:, 1:], within)


def _held_out(sums: _Sums, amplitude: float, folds: NDArray[np.intp]) -> FloatArray:
    """(m,) seconds of each network by a model that has not seen it."""
    out = np.empty(len(folds))
    for fold in range(FOLDS):
        coefficients, weights = _fit(sums, np.flatnonzero(folds != fold), amplitude)
        out[folds == fold] = sums.predict(coefficients, weights)[folds == fold]
    return out


def _fit(sums: _Sums, rows: NDArray[np.intp], amplitude: float) -> tuple[FloatArray, FloatArray]:
    """(1 + t,) coefficients and (u,) weights of shapes, from some of the networks."""
    terms, seconds = sums.terms[rows], sums.seconds[rows]
    ridge = np.full(terms.shape[1], RIDGE)
    coefficients = relative_nnls(terms, seconds, ridge, rounds=ROUNDS, small=NOISE)
    weights = np.zeros(len(sums.groups))
    for _ in range(PASSES if amplitude > 0 else 0):
        shares = sums.shares(coefficients)[rows]
        common = amplitude**2 * shares @ sums.covariance @ shares.T
        coefficients, dual = _kriging(terms / seconds[:, None], common)
        weights = amplitude**2 * shares.T @ dual
    return coefficients, weights


def _kriging(relative: FloatArray, common: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients x >= 0 and (m,) V^-1 (1 - relative @ x), for errors of covariance V = common + noise.

    The noise of a network grows with its own error, round by round, which makes the fit robust.
    """
    from scipy.optimize import nnls

    count, size = relative.shape
    scale = np.sqrt((relative**2).mean(axis=0))
    used = scale > 0
    scaled = relative[:, used] / scale[used]
    penalty = np.sqrt(RIDGE * count) * np.eye(scaled.shape[1])
    noise, found, dual = np.full(count, NOISE**2), np.zeros(scaled.shape[1]), np.zeros(count)
    for _ in range(ROUNDS):
        total = common + np.diag(noise)
        whiten = NOISE * np.linalg.inv(np.linalg.cholesky(total))
        rows = np.vstack([whiten @ scaled, penalty])
        found, _ = nnls(
            rows, np.concatenate([whiten.sum(axis=1), np.zeros(len(penalty))]), maxiter=100 * size
        )
        dual = np.linalg.solve(total, 1 - scaled @ found)
        noise = NOISE * np.maximum(np.abs(noise * dual), NOISE)
    out = np.zeros(size)
    out[used] = found / scale[used]
    return out, dual
