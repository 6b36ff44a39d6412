"""The least that one branch point can add to a weighted sum of measures, by its number of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dnnplan.costs.judged import Terms
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.instances import UnsupportedError
from dnnplan.instances.sections import AFFINITY_ROUNDING

MOST_WORK = 6e8
"""Pairs of sets of tasks, times numbers of groups, that are looked at (two seconds); where there are more, groups are
told apart by size alone."""
PRICES = tuple(4.0**e for e in range(-4, 5))
"""Prices of a limit that are tried, times a first guess."""
Nodes = Mapping[str, Sequence[FloatArray]]
"""Further measures by name: sums over nodes of the largest figure of their tasks; (L, n) figures, summed if several."""
NO_NODES: Nodes = {}


def distances(problem: GroupingProblem) -> FloatArray:
    """(L, n, n) dissimilarities for models in which a task alone, which counts 0, has the least there is.

    Raises
    ------
    UnsupportedError
        An affinity above 1, or none for some pair of tasks.
    """
    rows, columns = np.triu_indices(problem.n, 1)
    pairs = problem.dissimilarity[:, rows, columns]
    if not (pairs >= -AFFINITY_ROUNDING).all():
        raise UnsupportedError("exact models of task graphs need affinities of at most 1 between all tasks")
    return np.maximum(problem.dissimilarity, 0.0)


def always() -> bool:
    """Go on until the end."""
    return True


def least_by_count(
    problem: GroupingProblem,
    terms: Terms,
    keep_going: Callable[[], bool] = always,
    nodes: Nodes = NO_NODES,
) -> FloatArray:
    """(L, n) least weighted sum of measures that any partition into 1 to n groups has at each branch point.

    Branch points are looked at one by one, without asking that they refine each other. For each of them a dynamic
    programme over subsets S of the tasks: with j groups S costs

        f(j, S) = min over groups T of S that hold its smallest task of  cost(T) + f(j - 1, S without T),

    O(3^n n) steps. Where variety is one of several terms, cost(T) depends on the number of groups of the whole
    partition, and there is one programme for each. With many tasks S and T are sizes of sets, and cost(T) is the least
    that a group of that size can have: O(n^3).

    Parameters
    ----------
    keep_going
        Asked often; where it says False, the rest of the table is 0, which always holds.
    nodes
        Measures beside those of the problem.
    """
    n = problem.n
    names = [name for name, _ in terms]
    counts = np.arange(1.0, n + 1)
    divisors = counts if "variety" in names and len(terms) > 1 else np.ones(1)
    small = _work(problem, terms) <= MOST_WORK
    found = np.zeros((problem.levels, n))
    for level in range(problem.levels):
        figures = (
            figures_of_groups(problem, level, nodes) if small else figures_of_sizes(problem, level, nodes)
        )
        cost = np.zeros((len(divisors), len(figures["size"])))
        for name, weight in terms:
            cost += weight * figures[name] / (divisors[:, None] if name == "variety" else 1.0)
        best = _partitions(cost, n, keep_going) if small else _sizes(cost, n)
        if best is None:
            break
        found[level] = np.diagonal(best[:, 1:]) if len(divisors) > 1 else best[0, 1:]
    return found / counts if names == ["variety"] else found


def _work(problem: GroupingProblem, terms: Terms) -> float:
    """Steps of the dynamic programmes over sets."""
    mixed = len(terms) > 1 and any(name == "variety" for name, _ in terms)
    return problem.levels * 3.0**problem.n / 2 * problem.n * (problem.n if mixed else 1)


def price_of_limit(
    problem: GroupingProblem,
    terms: Terms,
    limited: tuple[Terms, float],
    keep_going: Callable[[], bool],
    nodes: Nodes = NO_NODES,
) -> float:
    """The price p of a limit, sum <= limit, that makes the least of terms + p (sum - limit) largest; 0 if none helps.

    A Lagrange multiplier of one limit, where branch points are on their own but for numbers of groups that do not fall.
    None is looked for where numbers of groups decide the sum, or where it would take long.
    """
    sums, limit = limited
    slow = MOST_WORK / len(PRICES) < _work(problem, terms + sums) <= MOST_WORK
    if slow or counts_decide(problem, sums, nodes):
        return 0.0
    gained, spent = (least_by_count(problem, stage, keep_going, nodes) for stage in (terms, sums))
    if _range(spent) <= 0 or _range(gained) <= 0:
        return 0.0
    prices = [_range(gained) / _range(spent) * factor for factor in PRICES]
    found: dict[float, float] = {0.0: _least_in_all(gained)}
    for price in prices:
        if not keep_going():
            break
        priced = terms + tuple((name, price * weight) for name, weight in sums)
        found[price] = _least_in_all(least_by_count(problem, priced, keep_going, nodes)) - price * limit
    return max(found, key=lambda price: found[price])


def counts_decide(problem: GroupingProblem, terms: Terms, nodes: Nodes = NO_NODES) -> bool:
    """Whether a sum follows from the numbers of groups: bytes, or other figures, that are alike for all tasks."""
    known = {**nodes, "size": [problem.costs.bytes[problem.rows]]}
    figures = [figure for name, _ in terms for figure in known.get(name, ())]
    return all(name in known for name, _ in terms) and all(bool((f == f[:, :1]).all()) for f in figures)


def _range(least: FloatArray) -> float:
    return float((least.max(axis=1) - least.min(axis=1)).sum())


def _least_in_all(least: FloatArray) -> float:
    """The least of all branch points together, numbers of groups not falling."""
    best = np.zeros(least.shape[1])
    for row in least:
        best = np.minimum.accumulate(best) + row
    return float(best.min())


def figures_of_groups(problem: GroupingProblem, level: int, nodes: Nodes = NO_NODES) -> dict[str, FloatArray]:
    """(2^n,) what a group adds to each measure at a branch point, by the bit mask of its tasks.

    For ``variety`` it is its largest dissimilarity, which is still to be divided by the number of groups.
    """
    count = np.bitwise_count(np.arange(1 << problem.n)).astype(np.int64)
    block, costs = problem.rows.start + level, problem.costs
    diameter = _largest_pair(distances(problem)[level])
    compute, load = _largest(costs.compute[block]), _largest(costs.load[block])
    return {
        "variety": diameter,
        "task_variety": diameter * count / problem.n,
        "size": _largest(costs.bytes[block]),
        "execution_cost": compute * problem.share_compute[count] + load * problem.share_load[count],
        **{name: np.sum([_largest(f[level]) for f in figures], axis=0) for name, figures in nodes.items()},
    }


def figures_of_sizes(problem: GroupingProblem, level: int, nodes: Nodes = NO_NODES) -> dict[str, FloatArray]:
    """(n + 1,) the least that a group of each size adds to each measure at a branch point.

    A group of s tasks has a dissimilarity no less than that of some task and its (s - 1)th nearest; it costs no less
    than the s cheapest tasks.
    """
    n, block, costs = problem.n, problem.rows.start + level, problem.costs
    nearest = np.sort(_symmetric(distances(problem)[level]), axis=1).min(axis=0)
    diameter = np.concatenate([[0.0], nearest])
    count = np.arange(n + 1)
    size, compute, load = (_rising(figure[block]) for figure in (costs.bytes, costs.compute, costs.load))
    return {
        "variety": diameter,
        "task_variety": diameter * count / n,
        "size": size,
        "execution_cost": compute * problem.share_compute[count] + load * problem.share_load[count],
        **{name: np.sum([_rising(f[level]) for f in figures], axis=0) for name, figures in nodes.items()},
    }


def _rising(figure: FloatArray) -> FloatArray:
    """(n + 1,) the least that the largest figure of so many tasks can be."""
    return np.concatenate([[0.0], np.sort(figure)])


def _symmetric(distance: FloatArray) -> FloatArray:
    above = np.triu(distance, 1)
    return np.asarray(above + above.T)


def _partitions(cost: FloatArray, n: int, keep_going: Callable[[], bool]) -> FloatArray | None:
    """(K, n + 1) least cost of partitions of all n tasks into 0 to n groups; `cost` is (K, 2^n). None: stopped."""
    best = np.full((len(cost), n + 1, 1 << n), np.inf)
    best[:, 0, 0] = 0.0
    everyone = (1 << n) - 1
    for tasks in (*range(2, everyone, 2), everyone):
        if tasks % 64 == 0 and not keep_going():
            return None
        # What is left when groups with the smallest tasks are taken away never holds task 0.
        smallest = tasks & -tasks
        group = _subsets(tasks ^ smallest) | smallest
        rest = best[:, :-1, tasks ^ group]
        best[:, 1:, tasks] = (rest + cost[:, None, group]).min(axis=2)
    return np.asarray(best[:, :, everyone])


def _sizes(cost: FloatArray, n: int) -> FloatArray:
    """(K, n + 1) the same by sizes of groups; `cost` is (K, n + 1)."""
    best = np.full((len(cost), n + 1, n + 1), np.inf)
    best[:, 0, 0] = 0.0
    for tasks in range(1, n + 1):
        group = np.arange(1, tasks + 1)
        best[:, 1:, tasks] = (best[:, :-1, tasks - group] + cost[:, None, group]).min(axis=2)
    return np.asarray(best[:, :, n])


def _subsets(mask: int) -> IntArray:
    """All bit masks within a mask."""
    found = np.zeros(1, dtype=np.int64)
    while mask:
        bit = mask & -mask
        found = np.concatenate([found, found | bit])
        mask ^= bit
    return found


def _largest(figure: FloatArray) -> FloatArray:
    """(2^n,) largest figure among the tasks of each bit mask; 0 for no task."""
    found = np.zeros(1)
    for value in figure:
        found = np.concatenate([found, np.maximum(found, value)])
    return found


def _largest_pair(distance: FloatArray) -> FloatArray:
    """(2^n,) largest distance of two tasks (i < j) of each bit mask; 0 for fewer than two."""
    found = np.zeros(1)
    for j in range(len(distance)):
        found = np.concatenate([found, np.maximum(found, _largest(distance[:j, j]))])
    return found
