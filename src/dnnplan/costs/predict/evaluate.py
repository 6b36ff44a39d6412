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

from dnnplan.costs.predict.compose import Composition, fit_composition, network_terms
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.features import qed_usc_design
from dnnplan.costs.predict.files import save_model
from dnnplan.costs.predict.models import MODELS, OperatorModel, fit_operators, mixed
from dnnplan.costs.predict.tables import EndToEnd, FloatArray, Operators, TextArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

CANDIDATES = ("boosting", "extra-trees", "ensemble")
"""What `auto` chooses from, the fastest first."""
TOLERANCE = 0.02
"""A slower model has to be better by this share of the error."""
FOLDS = 5
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
    kinds = ("boosting", "extra-trees") if kind == "auto" else (kind,)
    weight = share_weights(ops)
    logs = out_of_fold(ops, design, kinds, weight, seed)
    models = {name: fit_operators(design, ops.latency, name, seed=seed, weight=weight) for name in kinds}
    if kind == "auto":
        logs["ensemble"] = (logs["boosting"] + logs["extra-trees"]) / 2
        models["ensemble"] = mixed((models["boosting"], models["extra-trees"]), "ensemble")
    measured = network_terms(networks, ops.network, design.group, ops.latency)
    best: tuple[float, NetworkModel] | None = None
    for name in CANDIDATES if kind == "auto" else (kind,):
        terms = network_terms(networks, ops.network, design.group, np.exp(logs[name]))
        composition = fit_composition(terms, measured, seconds, seed=seed)
        error = float(np.abs(np.expm1(composition.residuals)).mean())
        if best is None or error < (1 - TOLERANCE) * best[0]:
            best = error, NetworkModel(models[name], composition)
    assert best is not None
    return best[1]


def share_weights(ops: Operators) -> FloatArray:
    """(n,) weights by the root of the share that an operator has in its network, within 1/5 to 5; ours."""
    names, at = np.unique(ops.network, return_inverse=True)
    total = np.bincount(at, weights=ops.latency, minlength=len(names))
    weight = np.sqrt(ops.latency / total[at])
    out: FloatArray = np.clip(weight / weight.mean(), 0.2, 5.0)
    return out


def out_of_fold(
    ops: Operators, design: Design, kinds: tuple[str, ...], weight: FloatArray, seed: int
) -> dict[str, FloatArray]:
    """(n,) logarithms of seconds for each kind, from models that have seen no operator of the same network."""
    names, at = np.unique(ops.network, return_inverse=True)
    folds = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[at]
    out = {kind: np.empty(len(ops)) for kind in kinds}
    for fold in range(FOLDS):
        rest = folds != fold
        for kind in kinds:
            model = fit_operators(design.take(rest), ops.latency[rest], kind, seed=seed, weight=weight[rest])
            out[kind][~rest] = np.log(model.predict(design.take(~rest)))
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
        "predictions_per_second": SPEED_ROWS / _seconds(lambda: model.predict(design)),
        "from_shapes_per_second": SPEED_ROWS / _seconds(lambda: model.predict(build(batch))),
        "bytes": float(size),
    }


def _seconds(task: Callable[[], object]) -> float:
    """Least processor time of a round, after one that is not counted (it may compile): busy machines do not disturb."""
    task()
    rounds: list[float] = []
    while sum(rounds) < SPEED_SECONDS or len(rounds) < LEAST_ROUNDS:
        start = time.process_time()
        task()
        rounds.append(time.process_time() - start)
    return min(rounds)


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
