"""Training of models of whole networks.

The line has coefficients of 0 or more. g is a Gaussian process of mean 0 over shapes within a class, seen through sums
only: a network tells the mean of g over its operators, weighted by their shares. This is regression on sums with a
linear mean (universal kriging); the coefficients are fitted with the covariance of g, so that the line does not bend
for what g explains. Its use for latencies is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.choice import cheapest_good
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.linear import relative_nnls
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.costs.predict.whole import AMPLITUDES, LEAST_FACTOR, WholeModel, covariance, places
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

NOISE = 0.02
"""Relative noise of a network; larger errors count almost linearly."""
RIDGE = 1e-4
ROUNDS = 6
PASSES = 2
FOLDS = 5
LEAST_NETWORKS = 10


def require_kind(kind: str) -> None:
    """A kind of `AMPLITUDES`, or `auto`."""
    if kind not in (*AMPLITUDES, "auto"):
        raise InputError(unknown("model of networks", kind, (*AMPLITUDES, "auto")))


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
        kind = cheapest_good(error)
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
