"""Operator-wise models: a non-negative line of work, and a regression of what it leaves on a log scale.

Every regression here predicts log(latency / line), with the line of `dnnplan.costs.predict.linear` as a further
feature. Trees alone cannot go beyond the largest operator they have seen; the line can. The combination is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.extras import lightgbm, sklearn
from dnnplan.costs.predict.forests import from_lightgbm, from_sklearn
from dnnplan.costs.predict.linear import WorkLine, fit_line, lasso
from dnnplan.costs.predict.mlp import Perceptron, fit_perceptron
from dnnplan.costs.predict.tables import FloatArray, TextArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

LIMIT = 4.0
"""A regression may move the line by at most exp(LIMIT) either way."""
LEAST_ROWS = 20
"""Operators needed for training."""


class Part(Protocol):
    """A trained regression."""

    def predict(self, features: FloatArray) -> FloatArray:
        """(n,) for (n, f)."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds."""
        ...


@dataclass(frozen=True)
class OperatorModel:
    """A trained predictor of the latency of operators.

    Attributes
    ----------
    kind
        One of `MODELS`.
    names, terms
        Of the columns that `predict` expects.
    parts
        Regressions of log(latency / line); their mean is added. None: the line alone.
    low, high
        (f,) range of each feature in training.
    owners
        For each part the group that it is for; "": for groups without parts of their own. (): all for all.
    """

    kind: str
    names: tuple[str, ...]
    terms: tuple[str, ...]
    line: WorkLine
    parts: tuple[Part, ...]
    low: FloatArray
    high: FloatArray
    owners: tuple[str, ...] = ()

    def predict(self, design: Design) -> FloatArray:
        """(n,) seconds.

        Raises
        ------
        InputError
            The columns are not those of training.
        """
        require_columns(design, self.names, self.terms)
        base = self.line.predict(design.work, design.group)
        if not self.parts:
            return np.exp(base)
        rows = regression_rows(design, base)
        rest = self._rest(rows, design.group)
        return np.exp(base + np.clip(rest, -LIMIT, LIMIT))

    def _rest(self, rows: FloatArray, group: TextArray) -> FloatArray:
        """(n,) mean of the parts that are for each row."""
        if not self.owners:
            return _mean_of(self.parts, rows)
        out = np.zeros(len(rows))
        named = [name for name in dict.fromkeys(self.owners) if name]
        for name in ("", *named):
            mine = group == name if name else ~np.isin(group, named)
            parts = tuple(part for part, owner in zip(self.parts, self.owners, strict=True) if owner == name)
            if mine.any():
                out[mine] = _mean_of(parts, rows[mine])
        return out

    def out_of_range(self, design: Design) -> NDArray[np.bool_]:
        """(n,) whether some feature lies outside what was seen in training: the prediction is a guess there."""
        require_columns(design, self.names, self.terms)
        outside = (design.values < self.low) | (design.values > self.high)
        return np.asarray(outside.any(axis=1))


def require_columns(design: Design, names: tuple[str, ...], terms: tuple[str, ...]) -> None:
    """The columns of a design are those of training, in their order."""
    if design.names != names or design.terms != terms:
        odd = sorted(set(design.names) ^ set(names) | set(design.terms) ^ set(terms))
        raise InputError(f"features are not those of the model: {', '.join(odd[:5]) or 'another order'}")


def _mean_of(parts: tuple[Part, ...], rows: FloatArray) -> FloatArray:
    out: FloatArray = sum((part.predict(rows) for part in parts), np.zeros(len(rows))) / len(parts)
    return out


def regression_rows(design: Design, base: FloatArray) -> FloatArray:
    """Features and the line, in single precision as the trees compare them."""
    return np.column_stack([design.values, base]).astype(np.float32).astype(float)


def _extra_trees(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    model = sklearn("ensemble").ExtraTreesRegressor(
        TREES, max_features=0.5, min_samples_leaf=2, random_state=seed, n_jobs=1
    )
    return from_sklearn(model.fit(rows, target, sample_weight=weight))


def _random_forest(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    model = sklearn("ensemble").RandomForestRegressor(
        TREES, max_features=0.4, min_samples_leaf=2, random_state=seed, n_jobs=1
    )
    return from_sklearn(model.fit(rows, target, sample_weight=weight))


def _boosting(
    rows: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    seed: int,
    loss: str = "regression",
    size: tuple[int, int] | None = None,
) -> Part:
    """Trees of LightGBM; `size`: how many, of how many leaves."""
    package = lightgbm()
    trees, leaves = size or ((600, 63) if len(rows) > LARGE else (300, 31))
    settings = {
        "objective": loss,
        "learning_rate": 0.06,
        "num_leaves": leaves,
        "min_data_in_leaf": 5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.6,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = package.Dataset(rows, label=target, weight=weight, params={"verbose": -1})
    return from_lightgbm(package.train(settings, data, num_boost_round=trees))


def _boosting_l1(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    return _boosting(rows, target, weight, seed, "l1")


def _boosting_small(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    return _boosting(rows, target, weight, seed, "regression", SMALL)


def _boosting_small_l1(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    return _boosting(rows, target, weight, seed, "l1", SMALL)


def _lasso(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    del weight, seed
    weights, intercept = lasso(rows, target)
    width = rows.shape[1]
    return Perceptron(
        np.zeros(width), np.ones(width), (weights[:, None],), (np.array([intercept]),), clip=np.inf
    )


def _perceptron(rows: FloatArray, target: FloatArray, weight: FloatArray, seed: int) -> Part:
    del weight
    return fit_perceptron(rows, target, seed)


TREES = 60
LARGE = 10_000
"""Rows from which boosting takes more and larger trees."""
SMALL = 375, 32
"""Trees and leaves of boosting by group: trees of at most `walks.BITS` leaves are fast."""
OWN_ROWS = 500
"""Rows from which a group gets regressions of its own."""
MAX_OWNERS = 24

Fit = Callable[[FloatArray, FloatArray, FloatArray, int], Part]
MODELS: dict[str, tuple[Fit, ...]] = {
    "linear": (),
    "lasso": (_lasso,),
    "random-forest": (_random_forest,),
    "extra-trees": (_extra_trees,),
    "boosting": (_boosting,),
    "boosting-l1": (_boosting_l1,),
    "boosting-both": (_boosting, _boosting_l1),
    "boosting-groups": (_boosting_small, _boosting_small_l1),
    "mlp": (_perceptron,),
    "ensemble": (_extra_trees, _boosting),
}
"""The regressions of each kind of model; several: the mean of logarithms."""
BY_GROUP = ("boosting-groups",)
"""Kinds with regressions for each large group, beside those of all rows, which serve the other groups."""


def fit_operators(
    design: Design,
    seconds: FloatArray,
    kind: str = "ensemble",
    *,
    seed: int = 0,
    weight: FloatArray | None = None,
) -> OperatorModel:
    """Train a model of some kind on (n,) measured seconds.

    Parameters
    ----------
    design, seconds
        The operators, and what they took.
    kind
        One of `MODELS`.
    seed
        Of whatever is random in the training.
    weight
        (n,) of the operators, for trees; None: all alike.
    """
    if kind not in MODELS:
        raise InputError(unknown("model", kind, MODELS))
    if len(seconds) < LEAST_ROWS:
        raise InputError(f"{len(seconds)} operators to train on, expected {LEAST_ROWS} or more")
    line = fit_line(design.work, design.group, seconds)
    base = line.predict(design.work, design.group)
    rows, target = regression_rows(design, base), np.log(seconds) - base
    weight = np.ones(len(seconds)) if weight is None else weight
    owners = [""] * len(MODELS[kind])
    if kind in BY_GROUP:
        names, counts = np.unique(design.group, return_counts=True)
        own = [str(name) for name in names[counts >= OWN_ROWS]][:MAX_OWNERS]
        owners += [name for name in own for _ in MODELS[kind]]
    parts = []
    for at, owner in enumerate(owners):
        mine = design.group == owner if owner else np.ones(len(rows), dtype=bool)
        fit = MODELS[kind][at % len(MODELS[kind])]
        parts.append(fit(rows[mine], target[mine], weight[mine], seed))
    low, high = design.values.min(axis=0), design.values.max(axis=0)
    found = tuple(owners) if any(owners) else ()
    return OperatorModel(kind, design.names, design.terms, line, tuple(parts), low, high, found)


def mixed(models: tuple[OperatorModel, ...], kind: str) -> OperatorModel:
    """One model of the parts of several that were trained on the same rows."""
    first = models[0]
    parts = tuple(part for model in models for part in model.parts)
    return OperatorModel(kind, first.names, first.terms, first.line, parts, first.low, first.high)
