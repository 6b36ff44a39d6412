"""Small whole plans by exhaustion: all task graphs, and for each of them the best mapping of all.

What a task graph measures and the network that it leaves are written down here once more from docs/cost-model.md (9 and
13), for chains of layers.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs import mapping_problem
from dnnplan.costs.whole import WholeProblem
from dnnplan.instances import (
    Device,
    Instance,
    Layer,
    Limits,
    Link,
    Memory,
    Model,
    Platform,
    Sharing,
    Task,
    Tensor,
)
from dnnplan.instances.platform import Execution, Power
from dnnplan.instances.sections import Costs
from tests.support.brute_force import brute_force
from tests.support.task_oracles import task_graphs

Groups = tuple[tuple[tuple[int, ...], ...], ...]
GRAPH = ("variety", "task_variety", "size")
"""Measures of task graphs that are worked out here."""


def random_whole(
    seed: int, *, tasks: int | None = None, layers: tuple[int, ...] = (1, 1, 1), **changes: Any
) -> Instance:
    """Two or three tasks of three blocks on two devices, with a limit on variety, and at times one on memory.

    `layers` says how many of them each block has.
    """
    rng = np.random.default_rng(seed)
    n = tasks or int(rng.integers(2, 4))
    names = [f"t{t}" for t in range(n)]
    close = np.round(rng.uniform(0, 1, (n, n)), 2)
    affinity = np.triu(close, 1) + np.triu(close, 1).T + np.eye(n)
    blocks = tuple(
        tuple(f"{block}{k}" for k in range(many)) if many > 1 else (block,)
        for block, many in zip("abc", layers, strict=True)
    )
    chain = [layer for block in blocks for layer in block]
    weights = rng.integers(1, 5, len(chain)).tolist()
    sizes = rng.integers(1, 4, len(chain)).tolist()
    times = {layer: {"d": float(rng.integers(1, 9)), "e": float(rng.integers(1, 9))} for layer in chain}
    models = tuple(
        Model(
            name=f"m{t}",
            layers=tuple(Layer(name=layer, weight_bytes=w) for layer, w in zip(chain, weights, strict=True)),
            tensors=(
                Tensor(name="x", targets=(chain[0],), bytes=1),
                *(
                    Tensor(name=f"of {one}", source=one, targets=(other,), bytes=size)
                    for one, other, size in zip(chain, chain[1:], sizes, strict=False)
                ),
                Tensor(name="y", source=chain[-1], bytes=sizes[-1], output=True),
            ),
        )
        for t in range(n)
    )
    tight = seed % 3 == 2
    room = sum(weights[: layers[0]]) + sum(weights[layers[0] :]) * n
    capacity = int(max(max(weights), math.ceil(room * rng.uniform(0.35, 0.6)))) if tight else None
    platform = Platform(
        memories=tuple(Memory(name=f"memory {d}", bytes=capacity) for d in "de"),
        devices=tuple(
            Device(name=d, memory=f"memory {d}", power=Power(active=int(rng.integers(1, 5)))) for d in "de"
        ),
        links=(Link(name="bus", source="d", target="e", bandwidth=1, energy_per_byte=1),),
        execution=Execution(memory="static" if tight else "none"),
    )
    instance = Instance(
        name=f"whole-{seed}",
        objective=("latency", "energy", "latency=1,variety=2", "latency>variety", "variety>latency")[
            seed % 5
        ],
        platform=platform,
        models=models,
        tasks=tuple(Task(name=name, model=f"m{t}", blocks=blocks) for t, name in enumerate(names)),
        sharing=Sharing(branch_points=("p",), affinity=(tuple(map(tuple, affinity.tolist())),)),
        limits=Limits(variety=round(float(rng.uniform(0, 0.6)), 2)),
        costs=Costs(latency={model.name: times for model in models}),
    )
    return replace(instance, **changes) if changes else instance


def best_whole(problem: WholeProblem) -> float | None:
    """The least value of the first stage; None where no plan keeps the limits.

    Every task graph is measured here, and written down here as a plain instance (`flat`), whose best mapping is found
    by `brute_force`: nothing of grouping, of the view of whole plans, or of what it makes networks with is used.
    """
    instance, stage = problem.instance, problem.stages[0]
    n, levels = len(instance.tasks), len(instance.tasks[0].blocks) - 2
    given = {name: getattr(instance.limits, name) for name in instance.limits.__struct_fields__}
    limits = {name: limit for name, limit in given.items() if isinstance(limit, int | float)}
    ours = [(name, weight) for name, weight in stage if name not in GRAPH]
    best: float | None = None
    for groups in task_graphs(tuple(range(n)), levels):
        known = measured(instance, groups)
        if any(known[name] > limit + 1e-9 for name, limit in limits.items() if name in GRAPH):
            continue
        mapped = flat(
            instance,
            groups,
            ",".join(f"{name}={weight!r}" for name, weight in ours) or "latency",
            Limits(**{name: limit for name, limit in limits.items() if name not in GRAPH}),
        )
        found = brute_force(mapping_problem(mapped))
        if found.plan is None:
            continue
        value = found.value if ours else 0.0
        value += sum(weight * known[name] for name, weight in stage if name in GRAPH)
        best = value if best is None else min(best, value)
    return best


def nodes_of(instance: Instance, groups: Groups) -> list[list[tuple[int, ...]]]:
    """The groups of every block: all tasks share the first one, each has its own last one."""
    tasks = tuple(range(len(instance.tasks)))
    return [[tasks], *(list(level) for level in groups), [(t,) for t in tasks]]


def measured(instance: Instance, groups: Groups) -> dict[str, float]:
    """Variety, the same by task, and size of a task graph (docs/cost-model.md, 9)."""
    assert instance.sharing is not None
    variety, by_task = 0.0, 0.0
    for affinity, level in zip(instance.sharing.affinity, groups, strict=True):
        worst = [max((1 - affinity[i][j] for i, j in combinations(group, 2)), default=0.0) for group in level]
        variety += sum(worst) / len(worst)
        by_task += sum(w * len(group) for w, group in zip(worst, level, strict=True)) / len(instance.tasks)
    weights = {
        model.name: {layer.name: layer.weight_bytes for layer in model.layers} for model in instance.models
    }
    size = sum(
        max(sum(weights[instance.tasks[t].model][own] for own in instance.tasks[t].blocks[b]) for t in group)
        for b, level in enumerate(nodes_of(instance, groups))
        for group in level
    )
    return {"variety": variety, "task_variety": by_task, "size": float(size)}


def flat(instance: Instance, groups: Groups, objective: str, limits: Limits) -> Instance:
    """The network of a task graph of chains, layer by layer: each node stands once, as its first task has it."""
    models = {model.name: model for model in instance.models}
    blocks = nodes_of(instance, groups)
    layers: list[Layer] = []
    tensors: list[Tensor] = []
    table: dict[str, dict[str, Any]] = {}
    for b, level in enumerate(blocks):
        for group in level:
            task = instance.tasks[group[0]]
            model = models[task.model]
            names = [f"{b}:{group[0]}:{k}" for k in range(len(task.blocks[b]))]
            if b == 0:
                size = next(tensor.bytes for tensor in model.tensors if tensor.source is None)
                tensors.append(Tensor(name="in", targets=(names[0],), bytes=size))
            following = blocks[b + 1] if b + 1 < len(blocks) else []
            after = tuple(f"{b + 1}:{other[0]}:0" for other in following if set(other) <= set(group))
            for own, name, readers in zip(
                task.blocks[b], names, [*((n,) for n in names[1:]), after], strict=True
            ):
                layers.append(replace(next(layer for layer in model.layers if layer.name == own), name=name))
                table[name] = dict(instance.costs.latency[model.name][own])
                made = next(tensor for tensor in model.tensors if tensor.source == own)
                tensors.append(
                    Tensor(
                        name=f"of {name}", source=name, targets=readers, bytes=made.bytes, output=not readers
                    )
                )
    return Instance(
        name=f"{instance.name} {groups}",
        objective=objective,
        limits=limits,
        platform=instance.platform,
        models=(Model(name="flat", layers=tuple(layers), tensors=tuple(tensors)),),
        tasks=(Task(name="flat", model="flat", release=instance.tasks[0].release),),
        costs=Costs(latency={"flat": table}),
    )
