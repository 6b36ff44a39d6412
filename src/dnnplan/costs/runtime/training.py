"""Training a predictor of ONNX Runtime on a profile table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.predict.choice import FOLDS, cheapest_good, fit_candidates, network_folds
from dnnplan.costs.predict.compose import Composition, NetworkTerms, fit_composition, network_terms
from dnnplan.costs.predict.evaluate import accuracy, share_weights
from dnnplan.costs.predict.linear import relative_nnls
from dnnplan.costs.predict.models import MODELS, OperatorModel
from dnnplan.costs.predict.tables import FloatArray, Operators
from dnnplan.costs.runtime.design import runtime_design
from dnnplan.costs.runtime.predictor import About, Fallback, RuntimePredictor
from dnnplan.costs.runtime.tables import Profiled, profiled
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import unknown

LEAST_NETWORKS = 20
LEAST_ROWS = 40
"""Kernels below which a module gets no regression."""
MOST_EVENT = 5e-6
"""Seconds that an event costs at most."""
SMALL, ROUNDS = 0.02, 10
"""Relative error beyond which the fit of that cost counts errors almost linearly, and its rounds."""
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """A trained predictor, and how it does on what it was not trained on.

    Attributes
    ----------
    predictor
        Trained on everything.
    table
        What it was trained on, without the cost of events.
    held
        Module -> (n,) predictions of its kernels by models that have not seen their network.
    """

    predictor: RuntimePredictor
    table: Profiled
    held: dict[str, FloatArray]

    def by_module(self) -> dict[str, dict[str, float]]:
        """Module -> kernels, and mape, hit_5, hit_10 (percent) and r2 on networks that were not trained on."""
        return {
            name: {"kernels": len(ops), **accuracy(self.held[name], ops.latency)}
            for name, ops in self.table.modules.items()
        }

    def networks(self) -> dict[str, float]:
        """The same end to end, each network composed by coefficients that were fitted without it."""
        ratio = np.exp(self.predictor.composition.residuals)
        found = {
            "mape": float(100 * np.abs(1 / ratio - 1).mean()),
            "hit_5": float(100 * (np.abs(1 / ratio - 1) <= 0.05).mean()),
            "hit_10": float(100 * (np.abs(1 / ratio - 1) <= 0.1).mean()),
        }
        return {"networks": len(ratio), **found}


def train(
    columns: Mapping[str, list[Any]],
    *,
    threads: int = 1,
    utilisation: float = 0.0,
    kind: str = "auto",
    seed: int = 0,
    progress: Progress = lambda text: None,
) -> Training:
    """Learn one setting of a profile table: every network in it, sampled or real, is trained on.

    Parameters
    ----------
    columns
        `ProfileTable.read()`, or the columns of another table of the same names.
    threads, utilisation
        The setting; rows of others are left out. The batch is part of the shapes.
    kind
        One of `MODELS` for all modules, or `auto`: the one of least error on networks that it has not seen, module
        by module, weighted by shares of time; a slower one has to be better by 2 % of it.

    Raises
    ------
    InputError
        Unknown kind, or too few networks in this setting.
    """
    if kind != "auto" and kind not in MODELS:
        raise InputError(unknown("model", kind, [*MODELS, "auto"]))
    table = profiled(columns, threads=threads, utilisation=utilisation)
    names = table.networks.network
    if len(names) < LEAST_NETWORKS:
        raise InputError(
            f"{len(names)} networks with {threads} threads and utilisation {utilisation:g}, "
            f"expected {LEAST_NETWORKS} or more"
        )
    table = without_events(table)
    table = set_aside(table, [name for name, ops in table.modules.items() if len(ops) < LEAST_ROWS])
    order = np.unique(names)
    models, held, spread = {}, {}, {}
    for module, ops in table.modules.items():
        fold = network_folds(ops.network, order, seed)
        models[module], held[module] = fit_module(module, ops, fold, kind, seed)
        error = np.log(ops.latency / held[module])
        spread[module] = float(np.sqrt(np.mean(np.clip(error, -1, 1) ** 2)))
        progress(
            f"{module}: {len(ops)} kernels, {models[module].kind}, {100 * np.abs(np.expm1(error)).mean():.1f} %"
        )
    at = columns["key"].index(str(names[0]))
    about = About(
        str(columns["device"][at]),
        str(columns["runtime"][at]),
        threads,
        utilisation,
        sum(len(ops) for ops in table.modules.values()),
        len(names),
        int(columns["block"][at]),
    )
    predictor = RuntimePredictor(models, spread, _composition(table, held, seed), fit_fallback(table), about)
    return Training(predictor, table, held)


def set_aside(table: Profiled, modules: Sequence[str]) -> Profiled:
    """The table with some modules among the kernels that count for networks, and have no regression."""
    keys, seconds = table.frame
    rest = [table.modules[name] for name in modules]
    unknown = Counter(table.unknown)
    for ops in rest:
        unknown.update(ops.kind.tolist())
    return replace(
        table,
        modules={name: ops for name, ops in table.modules.items() if name not in modules},
        frame=(
            np.concatenate([keys, *(ops.network for ops in rest)]),
            np.concatenate([seconds, *(ops.latency for ops in rest)]),
        ),
        unknown=dict(unknown),
    )


def without_events(table: Profiled) -> Profiled:
    """The table with what writing an event costs taken from every kernel.

    A profile lengthens kernels: networks of many small ones take less than the sum of their kernels. The cost d of
    an event is fitted in seconds = a + sum - d x kernels, with 0 <= a, 0 <= d <= `MOST_EVENT`, on relative errors.
    """
    names, seconds = table.networks.network, table.networks.latency
    place = {name: at for at, name in enumerate(names.tolist())}
    measured = [(ops.network, ops.latency) for ops in table.modules.values()] + [table.frame]
    at = np.array([place[key] for keys, _ in measured for key in keys.tolist()])
    every = np.concatenate([latency for _, latency in measured])
    count: FloatArray = np.bincount(at, minlength=len(names)).astype(float)
    total: FloatArray = np.bincount(at, weights=every, minlength=len(names)).astype(float)
    cost = event_cost(total, count, seconds)
    modules = {
        name: replace(ops, latency=np.maximum(ops.latency - cost, ops.latency / 4))
        for name, ops in table.modules.items()
    }
    keys, frame = table.frame
    return replace(table, modules=modules, frame=(keys, np.maximum(frame - cost, frame / 4)))


def event_cost(total: FloatArray, count: FloatArray, seconds: FloatArray) -> float:
    """Seconds that an event adds to a kernel.

    Parameters
    ----------
    total, count, seconds
        (m,) sums of kernels, numbers of kernels, and seconds end to end, of networks.
    """
    from scipy.optimize import lsq_linear

    weight, found = np.ones(len(seconds)), np.zeros(2)
    rows = np.column_stack([np.ones(len(seconds)), -count]) / seconds[:, None]
    target = (seconds - total) / seconds
    for _ in range(ROUNDS):
        fit = lsq_linear(rows * weight[:, None], target * weight, bounds=([0, 0], [1e-3, MOST_EVENT]))
        found = fit.x
        weight = 1 / np.sqrt(np.maximum(np.abs(rows @ found - target), SMALL))
    return float(found[1])


def fit_module(
    module: str, ops: Operators, fold: NDArray[np.intp], kind: str, seed: int
) -> tuple[OperatorModel, FloatArray]:
    """The model of one module, and (n,) predictions of each kernel from models that have not seen its network."""
    weight = share_weights(ops)
    found = fit_candidates(runtime_design(module, ops), ops.latency, fold, kind, weight=weight, seed=seed)
    errors = {
        name: float(np.average(np.abs(np.exp(logs) / ops.latency - 1), weights=weight))
        for name, logs in found.logs.items()
    }
    chosen = cheapest_good(errors)
    return found.models[chosen], np.exp(found.logs[chosen])


def _composition(table: Profiled, held: Mapping[str, FloatArray], seed: int) -> Composition:
    measured = {name: ops.latency for name, ops in table.modules.items()}
    predicted, known = (_sums(table, seconds) for seconds in (held, measured))
    return fit_composition(predicted, known, table.networks.latency, seed=seed)


def _sums(table: Profiled, seconds: Mapping[str, FloatArray]) -> NetworkTerms:
    """Terms of the networks of a table, from seconds of the kernels of each module; the rest of them as measured."""
    keys, rest = table.frame
    modules = table.modules
    network = np.concatenate([*(ops.network for ops in modules.values()), keys])
    module = np.concatenate(
        [*(np.full(len(ops), name) for name, ops in modules.items()), np.full(len(keys), REST)]
    )
    every = np.concatenate([*(seconds[name] for name in modules), rest])
    return network_terms(table.networks.network, network, module, every)


REST = "elementwise"
"""The class of kernels that no regression predicts: those around samples, and of unknown operators."""


def fit_fallback(table: Profiled) -> Fallback:
    """A roofline of kernels that mostly move numbers: what an unknown operator is, until it is measured."""
    chosen = [table.modules[name] for name in ("elementwise", "move", "pool") if name in table.modules]
    chosen = chosen or list(table.modules.values())
    elements = np.concatenate(
        [
            ops.columns["elements_in"] + ops.columns["elements_more"] + ops.columns["elements_out"]
            for ops in chosen
        ]
    )
    seconds = np.concatenate([ops.latency for ops in chosen])
    terms = np.column_stack([np.ones(len(seconds)), 4 * elements])
    overhead, by_byte = relative_nnls(terms, seconds, np.full(2, 1e-6))
    error = np.log(seconds / np.maximum(terms @ np.array([overhead, by_byte]), 1e-7))
    bandwidth = 1 / max(by_byte, 1e-15)
    return Fallback(float(overhead), float(bandwidth), float(bandwidth), float(np.sqrt(np.mean(error**2))))


def learning_curve(
    columns: Mapping[str, list[Any]],
    sizes: Sequence[int],
    *,
    threads: int = 1,
    utilisation: float = 0.0,
    kind: str = "boosting",
    seed: int = 0,
) -> list[dict[str, float]]:
    """Errors by the number of networks trained on: each size trains on the first so many of a random order.

    A fifth of the networks is tested on and never trained on.

    Returns
    -------
    For each size: networks, kernels, op_mape (percent, weighted by seconds) and e2e_mape.
    """
    setting = zip(columns["key"], columns["threads"], columns["utilisation"], strict=True)
    every = sorted({key for key, t, u in setting if (t, u) == (threads, utilisation)})
    order = np.random.default_rng(seed).permutation(len(every))
    test = {every[at] for at in order[: max(1, len(every) // FOLDS)]}
    rest = [every[at] for at in order[len(test) :]]
    found = []
    for size in sizes:
        if size > len(rest):
            raise InputError(
                f"{size} networks to train on, but the table has {len(rest)} beside those of the test"
            )
        chosen = set(rest[:size])
        result = train(_only(columns, chosen), threads=threads, utilisation=utilisation, kind=kind, seed=seed)
        errors = network_errors(result.predictor, _only(columns, test), threads, utilisation)
        kernels = sum(len(ops) for ops in result.table.modules.values())
        found.append({"networks": size, "kernels": kernels, **errors})
    return found


def _only(columns: Mapping[str, list[Any]], keys: set[str]) -> dict[str, list[Any]]:
    rows = [at for at, key in enumerate(columns["key"]) if key in keys]
    return {name: [values[at] for at in rows] for name, values in columns.items()}


def network_errors(
    predictor: RuntimePredictor, columns: Mapping[str, list[Any]], threads: int, utilisation: float
) -> dict[str, float]:
    """op_mape (weighted by seconds) and e2e_mape in percent on measured networks.

    Kernels around samples, and of modules that the predictor does not have, count as measured: no error of it.
    """
    table = profiled(columns, threads=threads, utilisation=utilisation)
    table = set_aside(table, [name for name in table.modules if name not in predictor.models])
    predicted = {name: predictor.predict_operators(name, ops) for name, ops in table.modules.items()}
    every = np.concatenate([ops.latency for ops in table.modules.values()])
    guess = np.concatenate([predicted[name] for name in table.modules])
    whole = predictor.composition.predict(_sums(table, predicted))
    return {
        "op_mape": float(100 * np.average(np.abs(guess / every - 1), weights=every)),
        "e2e_mape": float(100 * np.abs(whole / table.networks.latency - 1).mean()),
    }
