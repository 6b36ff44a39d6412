"""Small random device-placement problems: a host with unlimited slots, identical accelerators, and their oracles."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from dnnplan.costs import MappingProblem, evaluate
from dnnplan.costs.objectives import is_feasible
from dnnplan.formulations.mapping.load import LoadProblem
from dnnplan.instances import Costs, Device, Execution, Instance, Layer, Link, Memory, Model, Platform, Tensor
from dnnplan.instances.sections import Limits
from dnnplan.solvers.placement.calls import HOST, is_limited, with_calls


def accelerators(
    seed: int, *, layers: int = 6, count: int = 2, calls: int | None = None, train: bool = False
) -> Instance:
    """A random graph, now and then two layers that share a device; an accelerator has room for some of them."""
    draw = random.Random(seed)
    names = [f"l{i}" for i in range(layers)]
    tensors = []
    for i in range(layers - 1):
        readers = {names[i + 1]} if draw.random() < 0.7 else set()
        readers |= {names[j] for j in range(i + 2, layers) if draw.random() < 0.25}
        if readers:
            tensors.append(
                Tensor(
                    name=f"t{i}", source=names[i], targets=tuple(sorted(readers)), bytes=draw.randint(0, 5)
                )
            )
    weights = [draw.randint(1, 4) for _ in names]
    devices = [f"a{d}" for d in range(count)]
    room = max(max(weights) * 2, int(sum(weights) * draw.choice((0.5, 0.7, 2.0))))
    time = {name: draw.randint(1, 8) for name in names}
    pairs = [tuple(sorted(draw.sample(names, 2)))] if draw.random() < 0.5 else []
    half = layers // 2
    backward = {names[i] for i in range(half, layers)} if train else set()
    if train:
        pairs = [(names[i], names[layers - 1 - i]) for i in range(half)]
    return Instance(
        name=f"accelerators-{seed}",
        objective="latency" if calls else "max_load",
        limits=Limits(calls_per_device=calls),
        models=(
            Model(
                name="m",
                layers=tuple(
                    Layer(name=n, weight_bytes=w, attributes={"backward": True} if n in backward else {})
                    for n, w in zip(names, weights, strict=True)
                ),
                tensors=tuple(tensors),
                colocate=tuple(pairs),
            ),
        ),
        costs=Costs(
            latency={
                "m": {n: {"cpu": 5.0 * time[n], **dict.fromkeys(devices, float(time[n]))} for n in names}
            }
        ),
        platform=Platform(
            memories=tuple(Memory(name=f"{d}-memory", bytes=room) for d in devices),
            devices=(
                Device(name="cpu", slots="unlimited"),
                *(Device(name=d, memory=f"{d}-memory") for d in devices),
            ),
            links=tuple(Link(name=f"link-{d}", source="cpu", target=d, bandwidth=1.0) for d in devices),
            host="cpu",
            execution=Execution(staging="host", overlap=False, memory="static"),
        ),
    )


def placements(loads: LoadProblem) -> Iterator[list[int]]:
    """All placements of the groups."""
    yield from (list(place) for place in itertools.product(range(loads.m), repeat=loads.size))


def best_in_one_call_each(problem: MappingProblem, loads: LoadProblem) -> float:
    """The least latency with one call on each accelerator, by trying all placements."""
    best = float("inf")
    for place_of_group in placements(loads):
        place = [place_of_group[g] for g in loads.group_of.tolist()]
        decisions = with_calls(problem, place, [d if is_limited(problem, d) else HOST for d in place])
        if decisions is not None:
            found = evaluate(problem, decisions)
            if is_feasible(found):
                best = min(best, found.cost.latency)
    return best


def is_contiguous(edges: list[tuple[int, int]], place: list[int], devices: int) -> bool:
    """Whether some order of the devices makes every edge lead to the same or a later one."""
    return any(
        all(rank[place[g]] <= rank[place[h]] for g, h in edges)
        for rank in itertools.permutations(range(devices))
    )
