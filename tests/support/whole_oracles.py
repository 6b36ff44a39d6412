"""Small whole plans by exhaustion: all task graphs, and for each of them the best mapping of all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.objectives import UNITS
from dnnplan.costs.whole import WholeProblem, mapping_terms
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


def random_whole(seed: int, *, tasks: int | None = None, **changes: Any) -> Instance:
    """Two or three tasks of three blocks on two devices, with a limit on variety, and at times one on memory."""
    rng = np.random.default_rng(seed)
    n = tasks or int(rng.integers(2, 4))
    names = [f"t{t}" for t in range(n)]
    close = np.round(rng.uniform(0, 1, (n, n)), 2)
    affinity = np.triu(close, 1) + np.triu(close, 1).T + np.eye(n)
    layers, blocks = ("a", "b", "c"), (("a",), ("b",), ("c",))
    weights = rng.integers(1, 5, 3).tolist()
    sizes = rng.integers(1, 4, 3).tolist()
    times = {layer: {"d": float(rng.integers(1, 9)), "e": float(rng.integers(1, 9))} for layer in layers}
    models = tuple(
        Model(
            name=f"m{t}",
            layers=tuple(Layer(name=layer, weight_bytes=w) for layer, w in zip(layers, weights, strict=True)),
            tensors=(
                Tensor(name="x", targets=("a",), bytes=1),
                Tensor(name="ab", source="a", targets=("b",), bytes=sizes[0]),
                Tensor(name="bc", source="b", targets=("c",), bytes=sizes[1]),
                Tensor(name="y", source="c", bytes=sizes[2], output=True),
            ),
        )
        for t in range(n)
    )
    tight = seed % 3 == 2
    room = weights[0] + sum(weights[1:]) * n
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

    Limits on task graphs are tested here; the mapping of each task graph is found by `brute_force`.
    """
    best: float | None = None
    assert problem.grouping is not None
    for groups in task_graphs(tuple(range(problem.n)), problem.levels):
        known = problem.grouping.measures(groups)
        if any(known[name] > limit + 1e-9 for name, limit in problem.limits.items() if name in known):
            continue
        found = brute_force(problem.mapping(groups))
        if found.plan is None:
            continue
        mapped = found.value if mapping_terms(problem.stages[0]) else 0.0
        value = mapped + sum(w * known[name] for name, w in problem.stages[0] if name not in UNITS)
        best = value if best is None else min(best, value)
    return best
