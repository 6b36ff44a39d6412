"""The best task graph, choice of networks, or task graph with order of a small instance, by looking at all of them.

Every answer is measured by the judge of its view (`problem.judge`), which knows nothing of models and solvers. Random
instances come with figures that differ between tasks, all settings of an order, and limits that are sometimes tight or
impossible.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.joint import JointProblem, joint_problem
from dnnplan.costs.judged import Judged
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import GroupingProblem, grouping_problem
from dnnplan.costs.sharing.selection import SelectionProblem
from dnnplan.instances import Instance, Limits, Ordering, Precedence, Sharing, Task
from dnnplan.instances.sections import Block, BlockCost, Candidate

Partition = tuple[tuple[int, ...], ...]


# -- everything there is -------------------------------------------------------------------------------------


def partitions(tasks: tuple[int, ...]) -> Iterator[Partition]:
    """All partitions of a set: its first task alone or with any others, the rest in any way."""
    if not tasks:
        yield ()
        return
    first, rest = tasks[0], tasks[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            left = tuple(t for t in rest if t not in others)
            for remaining in partitions(left):
                yield ((first, *others), *remaining)


def task_graphs(tasks: tuple[int, ...], levels: int) -> Iterator[Groups]:
    """All chains of partitions in which each refines the one before."""

    def below(partition: Partition, left: int) -> Iterator[Groups]:
        if left == 0:
            yield ()
            return
        for parts in itertools.product(*(list(partitions(group)) for group in partition)):
            finer = tuple(itertools.chain.from_iterable(parts))
            for deeper in below(finer, left - 1):
                yield (finer, *deeper)

    yield from below((tasks,), levels)


def _best(judged: Iterator[Judged]) -> Judged | None:
    return min((one for one in judged if one.feasible), key=lambda one: one.value, default=None)


def best_task_graph(problem: GroupingProblem) -> Judged | None:
    """The best of all task graphs; None if none keeps the limits."""
    return _best(problem.judge(g) for g in task_graphs(tuple(range(problem.n)), problem.levels))


def best_choice(problem: SelectionProblem) -> Judged | None:
    """The best of all sets of candidates; None if none keeps the limits."""
    sets = itertools.chain.from_iterable(
        itertools.combinations(range(problem.m), size) for size in range(problem.m + 1)
    )
    return _best(problem.judge(chosen) for chosen in sets)


def best_graph_and_order(problem: JointProblem) -> Judged | None:
    """The best of all task graphs with all orders; None if none keeps precedences and limits."""
    orders = [o for o in itertools.permutations(range(problem.n)) if problem.template.keeps(o)]
    graphs = task_graphs(tuple(range(problem.n)), problem.grouping.levels)
    return _best(problem.judge((graph, order)) for graph in graphs for order in orders)


# -- random small instances ----------------------------------------------------------------------------------


def random_sharing(rng: np.random.Generator, n: int, levels: int, *, alike: bool) -> Sharing:
    """Blocks with round figures, equal for all tasks if `alike`; affinities of one or two digits, some negative."""
    names = [f"t{i}" for i in range(n)]

    def block() -> Block:
        bytes_, compute, load = (float(rng.integers(0, 9)) for _ in range(3))
        costs = {}
        for name in names if not alike else ():
            size, run, bring = (float(rng.integers(0, 9)) for _ in range(3))
            costs[name] = BlockCost(bytes=size, compute=run, load=bring)
        return Block(bytes=bytes_, compute=compute, load=load, costs=costs)

    affinity = []
    for _ in range(levels):
        upper = np.triu(np.round(rng.uniform(-0.2, 1.0, (n, n)), int(rng.integers(1, 3))), 1)
        affinity.append(tuple(map(tuple, (upper + upper.T + np.eye(n)).tolist())))
    return Sharing(
        branch_points=tuple(f"p{level}" for level in range(levels)),
        affinity=tuple(affinity),
        blocks=tuple(block() for _ in range(levels)),
        stem=block() if rng.random() < 0.7 else None,
        head=block() if rng.random() < 0.7 else None,
    )


def random_ordering(rng: np.random.Generator) -> Ordering:
    """Any setting of an order with one path in memory."""
    return Ordering(
        closed=bool(rng.random() < 0.5),
        start="warm" if rng.random() < 0.5 else "cold",
        input="same" if rng.random() < 0.5 else "fresh",
    )


OBJECTIVES = (
    "variety",
    "task_variety",
    "size",
    "execution_cost",
    "variety=1,size=0.05",
    "task_variety=2,execution_cost=0.1",
    "execution_cost=0.1,variety=0.7,size=0.01",
)


def random_grouping(seed: int, *, most_tasks: int = 5, most_levels: int = 3) -> Instance:
    """An instance of grouping with up to two limits, between the least and the most that a measure can be."""
    rng = np.random.default_rng(seed)
    n, levels = int(rng.integers(1, most_tasks + 1)), int(rng.integers(1, most_levels + 1))
    instance = Instance(
        objective=str(rng.choice(OBJECTIVES)),
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(n)),
        sharing=random_sharing(rng, n, levels, alike=bool(rng.random() < 0.5)),
        ordering=random_ordering(rng),
    )
    names = rng.choice(["variety", "task_variety", "size", "execution_cost"], int(rng.integers(0, 3)), False)
    return with_limits(instance, grouping_problem(instance), names.tolist(), rng)


def with_limits(instance: Instance, problem: Any, names: list[str], rng: np.random.Generator) -> Instance:
    """The instance with limits between what measures are where all is shared and where nothing is, or a bit below."""
    n, levels = problem.n, getattr(problem, "levels", None) or problem.grouping.levels
    ends = [((tuple(range(n)),),) * levels, (tuple((t,) for t in range(n)),) * levels]
    order = (
        next(o for o in itertools.permutations(range(n)) if problem.template.keeps(o))
        if isinstance(problem, JointProblem)
        else None
    )
    judged = [problem.judge(graph if order is None else (graph, order)).measures for graph in ends]
    limits = {}
    for name in names:
        low, high = sorted(measures[name] for measures in judged)
        limits[name] = max(0.0, low + float(rng.uniform(-0.1, 1.0)) * (high - low))
    return replace(instance, limits=Limits(**limits))


def random_selection(seed: int, *, most_candidates: int = 10) -> Instance:
    """Candidates with figures of mixed scales; a budget, a number of networks, both or neither."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 6)), int(rng.integers(1, most_candidates + 1))
    affinity = bool(rng.random() < 0.5)
    names = [f"t{i}" for i in range(n)]
    candidates = []
    for _ in range(m):
        served = [name for name in names if rng.random() < 0.6] or [names[0]]
        scale = 10.0 ** int(rng.integers(-2, 3))
        bad = -1e6 if affinity else 1e6
        figures = {name: _figure(rng, scale, bad) for name in served if rng.random() < 0.95}
        cost = float(rng.integers(0, 9)) if rng.random() < 0.7 else float(rng.uniform(0, 3))
        kind = {"affinity": figures} if affinity else {"loss": figures}
        candidates.append(Candidate(tasks=tuple(served), cost=cost, **kind))
    total = sum(candidate.cost for candidate in candidates)
    return Instance(
        objective="affinity" if affinity else "loss",
        tasks=tuple(Task(name=name, model="net", weight=float(rng.integers(1, 4))) for name in names),
        sharing=Sharing(candidates=tuple(candidates)),
        limits=Limits(
            budget=float(rng.uniform(0, 0.7)) * total if rng.random() < 0.7 else None,
            groups=int(rng.integers(1, m + 1)) if rng.random() < 0.5 else None,
        ),
    )


def _figure(rng: np.random.Generator, scale: float, bad: float) -> float:
    if rng.random() < 0.1:
        return bad
    return float(np.round(rng.uniform(-1.0, 1.0) * scale, 3))


JOINT_OBJECTIVES = (
    "switching",
    "expected",
    "switching=1,variety=3",
    "switching=0.5,task_variety=2,size=0.1",
    "variety",
    "execution_cost=0.3,switching=0.7",
)


def random_joint(seed: int, *, most_tasks: int = 4, most_levels: int = 2) -> Instance:
    """An instance of grouping and ordering together, with precedences half of the time."""
    rng = np.random.default_rng(seed)
    n, levels = int(rng.integers(1, most_tasks + 1)), int(rng.integers(1, most_levels + 1))
    rank = rng.permutation(n).tolist()
    pairs = [(i, j) for i, j in itertools.combinations(range(n), 2) if rng.random() < 0.4]
    instance = Instance(
        objective=str(rng.choice(JOINT_OBJECTIVES)),
        tasks=tuple(Task(name=f"t{i}", model="net") for i in range(n)),
        sharing=random_sharing(rng, n, levels, alike=bool(rng.random() < 0.5)),
        ordering=random_ordering(rng),
        precedences=tuple(Precedence(before=f"t{rank[i]}", after=f"t{rank[j]}") for i, j in pairs)
        if rng.random() < 0.5
        else (),
    )
    cost = "expected" if "expected" in instance.objective else "switching"
    names = rng.choice(["variety", "task_variety", "size", cost], int(rng.integers(0, 3)), False).tolist()
    names = [name for name in names if name != "expected"]
    return with_limits(instance, joint_problem(instance), names, rng)


def agrees(value: float | None, best: Judged | None) -> bool:
    """Whether a solver found what the oracle did: the same value, or that there is nothing."""
    if value is None or best is None:
        return value is None and best is None
    return math.isclose(value, best.value, rel_tol=1e-4, abs_tol=1e-9)
