"""Three minutes: small real networks and one instance of every problem, exact methods against heuristics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import numpy as np
from msgspec.structs import replace

from benchmarks.case import Case
from dnnplan.instances import Instance, Ordering, Precedence, Sharing, Task
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import random_small, task_sharing, whole_instance
from dnnplan.instances.sections import Arrivals, Candidate, Limits

SUMMARY = "three minutes: small real networks and one instance of every problem, exact against heuristic"

NETWORK, MIXTURE = "phone/squeezenet", "jetson/resnet50+inception-v1"
MOST_SECONDS = 180.0


def cases() -> Iterator[Case]:
    """Mapping, then the problems of tasks, then whole plans and serving; heuristics before exact methods."""
    yield from _each(NETWORK, partial(load_bundled, NETWORK), compute_first=2, heft=2, lns=5, cpsat=10)
    yield from _each(NETWORK, partial(load_bundled, NETWORK), "energy", heft=2, auto=5)
    yield from _each(MIXTURE, partial(load_bundled, MIXTURE), heft=2, local_search=5, auto=10)
    yield from _each("small-4", partial(random_small, 4), heft=1, cpsat=3, milp=5)
    yield from _each(
        "sharing/8x3", grouped, problem="grouping", agglomerative=1, local_search=3, cpsat=5, milp=5
    )
    yield from _each("choice-12", chosen, problem="selection", greedy=1, cpsat=3, milp=3)
    yield from _each(
        "order-12", ordered, problem="ordering", nearest_neighbour=1, local_search=2, dynamic=3, cpsat=5
    )
    yield from _each("sharing/5x2", joined, problem="joint", group_then_order=2, cpsat=5, milp=5)
    yield from _each(
        "whole/3x4x2", partial(whole_instance, 3, 4, 2, seed=1), problem="whole", sequential=5, cpsat=10
    )
    yield from _each("requests-10", served, problem="serving", fifo=1, greedy=1, labels=3, cpsat=5)


def _each(
    name: str, build: Callable[[], Instance], objective: str = "", *, problem: str = "", **seconds: float
) -> Iterator[Case]:
    for solver, limit in seconds.items():
        yield Case(
            instance=name, build=build, solver=solver, time_limit=limit, objective=objective, problem=problem
        )


def grouped() -> Instance:
    """Eight tasks that may take 250 kB together, of 623 kB if they share nothing; the objective is least variety."""
    return replace(task_sharing(8, 3, seed=1), limits=Limits(size=250_000))


def chosen() -> Instance:
    """Five tasks, a network for each pair and each single one, and a budget for a bit more than half of them."""
    rng = np.random.default_rng(12)
    names = [f"task{k}" for k in range(5)]
    groups = [*((name,) for name in names), *combinations(names, 2)]
    candidates = tuple(
        Candidate(
            tasks=group,
            cost=float(len(group) + 1),
            loss={name: round(float(rng.uniform(0.1, 0.9)), 3) for name in group},
        )
        for group in groups
    )
    return Instance(
        name="choice",
        objective="loss",
        tasks=tuple(Task(name=name, model="net") for name in names),
        sharing=Sharing(candidates=candidates),
        limits=Limits(budget=9.0),
    )


def ordered() -> Instance:
    """Twelve tasks with random times to switch and four precedences."""
    rng = np.random.default_rng(12)
    names = [f"task{k}" for k in range(12)]
    switch = tuple(tuple(row) for row in rng.integers(1, 100, (12, 12)).tolist())
    pairs = ((0, 5), (1, 4), (2, 9), (3, 11))
    return Instance(
        name="order",
        objective="switching",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=tuple(Precedence(before=names[a], after=names[b]) for a, b in pairs),
        ordering=Ordering(switch=switch),
    )


def joined() -> Instance:
    """Five tasks to group and to order; half of the variety of sharing everything is allowed."""
    instance = task_sharing(5, 2, seed=2)
    return replace(instance, objective="switching", limits=Limits(variety=0.5))


def served() -> Instance:
    """Ten requests, ever later, to a network with exits on a camera's two processors."""
    instance = load_bundled("serving/camera-dsp-npu")
    assert instance.workload is not None
    (stream,) = instance.workload.streams
    exits = tuple(stream.exits)
    trace = Arrivals(
        kind="trace",
        times=tuple(round(0.0005 * k * k, 6) for k in range(10)),
        exits=tuple(exits[k % len(exits)] for k in range(10)),
    )
    return replace(instance, workload=replace(instance.workload, streams=(replace(stream, arrivals=trace),)))
