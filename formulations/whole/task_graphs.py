"""All task graphs of a few tasks, and which of them leave the same mapping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

from dnnplan.costs.judged import keeps_limits, loosened
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.costs.whole import WholeProblem

Partition = tuple[tuple[int, ...], ...]
MOST_GRAPHS = 20_000
"""Task graphs up to which they are listed one by one."""


def partitions_of(members: tuple[int, ...]) -> Iterator[Partition]:
    """All partitions of some tasks, groups by their smallest task.

    >>> list(partitions_of((0, 1)))
    [((0, 1),), ((0,), (1,))]
    """
    if not members:
        yield ()
        return
    first, rest = members[0], members[1:]
    for finer in partitions_of(rest):
        for place, group in enumerate(finer):
            yield ((first, *group), *finer[:place], *finer[place + 1 :])
        yield ((first,), *finer)


@lru_cache(maxsize=64)
def refinements_of(partition: Partition) -> tuple[Partition, ...]:
    """All partitions that refine one, itself included."""
    found: list[Partition] = [()]
    for group in partition:
        found = [(*done, *cut) for done in found for cut in partitions_of(group)]
    return tuple(tuple(sorted(one)) for one in found)


@lru_cache(maxsize=256)
def count_graphs(tasks: int, levels: int) -> int:
    """Task graphs of so many tasks with so many branch points: chains of partitions, each a refinement of the last.

    >>> count_graphs(4, 1), count_graphs(4, 4), count_graphs(0, 3)
    (15, 315, 1)
    """
    if levels == 0 or tasks == 0:
        return 1
    # The group of the first task has s members, and is cut further by itself.
    return sum(
        math.comb(tasks - 1, s - 1) * count_graphs(s, levels - 1) * count_graphs(tasks - s, levels)
        for s in range(1, tasks + 1)
    )


def kept_graphs(problem: GroupingProblem) -> list[Groups]:
    """The task graphs that keep the limits on their own measures.

    Prefixes whose variety exceeds a limit are not continued. O(`count_graphs`).
    """
    limits = {name: limit for name, limit in problem.limits.items() if name in MEASURES}
    adding = [name for name in ("variety", "task_variety") if name in limits]
    by_level: dict[tuple[int, Partition], dict[str, float]] = {}

    def added(level: int, partition: Partition) -> dict[str, float]:
        if (level, partition) not in by_level:
            pair = problem.level_variety(level, partition)
            by_level[level, partition] = dict(zip(("variety", "task_variety"), pair, strict=True))
        return by_level[level, partition]

    everyone: Partition = (tuple(range(problem.n)),)
    chains: list[tuple[Groups, dict[str, float]]] = [((), dict.fromkeys(adding, 0.0))]
    for level in range(problem.levels):
        longer = []
        for chain, sums in chains:
            for partition in refinements_of(chain[-1] if chain else everyone):
                total = {name: value + added(level, partition)[name] for name, value in sums.items()}
                if all(value <= loosened(limits[name]) + 1e-9 for name, value in total.items()):
                    longer.append(((*chain, partition), total))
        chains = longer
    return [
        chain
        for chain, sums in chains
        if _surely_within(sums, limits) or keeps_limits(problem.measures(chain), limits)
    ]


def _surely_within(sums: dict[str, float], limits: dict[str, float]) -> bool:
    """Whether sums, added up in another order than measures are, leave no doubt that all limits are kept."""
    return limits.keys() == sums.keys() and all(sums[name] <= limits[name] - 1e-9 for name in limits)


def classes_of(problem: WholeProblem) -> tuple[int, ...]:
    """A number for each task: tasks of one class have equal layers, block by block, with equal tensors.

    Tasks that wait for others, or that others wait for, are each a class of their own.
    """
    if problem.instance.precedences:
        return tuple(range(problem.n))
    view, cells = problem.mapping(problem.apart), problem.layers(problem.apart)
    known: dict[object, int] = {}
    found = []
    for t in range(problem.n):
        index = {i: (b, place) for b, row in enumerate(cells) for place, i in enumerate(row[t])}
        signature = tuple(
            (
                where,
                view.duration[i].tobytes(),
                view.energy[i].tobytes(),
                view.load[i].tobytes(),
                float(view.weight_bytes[i]),
                float(view.workspace[i]),
                tuple(
                    (
                        float(view.size[k]),
                        bool(view.output[k]),
                        tuple((index[j], view.read_sizes[k, j]) for j in view.readers[k] if j in index),
                    )
                    for k in view.outputs[i]
                ),
                tuple((k, view.read_sizes[k, i]) for k in view.inputs[i] if int(view.source[k]) < 0),
            )
            for i, where in index.items()
        )
        found.append(known.setdefault(signature, len(known)))
    return tuple(found)


def shape_of(groups: Groups, classes: tuple[int, ...]) -> tuple[object, ...]:
    """What two task graphs have in common if they leave the same mapping but for names.

    The tree of their nodes, each with the class of its first task and the classes of all of them.

    >>> shape_of((((0, 1), (2,)),), (0, 0, 0)) == shape_of((((0,), (1, 2)),), (0, 0, 0))
    True
    >>> shape_of((((0, 1), (2,)),), (0, 0, 1)) == shape_of((((0,), (1, 2)),), (0, 0, 1))
    False
    """

    def node(level: int, group: tuple[int, ...]) -> tuple[object, ...]:
        members = tuple(sorted(classes[t] for t in group))
        label = (classes[group[0]], members)
        if level == len(groups):
            return (*label, ())
        parts = [part for part in groups[level] if part[0] in group]
        return (*label, tuple(sorted((node(level + 1, part) for part in parts), key=repr)))

    return node(0, tuple(range(len(classes))))


def siblings(problem: WholeProblem, groups: Groups, classes: tuple[int, ...]) -> list[list[int]]:
    """First layers, as indices of the mapping, of nodes below one node that have equal trees below them.

    Exchanging two of these trees changes nothing: their first layers may start in the order given.
    """
    if not groups:
        return []
    cells, grouping = problem.layers(groups), problem.grouping
    assert grouping is not None
    stem = int(grouping.costs.stem)
    everyone = tuple(range(problem.n))
    found = []
    # Partitions of all blocks, so that blocks and levels have the same numbers.
    alone: Partition = tuple((t,) for t in everyone)
    partitions = [*([(everyone,)] * stem), *groups, *([alone] * (len(cells) - stem - len(groups)))]
    for b in range(1, len(partitions)):
        for parent in partitions[b - 1]:
            kin: dict[object, list[int]] = {}
            for part in partitions[b]:
                if part[0] in parent and cells[b][part[0]]:
                    key = repr(_tree(partitions, b, part, classes))
                    kin.setdefault(key, []).append(cells[b][part[0]][0])
            found += [row for row in kin.values() if len(row) > 1]
    return found


def _tree(partitions: list[Partition], b: int, group: tuple[int, ...], classes: tuple[int, ...]) -> object:
    label = (classes[group[0]], tuple(sorted(classes[t] for t in group)))
    if b + 1 == len(partitions):
        return label
    parts = [_tree(partitions, b + 1, part, classes) for part in partitions[b + 1] if part[0] in group]
    return (label, sorted(parts, key=repr))


def can_share(problem: WholeProblem, groups: Groups) -> bool:
    """Whether the blocks that a task graph joins have as many layers."""
    if not groups or problem.grouping is None:
        return True
    rows = problem.layers(problem.apart)[problem.grouping.rows]
    return all(
        len({len(row[t]) for t in group}) == 1
        for row, partition in zip(rows, groups, strict=True)
        for group in partition
    )
