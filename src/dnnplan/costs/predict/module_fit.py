"""Training of every kind of model on every module, and predictions of operators that a model has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.medn import Medn
from dnnplan.costs.predict.medn_torch import DEFAULT, MednSettings
from dnnplan.costs.predict.medn_train import fit_medn
from dnnplan.costs.predict.models import OperatorModel, fit_operators, mixed
from dnnplan.costs.predict.module_model import BLEND, MEDN, ModuleModel
from dnnplan.costs.predict.modules import Modules
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.instances.errors import InputError

MEANS = {"ensemble": ("extra-trees", "boosting"), "boosting-both": ("boosting", "boosting-l1")}
"""Kinds that are the mean of the logarithms of others."""

Progress = Callable[[str], None]
Labels = Mapping[str, NDArray[np.str_]]


def out_of_fold_logs(
    modules: Modules,
    kinds: tuple[str, ...],
    labels: Labels | None,
    folds: int,
    seed: int,
    settings: MednSettings = DEFAULT,
    progress: Progress = lambda text: None,
) -> dict[str, dict[str, FloatArray]]:
    """Kind -> module -> (n,) logarithms of seconds from models that have not seen the operator."""
    if folds < 2:
        raise InputError(f"{folds} folds, expected 2 or more")
    fold = {name: np.floor(at * folds) for name, at in ranks(modules, labels, seed).items()}
    out = {kind: {name: np.empty(len(s)) for name, (_, s) in modules.items()} for kind in kinds}
    for number in range(folds):
        rest = {
            name: (d.take(fold[name] != number), s[fold[name] != number]) for name, (d, s) in modules.items()
        }
        fitted = fit_kinds(rest, kinds, seed, settings)
        for kind, model in fitted.items():
            for name, (design, _) in modules.items():
                held = fold[name] == number
                out[kind][name][held] = np.log(model.predict(name, design.take(held)))
        progress(f"fold {number + 1} of {folds}")
    return out


def ranks(modules: Modules, labels: Labels | None, seed: int) -> dict[str, FloatArray]:
    """Module -> (n,) numbers in [0, 1), at random, evenly spread, equal for operators of one label.

    Without labels, operators of a module with equal features and work have one.
    """
    if not modules:
        raise InputError("no module")
    random = np.random.default_rng(seed)
    if labels is None:
        found = {name: _equal_rows(design) for name, (design, _) in modules.items()}
        return {name: _ranks(at, random) for name, at in found.items()}
    wrong = [
        name
        for name, (design, _) in modules.items()
        if name not in labels or len(labels[name]) != len(design)
    ]
    if wrong:
        raise InputError(f"module {wrong[0]!r}: labels are missing, or not one for each operator")
    names = np.unique(np.concatenate([labels[name] for name in modules]), return_inverse=True)[1].ravel()
    ends = np.cumsum([len(design) for design, _ in modules.values()])[:-1]
    return dict(zip(modules, np.split(_ranks(names, random), ends), strict=True))


def _equal_rows(design: Design) -> NDArray[np.intp]:
    table = np.column_stack([design.values, np.unique(design.group, return_inverse=True)[1].ravel()])
    return np.unique(table, axis=0, return_inverse=True)[1].ravel()


def _ranks(label: NDArray[np.intp], random: np.random.Generator) -> FloatArray:
    count = int(label.max()) + 1
    out: FloatArray = random.permutation(count)[label] / count
    return out


def fit_kinds(
    modules: Modules, kinds: Iterable[str], seed: int, settings: MednSettings = DEFAULT
) -> dict[str, ModuleModel]:
    """Kind -> a model of that kind for every module; what several kinds need is trained once."""
    wanted = tuple(kinds)
    single: dict[str, dict[str, OperatorModel]] = {}

    def operators(kind: str) -> dict[str, OperatorModel]:
        if kind not in single:
            single[kind] = {name: _operator(kind, name, d, s) for name, (d, s) in modules.items()}
        return single[kind]

    def _operator(kind: str, name: str, design: Design, seconds: FloatArray) -> OperatorModel:
        if kind in MEANS:
            return mixed(tuple(operators(part)[name] for part in MEANS[kind]), kind)
        return fit_operators(design, seconds, kind, seed=seed)

    medn: Medn | None = None
    if any(MEDN in kind for kind in wanted):
        medn = fit_medn(modules, seed=seed, settings=settings)
    out = {}
    for kind in wanted:
        own = {} if kind == MEDN else operators("ensemble" if kind == BLEND else kind)
        out[kind] = ModuleModel(dict.fromkeys(modules, kind), own, medn if MEDN in kind else None)
    return out


def assembled(chosen: Mapping[str, str], fitted: Mapping[str, ModuleModel]) -> ModuleModel:
    """The predictor of a kind for each module."""
    operators = {
        module: fitted[kind].operators[module]
        for module, kind in chosen.items()
        if module in fitted[kind].operators
    }
    shared = [(module, fitted[kind].medn) for module, kind in chosen.items() if MEDN in kind]
    medn = shared[0][1] if shared else None
    return ModuleModel(dict(chosen), operators, medn and medn.only([module for module, _ in shared]))
