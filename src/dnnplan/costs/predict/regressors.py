"""Comparison of regressions, each alone for all modules, with the choice of one for each module."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.predict.medn_torch import DEFAULT, MednSettings
from dnnplan.costs.predict.module_files import save_modules
from dnnplan.costs.predict.module_fit import Labels, Progress, assembled, fit_kinds, out_of_fold_logs, ranks
from dnnplan.costs.predict.module_model import ModuleModel, model_bytes
from dnnplan.costs.predict.modules import Modules
from dnnplan.costs.predict.selection import (
    FOLDS,
    TOLERANCE,
    choose,
    figures_of,
    judge,
    relative_errors,
    wanted_kinds,
)
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError

SELECTION, OVERALL = "selection", "overall"
FIGURES = ("accuracy", "mape", "r2", "hit_5", "hit_10", "microseconds", "bytes")
BATCH, REPEATS = 2000, 5


def compare_regressors(
    modules: Modules,
    seeds: Iterable[int],
    test_share: float = 0.3,
    *,
    kinds: Iterable[str] | None = None,
    labels: Labels | None = None,
    folds: int = FOLDS,
    tolerance: float = TOLERANCE,
    settings: MednSettings = DEFAULT,
    progress: Progress = lambda text: None,
) -> dict[str, list[dict[str, Any]]]:
    """Figures on operators that neither training nor validation has seen, over random splits.

    Parameters
    ----------
    seeds
        Of the splits, and of training.
    test_share
        Share of the operators of each module that is tested on.
    kinds, labels, folds, tolerance, settings
        As in `select_models`. No side of a split has operators of a label of the other.

    Returns
    -------
    records
        For each regressor, `selection` among them, and each module, `overall` among them: regressor, module, and of
        each of `FIGURES` its mean over seeds, and NAME_low and NAME_high, the 95 % interval of that mean by
        Student's t (None for one seed). Overall is the mean over modules, and all bytes of the saved folder.
        accuracy, mape and hits are in percent, microseconds of one prediction in a batch.
    differences
        For each single regressor: overall accuracy of the selection less that of the regressor on the same split, as
        `accuracy` (mean), `accuracy_low`, `accuracy_high` and `accuracy_least` (the worst seed); the same for r2.
    choices
        For each seed and module the kind that was chosen.
    """
    wanted, rows, choices = wanted_kinds(kinds), [], []
    if not 0 < test_share < 1:
        raise InputError(f"test share {test_share:g}, expected a number between 0 and 1")
    for seed in seeds:
        found, chosen = _split_figures(modules, seed, test_share, wanted, labels, folds, tolerance, settings)
        rows.append(found)
        choices += [{"seed": seed, "module": module, "kind": kind} for module, kind in chosen.items()]
        progress(f"seed {seed}: accuracy {found[SELECTION][OVERALL]['accuracy']:.2f} %")
    if not rows:
        raise InputError("no seed, expected one or more")
    return {"records": _records(rows), "differences": _differences(rows, wanted), "choices": choices}


Figured = dict[str, dict[str, dict[str, float]]]
"""Regressor -> module -> figures."""


def _split_figures(
    modules: Modules,
    seed: int,
    share: float,
    kinds: tuple[str, ...],
    labels: Labels | None,
    folds: int,
    tolerance: float,
    settings: MednSettings,
) -> tuple[Figured, dict[str, str]]:
    # Another stream of random numbers than that of the folds.
    tested = {name: at < share for name, at in ranks(modules, labels, seed + 1_000_003).items()}
    train = {name: (d.take(~tested[name]), s[~tested[name]]) for name, (d, s) in modules.items()}
    test = {name: (d.take(tested[name]), s[tested[name]]) for name, (d, s) in modules.items()}
    empty = [name for name, (_, seconds) in test.items() if not len(seconds)]
    if empty:
        raise InputError(f"module {empty[0]!r} has no operator to test on")
    kept = None if labels is None else {name: labels[name][~tested[name]] for name in modules}
    logs = out_of_fold_logs(train, kinds, kept, folds, seed, settings)
    fitted = fit_kinds(train, kinds, seed, settings)
    chosen = choose(judge(train, logs, fitted), relative_errors(train, logs), tolerance)
    models = {**fitted, SELECTION: assembled(chosen, fitted)}
    return {name: _tested(model, test) for name, model in models.items()}, chosen


def _tested(model: ModuleModel, test: Modules) -> dict[str, dict[str, float]]:
    out = {}
    for module, (design, seconds) in test.items():
        batch = design.take(np.resize(np.arange(len(design)), BATCH))
        spent = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            model.predict(module, batch)
            spent.append(time.perf_counter() - start)
        out[module] = {
            **figures_of(model.predict(module, design), seconds),
            "microseconds": 1e6 * min(spent) / BATCH,
            "bytes": float(model_bytes(model, module)),
        }
    whole = {name: float(np.mean([figures[name] for figures in out.values()])) for name in FIGURES}
    with tempfile.TemporaryDirectory() as folder:
        whole["bytes"] = float(save_modules(model, Path(folder)))
    return {**out, OVERALL: whole}


def _records(rows: list[Figured]) -> list[dict[str, Any]]:
    return [
        {"regressor": regressor, "module": module}
        | {key: value for name in FIGURES for key, value in _figure(rows, regressor, module, name).items()}
        for regressor, modules in rows[0].items()
        for module in modules
    ]


def _figure(rows: list[Figured], regressor: str, module: str, name: str) -> dict[str, float | None]:
    values = np.array([row[regressor][module][name] for row in rows])
    low, high = interval(values)
    return {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}


def _differences(rows: list[Figured], kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    out = []
    for kind in kinds:
        record: dict[str, Any] = {"regressor": kind}
        for name in ("accuracy", "r2"):
            values = np.array([row[SELECTION][OVERALL][name] - row[kind][OVERALL][name] for row in rows])
            low, high = interval(values)
            record |= {name: float(values.mean()), f"{name}_low": low, f"{name}_high": high}
            record[f"{name}_least"] = float(values.min())
        out.append(record)
    return out


def interval(values: FloatArray) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean by Student's t; of one value there is none."""
    from scipy.stats import t

    if len(values) < 2:
        return None, None
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half
