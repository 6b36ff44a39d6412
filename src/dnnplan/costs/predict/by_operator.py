"""The protocol for tables of single operators: train on some files, test on others, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.evaluate import CANDIDATES, TOLERANCE, Progress, accuracy, footprint
from dnnplan.costs.predict.gpus import neusight_design
from dnnplan.costs.predict.models import LARGE, OperatorModel, fit_operators
from dnnplan.costs.predict.tables import FloatArray, Operators
from dnnplan.instances.errors import InputError

HELD_OUT = 0.2
"""Share of the shapes that is tested on when no test table is given, and that `auto` compares models on."""


def fit_operator_table(
    design: Design, seconds: FloatArray, shape: FloatArray, kind: str, seed: int
) -> OperatorModel:
    """Train on one type of operator.

    Parameters
    ----------
    design, seconds
        (n,) operators.
    shape
        (n,) number of the shape: `auto` compares models on shapes that they have not seen. On more than `LARGE`
        rows it takes `boosting-both`: forests become large files there, and training several takes long.
    kind, seed
        As in `fit_operators`.
    """
    if kind != "auto":
        return fit_operators(design, seconds, kind, seed=seed)
    if len(seconds) > LARGE:
        return fit_operators(design, seconds, "boosting-both", seed=seed)
    test = _held_out(shape, seed)
    best, chosen = np.inf, CANDIDATES[0]
    for name in CANDIDATES:
        model = fit_operators(design.take(~test), seconds[~test], name, seed=seed)
        error = accuracy(model.predict(design.take(test)), seconds[test])["mape"]
        if error < (1 - TOLERANCE) * best:
            best, chosen = error, name
    return fit_operators(design, seconds, chosen, seed=seed)


def evaluate_operators(
    train: Operators,
    test: Operators | None,
    *,
    kind: str = "auto",
    seed: int = 0,
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Errors by type of operator.

    Parameters
    ----------
    train, test
        Tables of NeuSight; without a test table a fifth of the shapes, on all GPUs, is held out.
    kind
        One of `MODELS`, or `auto`.
    seed
        Of training and of the held-out shapes.
    progress
        Called with a line after each type.

    Returns
    -------
    by_operator: type -> op_mape, hit_5, hit_10 (percent of operators), r2, predictions_per_second,
    from_shapes_per_second, bytes, model, train_rows, test_rows, out_of_range (percent of test rows). At the top the
    means over types, and the sum of bytes.

    Raises
    ------
    InputError
        The test table has a type of operator that the training table has not: nothing is skipped.
    """
    wanted = sorted(set((train if test is None else test).kind.tolist()))
    missing = sorted(set(wanted) - set(train.kind.tolist()))
    if missing:
        raise InputError(f"operator {missing[0]!r} is tested but there is no training row of it")
    by_operator: dict[str, dict[str, Any]] = {}
    for name in wanted:
        rows = train.take(train.kind == name)
        shape = _shapes(rows)
        if test is None:
            held = _held_out(shape, seed)
            rows, shape, judged = rows.take(~held), shape[~held], rows.take(held)
        else:
            judged = test.take(test.kind == name)
        design, unseen = neusight_design(rows), neusight_design(judged)
        model = fit_operator_table(design, rows.latency, shape, kind, seed)
        figures = accuracy(model.predict(unseen), judged.latency)
        by_operator[name] = {
            "op_mape": figures.pop("mape"),
            **figures,
            **footprint(model, judged, neusight_design),
            "out_of_range": 100 * float(model.out_of_range(unseen).mean()),
            "model": model.kind,
            "train_rows": len(rows),
            "test_rows": len(judged),
        }
        progress(f"{name}: {by_operator[name]['op_mape']:.2f} %")
    figures = {
        key: float(np.mean([row[key] for row in by_operator.values()]))
        for key in ("op_mape", "hit_5", "hit_10", "r2", "predictions_per_second", "from_shapes_per_second")
    }
    return {**figures, "bytes": sum(row["bytes"] for row in by_operator.values()), "by_operator": by_operator}


def _shapes(ops: Operators) -> FloatArray:
    """(n,) a number for each shape, the same on all GPUs."""
    table = np.nan_to_num(np.column_stack(list(ops.columns.values())), nan=-1.0)
    found: FloatArray = np.unique(table, axis=0, return_inverse=True)[1].ravel().astype(float)
    return found


def _held_out(shape: FloatArray, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    names, at = np.unique(shape, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    held: np.ndarray[Any, np.dtype[np.bool_]] = order[at] < max(1, round(HELD_OUT * len(names)))
    return held
