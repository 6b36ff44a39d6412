"""How much alike tasks see their inputs: affinity from activations, by representational similarity."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.instances import InputError

log = logging.getLogger("dnnplan")
FEWEST, ENOUGH = 3, 50
"""Samples that are needed, and from which on figures settle (the authors of Antler: 50 or more are better)."""
MOST_SAMPLES = 5_000
"""The dissimilarity of every two samples is held: 200 MB for each task."""


def affinity(
    activations: Sequence[Sequence[Any]],
    *,
    points: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
) -> FloatArray:
    """Affinity of every two tasks at every branch point, from what their networks compute for the same samples.

    At a branch point, each task has K activations, one for each sample. Their dissimilarity is 1 - Pearson's
    correlation of every two samples (K x K); the affinity of two tasks is Spearman's correlation of the upper
    triangles of their dissimilarities. Sources: Kriegeskorte, Mur and Bandettini 2008 (representational similarity
    analysis); Dwivedi and Roig 2019; as Vandenhende et al. 2020 and Luo et al. 2023 (Antler) use it to group tasks.

    Parameters
    ----------
    activations
        ``[branch point][task]``, arrays of shape (K, ...); what follows the first axis is flattened.
    points, tasks
        Names for messages.

    Returns
    -------
    (D, n, n), symmetric, from -1 to 1, diagonal 1.

    Raises
    ------
    InputError
        Fewer than three samples, different numbers of them, numbers that are not finite, a sample whose activation is
        constant, or samples that are all equally far apart: correlations are not defined then.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.random((60, 8)), rng.random((60, 5))
    >>> found = affinity([[a, 3 * a + 1, b]])
    >>> found.shape, round(float(found[0, 0, 1]), 6), abs(float(found[0, 0, 2])) < 0.2
    ((1, 3, 3), 1.0, True)
    """
    if not len(activations) or not len(activations[0]):
        raise InputError("no activations, expected [branch point][task] arrays of samples")
    names = [str(p) for p in (points or range(len(activations)))]
    found = []
    for point, row in zip(names, activations, strict=True):
        labels = [str(t) for t in (tasks or range(len(row)))]
        if len(row) != len(activations[0]):
            raise InputError(
                f"branch point {point}: {len(row)} tasks, expected {len(activations[0])} as before"
            )
        ranks = np.array(
            [_ranks(array, f"branch point {point}, task {t}") for t, array in _named(row, labels, point)]
        )
        found.append(_correlation(ranks))
    count = len(np.asarray(activations[0][0]))
    if count < ENOUGH:
        log.warning("affinity from %d samples; %d or more are better", count, ENOUGH)
    return np.array(found)


def _named(row: Sequence[Any], labels: Sequence[str], point: str) -> list[tuple[str, FloatArray]]:
    """Arrays of samples by task, all with the same number of them."""
    arrays = [np.asarray(array, dtype=float) for array in row]
    for label, array in zip(labels, arrays, strict=True):
        where = f"branch point {point}, task {label}"
        if array.ndim == 0 or len(array) < FEWEST:
            count = 0 if array.ndim == 0 else len(array)
            raise InputError(
                f"{where}: {count} samples, expected {FEWEST} at least, and better {ENOUGH} or more"
            )
        if len(array) > MOST_SAMPLES:
            raise InputError(f"{where}: {len(array)} samples, expected at most {MOST_SAMPLES}")
        if len(array) != len(arrays[0]):
            raise InputError(
                f"{where}: {len(array)} samples, expected {len(arrays[0])} as for task {labels[0]}"
            )
    return list(zip(labels, arrays, strict=True))


def dissimilarity(samples: FloatArray, where: str = "activations") -> FloatArray:
    """(K, K) 1 - Pearson's correlation of every two samples; errors are those of `affinity`."""
    flat = samples.reshape(len(samples), -1)
    if not np.isfinite(flat).all():
        raise InputError(f"{where}: sample {int(np.argwhere(~np.isfinite(flat))[0][0])} is not finite")
    centred = flat - flat.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1))
    flatly = norm <= 1e-12 * np.maximum(1.0, np.abs(flat).max(axis=1))
    if flatly.any():
        raise InputError(
            f"{where}: the activation of sample {int(np.argmax(flatly))} is constant, so nothing correlates with it; "
            "are the weights of the network real?"
        )
    unit = centred / norm[:, None]
    return np.asarray(1.0 - np.clip(unit @ unit.T, -1.0, 1.0))


def _ranks(samples: FloatArray, where: str) -> FloatArray:
    """Ranks of the upper triangle of a dissimilarity, centred and of length 1."""
    from scipy.stats import rankdata

    matrix = dissimilarity(samples, where)
    ranks = rankdata(np.round(matrix[np.triu_indices(len(matrix), 1)], 12))
    ranks -= ranks.mean()
    length = float(np.sqrt((ranks**2).sum()))
    if length == 0:
        raise InputError(f"{where}: all samples are equally far apart, so their distances have no order")
    return np.asarray(ranks / length)


def _correlation(ranks: FloatArray) -> FloatArray:
    found = np.clip(ranks @ ranks.T, -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray((found + found.T) / 2)
