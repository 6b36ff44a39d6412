"""From shapes to an instance: compute times, tensors, weights, platform and rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.generators.graphs import Graph
from dnnplan.instances.generators.hardware import make_platform
from dnnplan.instances.generators.recipe import Recipe
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import DeviceRule, Layer, Model, Tensor
from dnnplan.instances.sections import Costs
from dnnplan.instances.task import Task

OPERATORS = ("Conv", "Gemm", "MaxPool", "Add", "Concat")
NOMINAL_RATE = 1e12
"""FLOP/s that the mean device reaches when costs are given as FLOP."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Numbers of all models in one piece: n layers, m devices, K tensors.

    Parameters
    ----------
    seconds
        (n, m) compute times.
    flops
        (n,) FLOP of the layers; zeros where times come from tables.
    rates
        (m,) FLOP/s of the devices; empty where times come from tables.
    tensor_bytes, weight_bytes
        (K,) and (n,) whole bytes.
    """

    seconds: NDArray[np.float64]
    flops: NDArray[np.float64]
    rates: NDArray[np.float64]
    tensor_bytes: NDArray[np.int64]
    weight_bytes: NDArray[np.int64]


def build_instance(
    name: str, graphs: Mapping[str, Graph], recipe: Recipe, draws: Draws, releases: Sequence[float] = ()
) -> Instance:
    """One instance of all `graphs` (by model name) that follows the recipe.

    Parameters
    ----------
    releases
        Earliest start of each model's task in seconds; empty: no tasks are written.
    """
    skeletons = {model: _tensors(graph, recipe.per_edge) for model, graph in graphs.items()}
    drawn = _draw(graphs, skeletons, recipe, draws)
    devices = tuple(f"d{j}" for j in range(recipe.devices))
    models: list[Model] = []
    table: dict[str, dict[str, dict[str, float]]] = {}
    layer_at = tensor_at = 0
    for model, graph in graphs.items():
        rows = slice(layer_at, layer_at + len(graph))
        sizes = drawn.tensor_bytes[tensor_at : tensor_at + len(skeletons[model])].tolist()
        rules, pairs = _rules(graph, recipe, devices, draws)
        layers = _layers(drawn.flops[rows].tolist(), drawn.weight_bytes[rows].tolist(), rules, draws)
        tensors = tuple(
            Tensor(name=t[0], source=t[1], targets=t[2], bytes=size, output=not t[2])
            for t, size in zip(skeletons[model], sizes, strict=True)
        )
        models.append(Model(name=model, layers=layers, tensors=tensors, colocate=pairs, source="generated"))
        if recipe.costs == "tables":
            times = drawn.seconds[rows].tolist()
            table[model] = {f"l{i}": dict(zip(devices, row, strict=True)) for i, row in enumerate(times)}
        layer_at += len(graph)
        tensor_at += len(sizes)
    tasks = (
        tuple(Task(name=m, model=m, release=r) for m, r in zip(graphs, releases, strict=True))
        if releases
        else ()
    )
    return Instance(
        name=name,
        source="generated",
        platform=make_platform(models, devices, drawn.rates.tolist(), recipe, draws),
        models=tuple(models),
        tasks=tasks,
        costs=Costs(latency=table),
        extensions={
            "generator": {"ccr": recipe.ccr, "heterogeneity": recipe.heterogeneity, "spread": recipe.spread}
        },
    )


def _tensors(graph: Graph, per_edge: bool) -> list[tuple[str, str | None, tuple[str, ...]]]:
    """(name, source, targets) of the tensors: one input, what layers pass on, one output for each sink."""
    readers: list[list[int]] = [[] for _ in graph]
    for i, predecessors in enumerate(graph):
        for p in predecessors:
            readers[p].append(i)
    first = tuple(f"l{i}" for i, predecessors in enumerate(graph) if not predecessors)
    tensors: list[tuple[str, str | None, tuple[str, ...]]] = [("input", None, first)]
    for i, targets in enumerate(readers):
        if per_edge and targets:
            tensors += [(f"t{i}-{j}", f"l{i}", (f"l{j}",)) for j in targets]
        else:
            tensors.append((f"t{i}", f"l{i}", tuple(f"l{j}" for j in targets)))
    return tensors


def _draw(
    graphs: Mapping[str, Graph],
    skeletons: Mapping[str, list[tuple[str, str | None, tuple[str, ...]]]],
    recipe: Recipe,
    draws: Draws,
) -> Drawn:
    """Draw all times and sizes, then scale them so that their means are the ones asked for."""
    n, m = sum(map(len, graphs.values())), recipe.devices
    work = draws.uniform(0.2, 1.8, n)
    related = recipe.costs == "flops"
    factors = _spread(recipe, draws, 1 if related else n, m)
    seconds = work[:, None] * factors
    seconds = _scaled(seconds, recipe.mean_seconds)
    if recipe.integer:
        seconds = np.maximum(1.0, np.rint(seconds))
    elif not related:
        seconds = np.maximum(1e-9, np.rint(seconds * 1e9) / 1e9)
    flops, rates = np.zeros(n), np.zeros(0)
    if related:
        scale = seconds[0, 0] / (work[0] * factors[0, 0])
        flops = np.maximum(1.0, np.rint(work * scale * NOMINAL_RATE))
        rates = np.rint(NOMINAL_RATE / factors[0])
        seconds = flops[:, None] / rates[None, :]
    mean = math.fsum(seconds.ravel().tolist()) / seconds.size
    inner = np.array([bool(t[1] and t[2]) for tensors in skeletons.values() for t in tensors])
    sizes = draws.uniform(0.2, 1.8, len(inner))
    between = math.fsum(sizes[inner].tolist()) / max(1, int(inner.sum()))
    sizes *= recipe.ccr * mean / (between or 1.0) * bandwidth(recipe)
    weights = _scaled(draws.uniform(0.2, 1.8, n), recipe.weight_ratio * mean * bandwidth(recipe))
    return Drawn(
        seconds=seconds,
        flops=flops,
        rates=rates,
        tensor_bytes=np.rint(sizes).astype(np.int64),
        weight_bytes=np.rint(weights).astype(np.int64),
    )


def bandwidth(recipe: Recipe) -> float:
    """Bytes per second of every link."""
    return 1.0 if recipe.integer else 1e9


def _spread(recipe: Recipe, draws: Draws, rows: int, devices: int) -> NDArray[np.float64]:
    """Factors between devices, shape (rows, devices)."""
    h = recipe.heterogeneity
    if recipe.spread == "beta":
        return draws.uniform(1 - h / 2, 1 + h / 2, rows, devices)
    return draws.uniform(1.0, h, rows, devices)


def _scaled(values: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """The values times what gives them the mean; the sum is exact, hence the same on every machine."""
    return values * (mean * values.size / math.fsum(values.ravel().tolist()))


def _rules(
    graph: Graph, recipe: Recipe, devices: tuple[str, ...], draws: Draws
) -> tuple[list[DeviceRule | None], tuple[tuple[str, ...], ...]]:
    """Where layers may run, and which pairs stay together (only layers without a rule, so that both fit)."""
    rules: list[DeviceRule | None] = [None] * len(graph)
    if recipe.restrict > 0:
        dropped = draws.unit(len(graph), len(devices)) < recipe.restrict
        kept = draws.integers(0, len(devices) - 1, len(graph))
        dropped[np.arange(len(graph)), kept] = False
        for i in np.flatnonzero(dropped.any(axis=1)).tolist():
            rules[i] = DeviceRule(
                allow=tuple(d for d, gone in zip(devices, dropped[i].tolist(), strict=True) if not gone)
            )
    if recipe.fixed > 0:
        for i in np.flatnonzero(draws.unit(len(graph)) < recipe.fixed).tolist():
            rule = rules[i]
            rules[i] = DeviceRule(
                fix=draws.pick(devices if rule is None or rule.allow is None else rule.allow)
            )
    if recipe.colocate == 0:
        return rules, ()
    used: set[int] = set()
    free: list[tuple[int, int]] = []
    for i, predecessors in enumerate(graph):
        for p in predecessors:
            if not used & {p, i} and rules[p] is None and rules[i] is None:
                free.append((p, i))
                used |= {p, i}
    chosen = draws.sample(free, min(recipe.colocate, len(free)))
    return rules, tuple((f"l{p}", f"l{i}") for p, i in chosen)


def _layers(
    flops: list[float], weights: list[int], rules: list[DeviceRule | None], draws: Draws
) -> tuple[Layer, ...]:
    """The layers of one model, ``l0``, ``l1``, ... in topological order."""
    operators = draws.integers(0, len(OPERATORS) - 1, len(flops)).tolist()
    return tuple(
        Layer(
            name=f"l{i}",
            op=OPERATORS[operators[i]],
            flops=flops[i],
            weight_bytes=weights[i],
            devices=rules[i],
        )
        for i in range(len(flops))
    )
