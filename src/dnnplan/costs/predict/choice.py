"""What `auto` chooses from: kinds of models on the same operators, judged on networks that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.models import OperatorModel, fit_operators, mixed
from dnnplan.costs.predict.tables import FloatArray, TextArray

CANDIDATES = ("boosting", "extra-trees", "ensemble")
"""What `auto` chooses from, the fastest first; the last is the mean of the others."""
TOLERANCE = 0.02
"""A slower model has to be better by this share of the error."""
FOLDS = 5


@dataclass(frozen=True)
class Candidates:
    """Models by kind, the fastest first, and (n,) logarithms of seconds from models that have not seen the network."""

    models: dict[str, OperatorModel]
    logs: dict[str, FloatArray]


def network_folds(network: TextArray, names: TextArray, seed: int) -> NDArray[np.intp]:
    """(n,) the fold of the network of each operator; `names` are all (m,) networks, in ascending order."""
    folds = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    found: NDArray[np.intp] = folds[np.searchsorted(names, network)]
    return found


def fit_candidates(
    design: Design, seconds: FloatArray, fold: NDArray[np.intp], kind: str, *, weight: FloatArray, seed: int
) -> Candidates:
    """Train one kind, or for `auto` all `CANDIDATES`, on (n,) operators, and once more without each fold."""
    mean = CANDIDATES[-1]
    kinds = CANDIDATES[:-1] if kind == "auto" else (kind,)
    logs = out_of_fold(design, seconds, fold, kinds, weight=weight, seed=seed)
    models = {name: fit_operators(design, seconds, name, seed=seed, weight=weight) for name in kinds}
    if kind == "auto":
        logs[mean] = sum((logs[name] for name in kinds), np.zeros(len(seconds))) / len(kinds)
        models[mean] = mixed(tuple(models[name] for name in kinds), mean)
    return Candidates(models, logs)


def out_of_fold(
    design: Design,
    seconds: FloatArray,
    fold: NDArray[np.intp],
    kinds: tuple[str, ...],
    *,
    weight: FloatArray,
    seed: int,
) -> dict[str, FloatArray]:
    """(n,) logarithms of seconds for each kind, from models that have seen no operator of the same fold."""
    out = {kind: np.empty(len(seconds)) for kind in kinds}
    for held in np.unique(fold):
        rest = fold != held
        for kind in kinds:
            model = fit_operators(design.take(rest), seconds[rest], kind, seed=seed, weight=weight[rest])
            out[kind][~rest] = np.log(model.predict(design.take(~rest)))
    return out


def cheapest_good(errors: Mapping[str, float]) -> str:
    """The kind of least error; a later one has to be better by `TOLERANCE` than the best before it.

    >>> cheapest_good({"fast": 5.0, "slow": 4.95, "slower": 4.0})
    'slower'
    """
    best, chosen = np.inf, next(iter(errors))
    for name, error in errors.items():
        if error < (1 - TOLERANCE) * best:
            best, chosen = error, name
    return chosen
