"""The protocol on CPUs, where only whole networks were measured: train on some of them, predict the others."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.predict.cpu_design import cpu_design
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.evaluate import (
    SPEED_ROWS,
    Progress,
    accuracy,
    common_networks,
    means,
    processor_seconds,
    require_split,
    split_networks,
)
from dnnplan.costs.predict.layouts import qed_usc_targets, read_qed_usc_graphs, read_qed_usc_networks
from dnnplan.costs.predict.tables import EndToEnd, FloatArray, Operators, TextArray
from dnnplan.costs.predict.whole import WholeModel
from dnnplan.costs.predict.whole_fit import fit_whole, require_kind
from dnnplan.costs.predict.whole_records import save_whole
from dnnplan.instances.errors import InputError


def is_gpu(target: str) -> bool:
    """Whether a target such as `mi8se|gpu|float` has measured operators; those of CPUs have none."""
    return target.split("|")[1:2] == ["gpu"]


def evaluate_whole(
    ops: Operators,
    end_to_end: EndToEnd,
    *,
    train_networks: int,
    seeds: int = 10,
    kind: str = "auto",
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """Errors end to end on networks that were not trained on, over random splits, without latencies of operators.

    Parameters
    ----------
    ops
        What networks are made of (`read_qed_usc_graphs`); their latencies are not looked at. Networks that are in
        one table only are left out.
    end_to_end
        Measured networks.
    train_networks, seeds, progress
        As in `evaluate_networks`; the splits are the same.
    kind
        `linear`, `shapes` or `auto` (`dnnplan.costs.predict.whole`).

    Returns
    -------
    As `evaluate_networks`, without figures by operator: op_mape is None. predictions_per_second counts operators in
    a batch.
    """
    require_kind(kind)
    names, latency = common_networks(ops, end_to_end)
    require_split(len(names), train_networks, seeds)
    design, rows = cpu_design(ops), []
    for seed in range(seeds):
        train, test = split_networks(len(names), train_networks, seed)
        model = fit_whole(design, ops.network, names[train], latency[train], kind, seed)
        rows.append({"seed": seed, "model": model.kind, "op_mape": None})
        rows[-1] |= _errors(model, design, ops.network, names[test], latency[test])
        progress(f"seed {seed}: e2e {rows[-1]['e2e_mape']:.2f} %")
    return {
        **means(rows),
        "op_mape": None,
        "networks": len(names),
        "train_networks": train_networks,
        "seeds": seeds,
        "by_seed": rows,
    }


def evaluate_cpu_settings(
    ops: Path,
    end_to_end: Path,
    phones: Sequence[str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    train_networks: int = 71,
    seeds: int = 10,
    kind: str = "auto",
    progress: Progress = lambda text: None,
) -> dict[str, Any]:
    """The same for many settings of phones.

    Parameters
    ----------
    ops, end_to_end
        Tables of qed-usc.
    phones
        Names of phones to keep; None: all.
    targets
        Such as ``pixel4|1large1med|quant``; None: all of the table except those on a GPU.
    train_networks, seeds, kind, progress
        As in `evaluate_whole`; progress is called after each setting.

    Returns
    -------
    settings: what `evaluate_whole` returns for each; median_mape and worst_mape over settings, worst: its name.
    """
    if targets is None:
        targets = [name for name in qed_usc_targets(end_to_end) if not is_gpu(name)]
    targets = [name for name in targets if phones is None or name.split("|")[0] in phones]
    if not targets:
        raise InputError(f"no setting of {', '.join(phones or ())} on a CPU", source=str(end_to_end))
    graphs = read_qed_usc_graphs(ops)
    found: dict[str, dict[str, Any]] = {}
    for target in targets:
        networks = read_qed_usc_networks(end_to_end, target)
        found[target] = evaluate_whole(
            graphs, networks, train_networks=train_networks, seeds=seeds, kind=kind
        )
        progress(f"{target}: {found[target]['e2e_mape']:.2f} %")
    errors = {name: row["e2e_mape"] for name, row in found.items()}
    return {
        "median_mape": float(np.median(list(errors.values()))),
        "worst_mape": max(errors.values()),
        "worst": max(errors, key=lambda name: errors[name]),
        "settings": found,
    }


def _errors(
    model: WholeModel, design: Design, network: TextArray, names: TextArray, latency: FloatArray
) -> dict[str, float]:
    rows = np.isin(network, names)
    design, network = design.take(rows), network[rows]
    found = accuracy(model.predict(design, network, names), latency)
    below = latency <= model.predict(design, network, names, quantile=0.9)
    return {
        "e2e_mape": found.pop("mape"),
        **found,
        "coverage_90": 100 * float(below.mean()),
        "predictions_per_second": _speed(model, design),
        "bytes": _size(model),
    }


def _speed(model: WholeModel, design: Design) -> float:
    batch = design.take(np.resize(np.arange(len(design)), SPEED_ROWS))
    return SPEED_ROWS / processor_seconds(lambda: model.operators(batch))


def _size(model: WholeModel) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return float(save_whole(model, Path(folder) / "model.json"))
