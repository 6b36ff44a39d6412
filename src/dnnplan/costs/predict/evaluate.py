"""The protocol: train on some networks, predict the others, end to end and by operator."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.choice import cheapest_good, fit_candidates, network_folds
from dnnplan.costs.predict.compose import Composition, fit_composition, network_terms
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import qed_usc_design
from dnnplan.costs.predict.files import save_model
from dnnplan.costs.predict.models import MODELS, OperatorModel
from dnnplan.costs.predict.tables import EndToEnd, FloatArray, Operators, TextArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

LEAST_NETWORKS = 10
SPEED_ROWS = 20_000
SPEED_SECONDS = 0.2
LEAST_ROUNDS = 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class NetworkModel:
    """Operators, and how networks are made of them."""

    operators: OperatorModel
    composition: Composition


def fit_networks(
    ops: Operators, design: Design, networks: TextArray, seconds: FloatArray, kind: str, seed: int
) -> NetworkModel:
    """Train on (m,) networks with their measured seconds; nothing of other networks is looked at.

    `auto` takes the model of the least error end to end on out-of-fold predictions.
    """
    rows = np.isin(ops.network, networks)
    ops, design = ops.take(rows), design.take(rows)
    fold = network_folds(ops.network, np.unique(ops.network), seed)
    found = fit_candidates(design, ops.latency, fold, kind, weight=share_weights(ops), seed=seed)
    measured = network_terms(networks, ops.network, design.group, ops.latency)
    compositions = {
        name: fit_composition(
            network_terms(networks, ops.network, design.group, np.exp(logs)), measured, seconds, seed=seed
        )
        for name, logs in found.logs.items()
    }
    chosen = cheapest_good(
        {name: float(np.abs(np.expm1(own.residuals)).mean()) for name, own in compositions.items()}
    )
    return NetworkModel(found.models[chosen], compositions[chosen])


def share_weights(ops: Operators) -> FloatArray:
    """(n,) weights by the root of the share that an operator has in its network, within 1/5 to 5; ours."""
    names, at = np.unique(ops.network, return_inverse=True)
    total = np.bincount(at, weights=ops.latency, minlength=len(names))
    weight = np.sqrt(ops.latency / total[at])
    out: FloatArray = np.clip(weight / weight.mean(), 0.2, 5.0)
    return out


def evaluate_networks(
    ops: Operators,
    end_to_end: EndToEnd,
    *,
    train_networks: int,
    seeds: int = 10,
    kind: str = "auto",
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Errors on networks that were not trained on, over random splits.

    Parameters
    ----------
    ops, end_to_end
        Networks that are in one table only are left out.
    train_networks
        How many are trained on; the rest are tested.
    seeds
        Splits, with the seeds 0, 1, ...
    kind
        One of `MODELS`, or `auto`.
    progress
        Called with a line after each split.

    Returns
    -------
    Means over seeds of: e2e_mape, hit_5, hit_10 (percent of networks within 5 and 10 %) and r2, end to end;
    op_mape, op_hit_5, op_hit_10, op_r2 by operator; coverage_90: networks below their 0.9 quantile, in percent;
    predictions_per_second of operators in a batch, from_shapes_per_second with their features; bytes of the model
    file. `median` has the medians, `by_seed` each split.
    """
    _require_kind(kind)
    names, latency = common_networks(ops, end_to_end)
    require_split(len(names), train_networks, seeds)
    design, rows = qed_usc_design(ops), []
    for seed in range(seeds):
        train, test = split_networks(len(names), train_networks, seed)
        model = fit_networks(ops, design, names[train], latency[train], kind, seed)
        rows.append({"seed": seed, "model": model.operators.kind, "form": model.composition.form})
        rows[-1] |= _errors(model, ops, design, names[test], latency[test])
        progress(f"seed {seed}: e2e {rows[-1]['e2e_mape']:.2f} %, operators {rows[-1]['op_mape']:.2f} %")
    return {
        **means(rows),
        "networks": len(names),
        "train_networks": train_networks,
        "seeds": seeds,
        "by_seed": rows,
    }


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds of every figure, and their medians under `median`."""
    figures = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {
        **{name: float(np.mean([row[name] for row in rows])) for name in figures},
        "median": {name: float(np.median([row[name] for row in rows])) for name in figures},
    }


def split_networks(count: int, train_networks: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the networks to train on and of those to test, ascending."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[:train_networks]), np.sort(order[train_networks:])


def require_split(count: int, train_networks: int, seeds: int) -> None:
    """The split is possible, and there is one."""
    if not LEAST_NETWORKS <= train_networks < count:
        raise InputError(f"{train_networks} networks to train on, expected {LEAST_NETWORKS} to {count - 1}")
    if seeds < 1:
        raise InputError(f"{seeds} seeds, expected 1 or more")


def _errors(
    model: NetworkModel, ops: Operators, design: Design, names: TextArray, latency: FloatArray
) -> dict[str, float]:
    rows = np.isin(ops.network, names)
    ops, design = ops.take(rows), design.take(rows)
    seconds = model.operators.predict(design)
    terms = network_terms(names, ops.network, design.group, seconds)
    whole = accuracy(model.composition.predict(terms), latency)
    single = {f"op_{name}": value for name, value in accuracy(seconds, ops.latency).items()}
    below = latency <= model.composition.predict(terms, quantile=0.9)
    return {
        "e2e_mape": whole.pop("mape"),
        **whole,
        **single,
        "coverage_90": 100 * float(below.mean()),
        **footprint(model.operators, ops, qed_usc_design),
    }


def accuracy(predicted: FloatArray, measured: FloatArray) -> dict[str, float]:
    """`mape`, `hit_5`, `hit_10` in percent, and `r2` of seconds."""
    error = np.abs(predicted / measured - 1)
    spread = float(((measured - measured.mean()) ** 2).sum())
    left = float(((measured - predicted) ** 2).sum())
    return {
        "mape": 100 * float(error.mean()),
        "hit_5": 100 * float((error <= 0.05).mean()),
        "hit_10": 100 * float((error <= 0.10).mean()),
        "r2": 1 - left / spread if spread > 0 else 0.0,
    }


def footprint(model: OperatorModel, ops: Operators, build: Callable[[Operators], Design]) -> dict[str, float]:
    """Predictions a second on one thread, compiled, in batches of `SPEED_ROWS` operators, and bytes of the model file.

    `predictions_per_second`: features are there; `from_shapes_per_second`: `build` makes them of shapes each time.
    """
    batch = ops.take(np.resize(np.arange(len(ops)), SPEED_ROWS))
    design = build(batch)
    with tempfile.TemporaryDirectory() as folder:
        size = save_model(model, Path(folder) / "model.npz")
    return {
        "predictions_per_second": SPEED_ROWS / processor_seconds(lambda: model.predict(design)),
        "from_shapes_per_second": SPEED_ROWS / processor_seconds(lambda: model.predict(build(batch))),
        "bytes": float(size),
    }


def processor_seconds(task: Callable[[], object], *, seconds: float | None = None) -> float:
    """Least processor time of several rounds, after one that is not counted (it may compile).

    Busy machines disturb it little. There are as many rounds as take `seconds` (`SPEED_SECONDS`), at least
    `LEAST_ROUNDS`.
    """
    enough = SPEED_SECONDS if seconds is None else seconds
    task()
    found: list[float] = []
    while sum(found) < enough or len(found) < LEAST_ROUNDS:
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return min(found)


def common_networks(ops: Operators, end_to_end: EndToEnd) -> tuple[NDArray[np.str_], FloatArray]:
    """(m,) names of the networks that are in both tables, and their seconds."""
    names = np.intersect1d(ops.network, end_to_end.network)
    if not len(names):
        raise InputError("no network is both in the table of operators and in that of networks")
    latency = dict(zip(end_to_end.network.tolist(), end_to_end.latency.tolist(), strict=True))
    return names, np.array([latency[str(name)] for name in names])


def _require_kind(kind: str) -> None:
    if kind not in (*MODELS, "auto"):
        raise InputError(unknown("model", kind, (*MODELS, "auto")))
