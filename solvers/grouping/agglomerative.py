"""Complete-linkage clusters of tasks, branch point by branch point from the last one up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import symmetric_distances
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

MOST_CUTS = 60
"""Heights, and pairs of numbers of groups, at which clusters are cut at most."""

Partition = tuple[tuple[int, ...], ...]


class Agglomerative:
    """Hierarchical clustering with complete linkage, whose height is the largest dissimilarity of a group.

    From the last branch point to the first, the groups of the branch point behind are joined by complete linkage, so
    that partitions refine each other. Where clusters are cut is swept: the same height at all branch points, the same
    height relative to the widest distance of each, and numbers of groups that rise evenly. The objective and the
    limits choose among them. O(L n^2 log n) a cut.
    """

    summary = "complete-linkage clusters of tasks, the cut chosen by the objective"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, then clusters cut everywhere."""
        propose_simple_graphs(problem, search)
        propose_clusters(problem, search)


def propose_clusters(problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
    """Propose the clusters of all cuts, for as long as the search lasts."""
    n = problem.n
    if n < 2 or problem.levels == 0:
        return
    distance = symmetric_distances(problem)
    pairs = distance[:, *np.triu_indices(n, 1)]
    widest = np.maximum(pairs.max(axis=1), 1e-300)
    same = np.ones(problem.levels)
    cuts = [height * same for height in _spread(np.unique(pairs))]
    cuts += [part * widest for part in _spread(np.unique(pairs / widest[:, None]))]
    for heights in cuts:
        if search.finished():
            return
        search.propose(laminar_clusters(distance, partial(_above, heights)))
    ends = [(first, last) for last in range(1, n + 1) for first in range(1, last + 1)]
    for place in _spread(np.arange(float(len(ends)))):
        if search.finished():
            return
        counts = np.linspace(*ends[int(place)], problem.levels).round().astype(np.int64)
        search.propose(laminar_clusters(distance, partial(_given, counts)))


def laminar_clusters(distance: FloatArray, count: Callable[[int, FloatArray], int]) -> Groups:
    """Partitions that refine each other, by complete linkage from the last branch point up.

    Parameters
    ----------
    distance
        (L, n, n) dissimilarities.
    count
        Number of groups that a branch point should have, from its number and the rising heights at which its groups
        are joined; it gets no more than there are behind it.

    Examples
    --------
    >>> distance = np.array([[[0, 1, 4], [1, 0, 4], [4, 4, 0.0]]])
    >>> laminar_clusters(distance, lambda level, heights: 2)
    (((0, 1), (2,)),)
    """
    groups: Partition = tuple((t,) for t in range(distance.shape[1]))
    found = []
    for level in range(len(distance) - 1, -1, -1):
        groups = _joined(groups, distance[level], partial(count, level))
        found.append(groups)
    return tuple(reversed(found))


def _joined(groups: Partition, distance: FloatArray, count: Callable[[FloatArray], int]) -> Partition:
    """Join groups by complete linkage until their number is the wanted one."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(groups) == 1:
        return groups
    order = [task for group in groups for task in group]
    first = np.cumsum([0, *(len(group) for group in groups[:-1])])
    between = distance[np.ix_(order, order)]
    for axis in (0, 1):
        between = np.maximum.reduceat(between, first, axis=axis)
    tree = linkage(between[np.triu_indices(len(groups), 1)], method="complete")
    wanted = min(len(groups), max(1, count(tree[:, 2])))
    label = fcluster(tree, wanted, criterion="maxclust")
    members: dict[int, list[int]] = {}
    for group, number in zip(groups, label.tolist(), strict=True):
        members.setdefault(number, []).extend(group)
    return tuple(sorted(tuple(sorted(group)) for group in members.values()))


def _above(heights: FloatArray, level: int, merges: FloatArray) -> int:
    """Groups that are left when all merges up to the height of a branch point are made."""
    return 1 + int((merges > heights[level]).sum())


def _given(counts: IntArray, level: int, _merges: FloatArray) -> int:
    """A number of groups that was chosen before."""
    return int(counts[level])


def _spread(values: FloatArray) -> FloatArray:
    """At most `MOST_CUTS` of the values, evenly spread."""
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, MOST_CUTS).round().astype(int))])
