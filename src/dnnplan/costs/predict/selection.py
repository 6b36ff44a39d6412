"""The regression of each module, chosen by accuracy and, among equals, by time and space.

Several regressions a module, an automatic choice of the most accurate ones that keeps time and space low (TSA), and
MEDN are those of Shen, Tziritas and Theodoropoulos (arXiv 2312.06440). What they leave open is ours:

* accuracy: 1 - MAPE, 0 at least;
* validation: out-of-fold predictions of all training operators. Operators of one label, or with equal features, are
  never on both sides;
* choice: the kind that is the most accurate over all modules, unless another one is better for a module by more than
  one standard error of the paired differences of absolute relative errors. Accuracy of some hundred operators is
  noisy: without this rule the choice lost on operators not seen what it won in validation;
* ties: models that are worse than the chosen one by at most `TOLERANCE` of its MAPE, a standard error included; of
  them the one with the least estimated time (`work_nanoseconds`, the same on every run), then the least bytes;
* the means of logarithms of other models, `ensemble` and `medn+ensemble`, are candidates of their own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.predict.evaluate import accuracy
from dnnplan.costs.predict.medn_torch import DEFAULT, MednSettings
from dnnplan.costs.predict.module_fit import Labels, Progress, assembled, fit_kinds, out_of_fold_logs
from dnnplan.costs.predict.module_model import BLEND, KINDS, MEDN, ModuleModel, model_bytes, work_nanoseconds
from dnnplan.costs.predict.modules import Modules
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

CANDIDATES = ("linear", "lasso", "mlp", "random-forest", "extra-trees", "boosting", "ensemble", MEDN, BLEND)
TOLERANCE = 0.01
"""Share of the MAPE that a cheaper model may be worse by."""
FLOOR = 0.01
"""Percentage points of MAPE that are no difference."""
FOLDS = 5


Errors = dict[str, dict[str, FloatArray]]


@dataclass(frozen=True)
class Figures:
    """What a kind of model reached on a module: percent, estimated nanoseconds of a prediction, bytes.

    Attributes
    ----------
    accuracy
        100 - mape, 0 at least.
    hit_5, hit_10
        Operators within 5 and 10 %.
    """

    accuracy: float
    mape: float
    r2: float
    hit_5: float
    hit_10: float
    work: float
    bytes: int


@dataclass(frozen=True)
class Selection:
    """The chosen models, and the validation figures of all: module -> kind -> figures."""

    model: ModuleModel
    figures: dict[str, dict[str, Figures]]


def select_models(
    modules: Modules,
    *,
    kinds: Iterable[str] | None = None,
    labels: Labels | None = None,
    folds: int = FOLDS,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    settings: MednSettings = DEFAULT,
    progress: Progress = lambda text: None,
) -> Selection:
    """Train every kind of model on every module, and keep the best of each.

    Parameters
    ----------
    modules
        Module -> design and (n,) measured seconds.
    kinds
        Of `KINDS`; None: `CANDIDATES`, those with MEDN only where PyTorch is installed.
    labels
        Module -> (n,) texts: operators of one label, such as a network, are in one fold; a label means the same in
        all modules. None: operators with equal features.
    folds
        Of the validation.
    tolerance
        Share of the MAPE within which a cheaper model is taken.
    settings
        Of MEDN.

    Raises
    ------
    InputError
        No module, an unknown kind, fewer than two folds, or too few operators in a module.
    """
    wanted = wanted_kinds(kinds)
    logs = out_of_fold_logs(modules, wanted, labels, folds, seed, settings, progress)
    fitted = fit_kinds(modules, wanted, seed, settings)
    figures = judge(modules, logs, fitted)
    chosen = choose(figures, relative_errors(modules, logs), tolerance)
    progress(", ".join(f"{module}: {kind}" for module, kind in chosen.items()))
    return Selection(assembled(chosen, fitted), figures)


def wanted_kinds(kinds: Iterable[str] | None) -> tuple[str, ...]:
    """The kinds that are asked for, each once, or all that can be trained here."""
    if kinds is None:
        there = importlib.util.find_spec("torch") is not None
        return tuple(kind for kind in CANDIDATES if there or MEDN not in kind)
    wanted = tuple(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise InputError(unknown("model", kind, KINDS))
    if not wanted:
        raise InputError("no kind of model, expected one or more")
    return wanted


def choose(
    figures: Mapping[str, Mapping[str, Figures]], errors: Errors, tolerance: float = TOLERANCE
) -> dict[str, str]:
    """The kind of each module.

    Parameters
    ----------
    figures
        Module -> kind -> validation figures.
    errors
        Module -> kind -> (n,) absolute relative errors of the same operators, in percent.
    tolerance
        As in `select_models`.
    """
    kinds = list(next(iter(figures.values())))
    overall = {kind: float(np.mean([found[kind].mape for found in figures.values()])) for kind in kinds}
    common = min(kinds, key=lambda kind: overall[kind])
    return {module: _choose(found, errors[module], common, tolerance) for module, found in figures.items()}


def _choose(
    figures: Mapping[str, Figures], errors: Mapping[str, FloatArray], common: str, tolerance: float
) -> str:
    best = min(figures, key=lambda kind: figures[kind].mape)
    gain, doubt = _difference(errors[common], errors[best])
    if gain <= doubt:
        best = common
    allowed = tolerance * figures[best].mape + FLOOR
    near = [kind for kind in figures if sum(_difference(errors[kind], errors[best])) <= allowed]
    return min(near, key=lambda kind: (figures[kind].work, figures[kind].bytes, figures[kind].mape, kind))


def _difference(worse: FloatArray, better: FloatArray) -> tuple[float, float]:
    """Mean of paired differences, and its standard error."""
    apart = worse - better
    return float(apart.mean()), float(apart.std() / np.sqrt(len(apart)))


def relative_errors(modules: Modules, logs: Mapping[str, Mapping[str, FloatArray]]) -> Errors:
    """Module -> kind -> (n,) absolute relative errors in percent, from (n,) logarithms of predicted seconds."""
    return {
        module: {kind: 100 * np.abs(np.exp(own[module]) / seconds - 1) for kind, own in logs.items()}
        for module, (_, seconds) in modules.items()
    }


def figures_of(predicted: FloatArray, measured: FloatArray) -> dict[str, float]:
    """`accuracy`, and what `evaluate.accuracy` gives."""
    found = accuracy(predicted, measured)
    return {"accuracy": max(0.0, 100 - found["mape"]), **found}


def judge(
    modules: Modules, logs: Mapping[str, Mapping[str, FloatArray]], fitted: Mapping[str, ModuleModel]
) -> dict[str, dict[str, Figures]]:
    """Module -> kind -> figures, from (n,) logarithms of predicted seconds and the trained models."""
    return {
        module: {
            kind: Figures(
                **figures_of(np.exp(logs[kind][module]), seconds),
                work=work_nanoseconds(model, module),
                bytes=model_bytes(model, module),
            )
            for kind, model in fitted.items()
        }
        for module, (_, seconds) in modules.items()
    }
