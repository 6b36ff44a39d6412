"""Task graphs: which tasks share which block, and what running one task right after another costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.instances import PlanError

Groups = tuple[tuple[tuple[int, ...], ...], ...]
"""Partition of the tasks (as indices) at each branch point; groups by their smallest task, tasks ascending."""


def canonical_groups(groups: Iterable[Iterable[Iterable[int]]]) -> Groups:
    """The same partitions in the order in which equal ones compare equal.

    >>> canonical_groups([[[2, 1], [0]]])
    (((0,), (1, 2)),)
    """
    return tuple(tuple(sorted(tuple(sorted(group)) for group in level)) for level in groups)


def named_groups(groups: Groups, tasks: Sequence[str]) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """The partitions as a plan has them."""
    return tuple(tuple(tuple(tasks[t] for t in group) for group in level) for level in groups)


def indexed_groups(named: Iterable[Iterable[Iterable[str]]], tasks: Sequence[str], levels: int) -> Groups:
    """The partitions of a plan as indices.

    Raises
    ------
    PlanError
        Not a partition at every branch point, an unknown task, or a level that does not refine the one before.
    """
    index = {name: t for t, name in enumerate(tasks)}
    given = [[members for group in level if (members := list(group))] for level in named]
    if len(given) != levels:
        raise PlanError(f"groups: {len(given)} levels, expected {levels}: one for each branch point")
    for number, level in enumerate(given):
        members = [name for group in level for name in group]
        for name in members:
            if name not in index:
                raise PlanError(f'groups[{number}]: "{name}" is not a task')
        if sorted(members) != sorted(tasks):
            raise PlanError(f"groups[{number}]: not a partition of the tasks, expected each of them once")
    groups = canonical_groups([[[index[name] for name in group] for group in level] for level in given])
    for number in range(1, levels):
        if not refines(groups[number], groups[number - 1]):
            raise PlanError(
                f"groups[{number}]: joins tasks that parted at the branch point before, expected a refinement of it"
            )
    return groups


def refines(fine: Iterable[Iterable[int]], coarse: Iterable[Iterable[int]]) -> bool:
    """Whether every group of a partition lies inside a group of another one.

    >>> refines([[0], [1, 2]], [[0, 1, 2]]), refines([[0, 1], [2]], [[0], [1, 2]])
    (True, False)
    """
    home = {task: number for number, group in enumerate(coarse) for task in group}
    return all(len({home[task] for task in group}) == 1 for group in fine)


@dataclass(frozen=True, eq=False, kw_only=True)
class TaskGraph:
    """Blocks with the groups that share them: a tree whose leaves are tasks.

    Parameters
    ----------
    costs
        What blocks cost each task.
    groups
        Partition at each branch point.
    """

    costs: BlockCosts
    groups: Groups

    @cached_property
    def partitions(self) -> Groups:
        """Groups of every block: the stem has one, each head is a task's own."""
        everyone = tuple(range(self.costs.bytes.shape[1]))
        stem = ((everyone,),) if self.costs.stem else ()
        head = (tuple((t,) for t in everyone),) if self.costs.head else ()
        return (*stem, *self.groups, *head)

    @cached_property
    def node(self) -> IntArray:
        """(B, n) node of each block of each task; nodes count from 0, block after block."""
        found = np.zeros(self.costs.bytes.shape, dtype=np.int64)
        number = 0
        for b, level in enumerate(self.partitions):
            for group in level:
                found[b, list(group)] = number
                number += 1
        return found

    @cached_property
    def nodes(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """(block, tasks) of each node."""
        return tuple((b, group) for b, level in enumerate(self.partitions) for group in level)

    def of_nodes(self, figure: FloatArray) -> FloatArray:
        """(nodes,) figure of each node from one of each block and task: the largest of its tasks (ours)."""
        return np.array([figure[b, list(group)].max() for b, group in self.nodes], dtype=float)

    def of_paths(self, figure: FloatArray) -> FloatArray:
        """(B, n) figure of the node that each task has at each block."""
        return self.of_nodes(figure)[self.node] if self.nodes else np.zeros_like(figure)

    @property
    def size(self) -> float:
        """Bytes of all nodes."""
        return float(self.of_nodes(self.costs.bytes).sum())

    def below_shared(self, figure: FloatArray) -> FloatArray:
        """(n, n) figure of the blocks of the column's task below the deepest one it shares with the row's task."""
        path = self.of_paths(figure)
        blocks, n = path.shape
        total = np.zeros((n, n))
        apart = np.zeros((n, n), dtype=bool)
        for b in range(blocks):
            apart |= self.node[b][:, None] != self.node[b][None, :]
            total += np.where(apart, path[b][None, :], 0.0)
        return total

    def whole(self, figure: FloatArray) -> FloatArray:
        """(n,) figure of all blocks of each task."""
        return np.asarray(self.of_paths(figure).sum(axis=0), dtype=float)
