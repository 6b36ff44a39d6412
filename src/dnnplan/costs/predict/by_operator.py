"""The protocol for tables of single operators: train on some files, test on others, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnnplan.costs.predict.choice import CANDIDATES, cheapest_good
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.drift import drifts, moments, typical_moment
from dnnplan.costs.predict.evaluate import Progress, accuracy, footprint
from dnnplan.costs.predict.gpus import neusight_design
from dnnplan.costs.predict.models import LARGE, OperatorModel, fit_operators
from dnnplan.costs.predict.tables import FloatArray, Operators
from dnnplan.instances.errors import InputError

TYPICAL_ROWS = 4000
"""Training rows that tell the typical moment of a run."""
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
        rows it takes `boosting-groups`: forests become large files there, and training several takes long.
    kind, seed
        As in `fit_operators`.
    """
    if kind != "auto":
        return fit_operators(design, seconds, kind, seed=seed)
    if len(seconds) > LARGE:
        return fit_operators(design, seconds, "boosting-groups", seed=seed)
    test = _held_out(shape, seed)
    errors = {}
    for name in (*CANDIDATES, "boosting-groups"):
        model = fit_operators(design.take(~test), seconds[~test], name, seed=seed)
        errors[name] = accuracy(model.predict(design.take(test)), seconds[test])["mape"]
    return fit_operators(design, seconds, cheapest_good(errors), seed=seed)


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
    by_operator: type -> op_mape, hit_5, hit_10 (percent of operators), r2, drift (whether latencies grow with the
    place of a row in the training table), op_mape_at_moment (with the place of test rows in their table known, which
    nobody knows of a new operator; without drift the same as op_mape), predictions_per_second,
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
        shape, moment = _shapes(rows), moments(rows)
        if test is None:
            held = _held_out(shape, seed)
            judged, judged_moment = rows.take(held), moment[held]
            rows, shape, moment = rows.take(~held), shape[~held], moment[~held]
        else:
            judged = test.take(test.kind == name)
            judged_moment = moments(judged)
        drift = drifts(neusight_design(rows), rows.latency, moment)
        model = fit_operator_table(
            neusight_design(rows, moment if drift else None), rows.latency, shape, kind, seed
        )
        by_operator[name] = {
            "drift": drift,
            **_figures(model, judged, *_predictions(model, rows, judged, judged_moment, drift)),
            "model": model.kind,
            "train_rows": len(rows),
            "test_rows": len(judged),
        }
        progress(f"{name}: {by_operator[name]['op_mape']:.2f} %")
    figures = {
        key: float(np.mean([row[key] for row in by_operator.values()]))
        for key in (
            "op_mape",
            "op_mape_at_moment",
            "hit_5",
            "hit_10",
            "r2",
            "predictions_per_second",
            "from_shapes_per_second",
        )
    }
    return {**figures, "bytes": sum(row["bytes"] for row in by_operator.values()), "by_operator": by_operator}


def _predictions(
    model: OperatorModel, rows: Operators, judged: Operators, moment: FloatArray, drift: bool
) -> tuple[Design, FloatArray, FloatArray]:
    """Design and seconds of test rows whose moment nobody knows, and their seconds at their moments."""
    if not drift:
        unseen = neusight_design(judged)
        seconds = model.predict(unseen)
        return unseen, seconds, seconds
    some = rows.take(np.arange(0, len(rows), max(len(rows) // TYPICAL_ROWS, 1)))
    typical = typical_moment(
        lambda at: model.predict(neusight_design(some, np.full(len(some), at))), some.latency
    )
    unseen = neusight_design(judged, np.full(len(judged), typical))
    return unseen, model.predict(unseen), model.predict(neusight_design(judged, moment))


def _figures(
    model: OperatorModel, judged: Operators, unseen: Design, seconds: FloatArray, in_order: FloatArray
) -> dict[str, Any]:
    figures = accuracy(seconds, judged.latency)
    return {
        "op_mape": figures.pop("mape"),
        **figures,
        "op_mape_at_moment": accuracy(in_order, judged.latency)["mape"],
        **footprint(model, judged, neusight_design),
        "out_of_range": 100 * float(model.out_of_range(unseen).mean()),
    }


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
