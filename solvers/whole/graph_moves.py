"""Task graphs near another one."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.judged import keeps_limits
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.graph import Groups, canonical_groups
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.task_graphs import can_share
from dnnplan.solvers.joint.local_search import groups_of

TRIES, POOL = 30, 4
"""Draws for each neighbour that is asked for, and how many are drawn of which one is taken."""
NOISE = 0.03
"""How much chance counts when those of least work are taken."""
MORE = 0.4
"""How likely one more step follows another."""


def neighbours(
    problem: WholeProblem,
    groups: Groups,
    rng: np.random.Generator,
    count: int,
    known: set[Groups],
    work: FloatArray,
) -> list[Groups]:
    """At most `count` task graphs that keep the limits on task graphs, none of them `known`; they are known then.

    Of more that are drawn those of least work are taken, a little at random.

    A task joins another one up to a branch point and is alone behind it, or leaves its groups from a branch point on;
    two groups become one at the branch point where they part; or a part of a group leaves it from a branch point on.
    Often two or more of these steps follow each other: one makes room for the other under a limit.

    Parameters
    ----------
    work
        (L,) work of a group at each branch point (`work_of_groups`).
    """
    found: list[Groups] = []
    if problem.n < 2 or problem.grouping is None:
        return found
    home = homes_of(groups, problem.n)
    for _ in range(TRIES * count):
        if len(found) == POOL * count:
            break
        steps = _moved(home, rng)
        while rng.random() < MORE:
            steps = _moved(steps, rng)
        changed = canonical_groups(groups_of(steps))
        if changed == groups or changed in known or not _possible(problem, changed):
            continue
        found.append(changed)
    total = [
        float(sum(len(level) * w for level, w in zip(one, work, strict=True)))
        * (1 + NOISE * rng.standard_normal())
        for one in found
    ]
    chosen = list(dict.fromkeys(found[k] for k in np.argsort(total)))[:count]
    known.update(chosen)
    return chosen


def work_of_groups(problem: WholeProblem) -> FloatArray:
    """(L,) what a group at each branch point computes, in the mean over tasks and the devices that can run it."""
    view, cells = problem.mapping(problem.apart), problem.layers(problem.apart)
    finite = np.isfinite(view.duration)
    mean = np.where(finite, view.duration, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    assert problem.grouping is not None
    rows = cells[problem.grouping.rows.start : problem.grouping.rows.stop]
    return np.array([sum(float(mean[list(cell)].sum()) for cell in row) / problem.n for row in rows])


def homes_of(groups: Groups, n: int) -> IntArray:
    """(L, n) number of each task's group."""
    home = np.zeros((len(groups), n), dtype=np.int64)
    for level, partition in enumerate(groups):
        for number, group in enumerate(partition):
            home[level, list(group)] = number
    return home


def _possible(problem: WholeProblem, groups: Groups) -> bool:
    """Whether a task graph keeps its own limits, and joins only blocks that can be joined."""
    assert problem.grouping is not None
    if not keeps_limits(problem.grouping.measures(groups), problem.limits):
        return False
    return can_share(problem, groups)


def _moved(home: IntArray, rng: np.random.Generator) -> IntArray:
    """One random step."""
    levels, n = home.shape
    home = home.copy()
    task, other = rng.choice(n, 2, replace=False).tolist()
    kind = rng.integers(4)
    apart = np.flatnonzero(home[:, task] != home[:, other])
    first = int(apart[0]) if len(apart) else levels
    if kind == 0:
        depth = int(rng.integers(levels + 1))
        home[:depth, task] = home[:depth, other]
        home[depth:, task] = n
    elif kind == 1:
        home[int(rng.integers(levels)) :, task] = n
    elif kind == 2 and first < levels:
        # Their groups become one where they part, and perhaps behind it as well.
        for level in range(first, min(levels, first + int(rng.integers(1, levels + 1)))):
            home[level, home[level] == home[level, task]] = home[level, other]
    elif kind == 3 and first > 0:
        # A part of the group of a task leaves it, from a branch point on at which they are together.
        level = int(rng.integers(first))
        members = np.flatnonzero(home[level] == home[level, task])
        leaves = members[rng.random(len(members)) < 0.5]
        leaves = leaves[leaves != other]
        home[level:, leaves] += n + 1
    return np.array([np.unique(row, return_inverse=True)[1] for row in home], dtype=np.int64)
