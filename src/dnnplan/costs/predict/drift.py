"""Latency that grows while a table is measured: not a property of an operator, and yet in the numbers.

The convolutions of NeuSight take longer the later they were measured, on every GPU by a fraction of a millisecond from
the first row to the last, whatever their shape. A regression that does not know the moment takes this for noise; one
that knows it can be asked for the beginning of a run. Finding and model are ours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.linear import fit_line
from dnnplan.costs.predict.tables import FloatArray, Operators

LEAST_CORRELATION = 0.2
"""Between differences of moments and of log(latency / line), the median over GPUs, above what chance gives."""
LEAST_ROWS = 50
"""Of a GPU that is asked."""
MOMENTS = np.linspace(0.0, 1.0, 21)


def moments(ops: Operators) -> FloatArray:
    """(n,) when each row was measured, from 0 to 1, if rows of a type on a GPU stand in the order of measurement."""
    out = np.zeros(len(ops))
    for kind in np.unique(ops.kind):
        for gpu in np.unique(ops.network):
            rows = np.flatnonzero((ops.kind == kind) & (ops.network == gpu))
            out[rows] = np.arange(len(rows)) / max(len(rows) - 1, 1)
    return out


def drifts(design: Design, seconds: FloatArray, moment: FloatArray) -> bool:
    """Whether of two similar operators the later one takes longer, on most GPUs (the groups of the design).

    Compared is each row with its neighbour in the features that are logarithms: tables that begin with small
    operators do not drift for that.
    """
    rest = np.log(seconds) - fit_line(design.work, design.group, seconds).predict(design.work, design.group)
    logs = design.values[:, [name.startswith("log_") for name in design.names]]
    found = []
    for name in np.unique(design.group):
        rows = np.flatnonzero(design.group == name)
        if len(rows) >= LEAST_ROWS:
            other = _neighbours(logs[rows])
            later, slower = moment[rows] - moment[rows][other], rest[rows] - rest[rows][other]
            chance = 2 / np.sqrt(len(rows))
            found.append(_correlation(later, slower) - chance)
    return bool(found) and float(np.median(found)) > LEAST_CORRELATION


def _neighbours(points: FloatArray) -> NDArray[np.intp]:
    """(n,) the nearest other point of each of (n, d), columns scaled by their deviation."""
    from scipy.spatial import cKDTree

    spread = points.std(axis=0)
    scaled = points[:, spread > 0] / spread[spread > 0]
    if not scaled.shape[1]:
        return np.roll(np.arange(len(points)), 1)
    found = cKDTree(scaled).query(scaled, k=2)[1]
    own = found[:, 0] == np.arange(len(points))
    other: NDArray[np.intp] = np.where(own, found[:, 1], found[:, 0])
    return other


def _correlation(a: FloatArray, b: FloatArray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def typical_moment(predict: Callable[[float], FloatArray], seconds: FloatArray) -> float:
    """The one moment that predicts measured rows best when nobody knows theirs: least mean relative error."""
    errors = [float(np.abs(predict(float(moment)) / seconds - 1).mean()) for moment in MOMENTS]
    return float(MOMENTS[int(np.argmin(errors))])
