"""From operators to networks: an overhead, more of it for each kernel, and the sum of operators.

seconds = a + b x kernels + c x sum of operators (+ terms by kernel class), with coefficients of 0 or more, fitted
on relative errors. Operator predictions for the fit must come from models that have not seen the network
(`dnnplan.costs.predict.evaluate.out_of_fold`): with predictions of their own training rows the sum looks better
than it will ever be again, and a and b come out wrong. The overhead per kernel, the choice of terms by
cross-validation and the quantiles are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.linear import relative_nnls
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.instances.errors import InputError

FORMS = ("sum", "counts", "counts+sums")
"""a + b n + c sum; with a count of each class more; with a sum of each class more."""
RIDGE = 1e-3
"""On terms by kernel class."""
SMALL = 0.02
ROUNDS = 15
FOLDS = 5
LEAST_NETWORKS = 8


@dataclass(frozen=True)
class NetworkTerms:
    """Sums over the operators of networks.

    Attributes
    ----------
    classes
        Kernel classes, the columns of the two tables.
    counts, sums
        (m, classes): kernels, and predicted seconds.
    """

    classes: tuple[str, ...]
    counts: FloatArray
    sums: FloatArray

    def matrix(self, form: str, chosen: tuple[str, ...]) -> FloatArray:
        """(m, t) terms of a form, with terms of their own for the classes `chosen`."""
        columns = [np.ones(len(self.counts)), self.counts.sum(axis=1), self.sums.sum(axis=1)]
        at = [self.classes.index(name) for name in chosen if name in self.classes]
        absent = [name for name in chosen if name not in self.classes]
        for table in {"sum": [], "counts": [self.counts], "counts+sums": [self.counts, self.sums]}[form]:
            columns += [table[:, i] for i in at] + [np.zeros(len(self.counts))] * len(absent)
        return np.column_stack(columns)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> NetworkTerms:
        """Some networks."""
        return NetworkTerms(self.classes, self.counts[rows], self.sums[rows])


@dataclass(frozen=True)
class Composition:
    """A fitted composition.

    Attributes
    ----------
    form, classes
        Which terms: one of `FORMS`, and the classes that have terms of their own.
    coefficients
        (t,): seconds, seconds a kernel, 1, then by class.
    residuals
        (m,) sorted log(measured / predicted) of the training networks, each predicted without itself.
    """

    form: str
    classes: tuple[str, ...]
    coefficients: FloatArray
    residuals: FloatArray

    def predict(self, terms: NetworkTerms, quantile: float | None = None) -> FloatArray:
        """(m,) seconds; with a quantile such as 0.9: what that share of networks like these stays below."""
        seconds: FloatArray = terms.matrix(self.form, self.classes) @ self.coefficients
        return seconds if quantile is None else at_quantile(seconds, self.residuals, quantile)


def at_quantile(seconds: FloatArray, residuals: FloatArray, quantile: float) -> FloatArray:
    """(m,) seconds that a share `quantile` of networks stays below, by sorted log(measured / predicted) of others."""
    if not 0 < quantile < 1:
        raise InputError(f"quantile {quantile}, expected a number between 0 and 1")
    # Of m residuals the k-th lies at k / (m + 1): exact coverage if networks are exchangeable.
    ranks = np.arange(1, len(residuals) + 1) / (len(residuals) + 1)
    bound: FloatArray = seconds * np.exp(np.interp(quantile, ranks, residuals))
    return bound


def network_terms(
    networks: TextArray, network: TextArray, classes: TextArray, seconds: FloatArray
) -> NetworkTerms:
    """Terms of (m,) networks from the (n,) operators of any networks.

    Raises
    ------
    InputError
        A network has no operator.
    """
    names, column = np.unique(classes, return_inverse=True)
    order = np.argsort(networks)
    place = np.searchsorted(networks, network, sorter=order).clip(max=len(networks) - 1)
    row = order[place]
    inside = networks[row] == network
    cell = (row * len(names) + column)[inside]
    size = len(networks) * len(names)
    counts = np.bincount(cell, minlength=size).reshape(len(networks), -1).astype(float)
    empty = counts.sum(axis=1) == 0
    if empty.any():
        raise InputError(f"network {str(networks[empty][0])!r} has no operator in the table")
    sums = np.bincount(cell, weights=seconds[inside], minlength=size).astype(float).reshape(len(networks), -1)
    return NetworkTerms(tuple(map(str, names)), counts, sums)


def fit_composition(
    predicted: NetworkTerms,
    measured: NetworkTerms | None,
    seconds: FloatArray,
    *,
    form: str | None = None,
    seed: int = 0,
) -> Composition:
    """Fit on the sums of out-of-fold predictions and of measured operators together.

    Measured sums tell the overhead with little noise, out-of-fold sums how far predictions can be trusted; each
    network counts once with either.

    Parameters
    ----------
    predicted
        Terms of (m,) networks from out-of-fold predictions of their operators.
    measured
        The same from the measured operators, if there are any: they also choose the form.
    seconds
        (m,) measured, end to end.
    form
        One of `FORMS`; None: chosen in cross-validation. A form with more terms has to be better than the simpler
        one by more than a standard error.
    seed
        Of the folds.
    """
    if len(seconds) < LEAST_NETWORKS:
        raise InputError(
            f"{len(seconds)} networks to fit a composition on, expected {LEAST_NETWORKS} or more"
        )
    often = (predicted.counts > 0).sum(axis=0) >= len(seconds) / 4
    classes = tuple(name for name, wanted in zip(predicted.classes, often, strict=True) if wanted)
    folds = np.random.default_rng(seed).permutation(len(seconds)) % FOLDS
    both = [predicted] if measured is None else [predicted, measured]
    chosen = form or _chosen(both[-1], seconds, classes, folds)
    held = _held_out(both, seconds, chosen, classes, folds)
    coefficients = _coefficients([terms.matrix(chosen, classes) for terms in both], seconds)
    return Composition(chosen, classes, coefficients, np.sort(np.log(seconds / held)))


def _chosen(
    terms: NetworkTerms, seconds: FloatArray, classes: tuple[str, ...], folds: NDArray[np.intp]
) -> str:
    best, error = "", np.empty(0)
    for form in FORMS:
        new = np.abs(_held_out([terms], seconds, form, classes, folds) / seconds - 1)
        gain = error - new if best else np.full(len(new), np.inf)
        if not best or gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
            best, error = form, new
    return best


def _held_out(
    both: list[NetworkTerms],
    seconds: FloatArray,
    form: str,
    classes: tuple[str, ...],
    folds: NDArray[np.intp],
) -> FloatArray:
    """(m,) seconds of each network from its first terms, by coefficients fitted without it."""
    matrices, out = [terms.matrix(form, classes) for terms in both], np.empty(len(seconds))
    for fold in range(FOLDS):
        rest = folds != fold
        out[~rest] = matrices[0][~rest] @ _coefficients([matrix[rest] for matrix in matrices], seconds[rest])
    return np.maximum(out, 1e-9)


def _coefficients(matrices: list[FloatArray], seconds: FloatArray) -> FloatArray:
    ridge = np.where(np.arange(matrices[0].shape[1]) < 3, 1e-9, RIDGE)
    rows, target = np.vstack(matrices), np.concatenate([seconds] * len(matrices))
    return relative_nnls(rows, target, ridge, rounds=ROUNDS, small=SMALL)
