"""Instances on which cancelling, threads and callbacks are measured: large enough that searches go on for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from dnnplan.instances import Instance, Limits, Ordering, Precedence, Sharing, Task
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered, task_sharing, whole_instance
from dnnplan.instances.sections import Candidate, Condition
from tests.support.serving_oracles import known_instance


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An instance of a problem, by a short name."""

    problem: str
    name: str
    build: Callable[[], Instance]


def samples() -> Iterator[Sample]:
    """All of them."""
    yield Sample(
        problem="mapping", name="layered-200x4", build=lambda: layered(layers=200, devices=4, ccr=1.0, seed=1)
    )
    yield Sample(
        problem="mapping",
        name="layered-2000x8",
        build=lambda: layered(layers=2000, devices=8, ccr=1.0, seed=1),
    )
    yield Sample(problem="mapping", name="host-vlocnet", build=lambda: load_bundled("h2h/vlocnet-0.125"))
    yield Sample(problem="mapping", name="live-50x4", build=lambda: load_bundled("layered/50x4-ccr0.5-live"))
    yield Sample(problem="grouping", name="11x6", build=lambda: task_sharing(11, 6, seed=1))
    yield Sample(problem="grouping", name="40x8", build=lambda: task_sharing(40, 8, seed=1))
    yield Sample(problem="selection", name="16-of-400", build=lambda: candidates(16, 400))
    yield Sample(problem="ordering", name="18", build=lambda: switches(18, closed=False))
    yield Sample(problem="ordering", name="120", build=lambda: switches(120, closed=False))
    yield Sample(problem="ordering", name="tools-40", build=lambda: tools(40))
    yield Sample(problem="ordering", name="graph-30", build=lambda: walked(30))
    yield Sample(problem="ordering", name="conditions-12", build=lambda: sometimes(12))
    yield Sample(problem="joint", name="12x5", build=lambda: shared_order(12, 5))
    yield Sample(problem="joint", name="30x6", build=lambda: shared_order(30, 6))
    yield Sample(problem="whole", name="shared", build=whole_instance)
    yield Sample(problem="serving", name="40", build=lambda: batches(40))
    yield Sample(problem="serving", name="400", build=lambda: batches(400))


def sample(problem: str, name: str) -> Sample:
    """One of them."""
    return next(one for one in samples() if (one.problem, one.name) == (problem, name))


MIDDLE = {
    "mapping": "layered-200x4",
    "grouping": "40x8",
    "selection": "16-of-400",
    "ordering": "18",
    "joint": "12x5",
    "whole": "shared",
    "serving": "40",
}
"""Of each problem one that most solvers take long for."""
SPECIAL = {
    ("grouping", "enumeration"): "11x6",
    ("ordering", "depth_first"): "graph-30",
    ("ordering", "conditional"): "conditions-12",
    ("ordering", "tool_search"): "tools-40",
    ("ordering", "local_search"): "120",
    ("ordering", "relax_and_search"): "120",
}
"""Solvers that are for other instances than most."""


def busy(problem: str, solver: str) -> Instance:
    """An instance of middle size that the solver can be run on."""
    return sample(problem, SPECIAL.get((problem, solver), MIDDLE[problem])).build()


def candidates(tasks: int, count: int) -> Instance:
    """Networks of which some are to be chosen: the loss of each task in each of them."""
    rng = np.random.default_rng(7)
    names = [f"t{i}" for i in range(tasks)]
    chosen = []
    for _ in range(count):
        served = [name for name in names if rng.random() < 0.4] or [names[0]]
        figures = {name: float(np.round(rng.uniform(0.1, 1.0), 4)) for name in served}
        chosen.append(
            Candidate(tasks=tuple(served), cost=float(np.round(rng.uniform(0.5, 3), 3)), loss=figures)
        )
    return Instance(
        name=f"candidates-{tasks}-{count}",
        objective="loss",
        tasks=tuple(Task(name=name, model="net") for name in names),
        sharing=Sharing(candidates=tuple(chosen)),
        limits=Limits(budget=8.0),
    )


def switches(count: int, *, closed: bool) -> Instance:
    """Tasks with a matrix of switching costs and some precedences."""
    rng = np.random.default_rng(count)
    names = [f"t{i}" for i in range(count)]
    cost = rng.integers(1, 1000, (count, count))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count) if rng.random() < 0.6 / count]
    return Instance(
        name=f"switches-{count}",
        objective="switching",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=tuple(Precedence(before=names[a], after=names[b]) for a, b in pairs),
        ordering=Ordering(switch=tuple(tuple(map(int, row)) for row in cost), closed=closed),
    )


def tools(count: int) -> Instance:
    """Tasks that need tools, of which only some have a place in memory."""
    rng = np.random.default_rng(count)
    needs = np.zeros((count, 40), dtype=int)
    for row in needs:
        row[rng.choice(40, size=int(rng.integers(5, 15)), replace=False)] = 1
    return Instance(
        name=f"tools-{count}",
        objective="switching",
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(count)),
        ordering=Ordering(resources=tuple(tuple(row.tolist()) for row in needs), slots=20, start="warm"),
    )


def walked(count: int) -> Instance:
    """Tasks whose task graph is given."""
    instance = task_sharing(count, 4, seed=3)
    assert instance.sharing is not None
    names = [task.name for task in instance.tasks]
    groups = tuple(
        tuple(tuple(names[k : k + size]) for k in range(0, count, size)) for size in (count, 8, 4, 1)
    )
    sharing = replace(instance.sharing, groups=groups)
    return replace(instance, objective="switching", sharing=sharing, ordering=Ordering())


def sometimes(count: int) -> Instance:
    """Tasks of which some run only if others have, and have come out so."""
    instance = replace(switches(count, closed=False), precedences=())
    assert instance.ordering is not None
    conditions = tuple(
        Condition(task=f"t{k}", given=f"t{k - 1}", probability=0.5) for k in range(1, count, 3)
    )
    return replace(instance, ordering=replace(instance.ordering, conditions=conditions))


def shared_order(tasks: int, levels: int) -> Instance:
    """Tasks that share layers and are run one after the other."""
    instance = task_sharing(tasks, levels, seed=2)
    return replace(instance, objective="switching=1,variety=1e6", ordering=Ordering(closed=True))


def batches(count: int) -> Instance:
    """Samples of a network with three exits that are all known."""
    rng = np.random.default_rng(count)
    table = [
        [1.0 + 0.3 * b for b in range(8)],
        [0.8 + 0.25 * b for b in range(8)],
        [0.6 + 0.2 * b for b in range(8)],
    ]
    times = np.sort(rng.uniform(0, 0.9 * count, count))
    instance: Instance = known_instance(
        table, [float(t) for t in times], rng.integers(1, 4, count).tolist(), slo=12.0
    )
    return instance
