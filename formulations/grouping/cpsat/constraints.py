"""Constraints of a task graph, one function each.

Symbols: branch points l; tasks i, j, k; apart(l,i,j) = 1: i and j have parted at l, together = 1 - apart;
lead(l,i) = 1: i stands for its group; member(l,i,j) = 1: i stands for the group of j; d(l,i,j) dissimilarity;
f(i) a figure of a block for task i.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import Answer, ranking_of
from dnnplan.formulations.grouping.cpsat.variables import (
    STEPS,
    IntVar,
    Leaders,
    Recipe,
    Variables,
)


def tasks_that_part_stay_apart(v: Variables) -> None:
    """apart(l+1,i,j) >= apart(l,i,j).

    Partitions refine each other (docs/cost-model.md, 9). Without it groups could meet again behind a branch point, and
    blocks and groups would be no tree.
    """
    for before, after in zip(v.apart, v.apart[1:], strict=False):
        for pair, parted in before.items():
            v.model.add_implication(parted, after[pair])


def together_is_transitive(v: Variables) -> None:
    """apart(l,i,k) <= apart(l,i,j) + apart(l,j,k) for all i, k and j between them.

    The triangle inequalities of clique partitioning (Groetschel and Wakabayashi 1989). Without them sharing would be no
    partition: i with j and j with k, but not i with k.
    """
    for level, i in product(range(v.problem.levels), range(v.problem.n)):
        if not v.keep_going():
            return
        for j, k in combinations(range(i + 1, v.problem.n), 2):
            ij, jk, ik = v.parted(level, i, j), v.parted(level, j, k), v.parted(level, i, k)
            for one, first, second in ((ij, jk, ik), (jk, ij, ik), (ik, ij, jk)):
                v.model.add_bool_or([~one, first, second])


def groups_have_leaders(v: Variables, level: int, ranking: tuple[int, ...]) -> Leaders:
    """lead(j) + sum over i before j of member(i,j) = 1;  member(i,j) = lead(i) together(i,j);  lead(j) <= apart(i,j).

    Representatives (Campelo, Correa and Frota 2004): of the tasks of a group the first in the ranking stands for it, so
    that each partition has one description. Made once for a branch point and a ranking. Without it nothing could be
    counted or priced once a group.
    """
    if (level, ranking) in v.leaders:
        return v.leaders[level, ranking]
    lead: dict[int, IntVar] = {}
    member: dict[tuple[int, int], IntVar] = {}
    for place, j in enumerate(ranking):
        lead[j] = _flag_of_leader(v, level, j, j, ranking)
        for i in ranking[:place]:
            one = member[i, j] = _flag_of_leader(v, level, i, j, ranking)
            v.model.add_implication(one, lead[i])
            v.model.add_implication(one, v.together(level, i, j))
            v.model.add_implication(lead[j], v.parted(level, i, j))
            v.model.add_bool_or([one, ~lead[i], v.parted(level, i, j)])
        v.model.add_exactly_one([lead[j], *(member[i, j] for i in ranking[:place])])
    found = Leaders(ranking, [lead[i] for i in range(v.problem.n)], member)
    v.leaders[level, ranking] = found
    return found


def _flag_of_leader(v: Variables, level: int, i: int, j: int, ranking: tuple[int, ...]) -> IntVar:
    return v.flag(f"member_{level}_{i}_{j}", lambda answer: answer.leader(level, j, ranking) == i)


def groups_are_counted(v: Variables) -> None:
    """Sum over i of lead(l,i) = sum over k of k count(l,k);  sum over k of count(l,k) = 1.

    The number of groups as a choice, since a mean divides by it. That it does not fall from l to l+1 is said as well;
    it is redundant, as partitions refine each other.
    """
    n = v.problem.n
    for level in range(v.problem.levels):
        lead = groups_have_leaders(v, level, tuple(range(n))).lead
        row = [_flag_of_count(v, level, k) for k in range(1, n + 1)]
        v.model.add_exactly_one(row)
        v.model.add(sum(lead) == sum(k * one for k, one in enumerate(row, 1)))
        v.count.append(row)
    for before, after in zip(v.count, v.count[1:], strict=False):
        for k in range(1, n):
            v.model.add(sum(after[k:]) >= sum(before[k:]))


def _flag_of_count(v: Variables, level: int, k: int) -> IntVar:
    return v.flag(f"count_{level}_{k}", lambda answer: len(answer.groups[level]) == k)


def variety_is_a_mean_over_groups(v: Variables) -> None:
    """Where count(l,k) = 1:  k mean(l) >= sum over i of D(l,i) - (k - 1).

    D(l,i) is the largest dissimilarity in the group that i stands for: D(l,i) >= d(l,i,j) member(l,i,j), and
    D(l,i) >= d(l,j,k) where i stands for both. Steps are whole, so that the mean is rounded down. Without the
    constraint variety would be 0.
    """
    for level in range(v.problem.levels):
        widths = _widths_of_leaders(v, level)
        most = v.most_steps(level)
        mean = v.number(f"mean_{level}", most, _recipe_of_mean(v, level))
        for k, one in enumerate(v.count[level], 1):
            v.model.add(k * mean >= sum(widths) - (k - 1)).only_enforce_if(one)
        v.mean.append(mean)


def _widths_of_leaders(v: Variables, level: int) -> list[IntVar]:
    ranking = tuple(range(v.problem.n))
    member = groups_have_leaders(v, level, ranking).member
    widths = []
    for i in range(v.problem.n - 1):
        width = v.number(f"width_{level}_{i}", v.most_steps(level), _recipe_of_leader(v, level, i))
        later = range(i + 1, v.problem.n)
        for j in later:
            v.model.add(width >= v.steps(level, i, j) * member[i, j])
        for j, k in combinations(later, 2):
            steps = v.steps(level, j, k)
            if steps > max(v.steps(level, i, j), v.steps(level, i, k)):
                v.model.add(width >= steps).only_enforce_if([member[i, j], member[i, k]])
        widths.append(width)
    return widths


def _recipe_of_leader(v: Variables, level: int, i: int) -> Recipe:
    def width(answer: Answer) -> int:
        group = answer.group(level, i)
        return _width_in(v, answer, level, i) if group[0] == i else 0

    return width


def _width_in(v: Variables, answer: Answer, level: int, task: int) -> int:
    pairs = combinations(answer.group(level, task), 2)
    return max((v.steps(level, j, k) for j, k in pairs), default=0)


def _recipe_of_mean(v: Variables, level: int) -> Recipe:
    def mean(answer: Answer) -> int:
        groups = answer.groups[level]
        return sum(_width_in(v, answer, level, group[0]) for group in groups) // len(groups)

    return mean


def tasks_see_the_largest_dissimilarity(v: Variables) -> None:
    """W(l,i) >= d(l,i,j) together(l,i,j);  W(l,i) >= d(l,j,k) where i is together with both.

    W(l,i), the largest dissimilarity in the group of i, is what `task_variety` averages; without it that would be 0.
    """
    for level in range(v.problem.levels):
        row = []
        for i in range(v.problem.n):
            most = v.most_steps(level)
            widest = v.number(f"widest_{level}_{i}", most, _recipe_of_task(v, level, i))
            others = [j for j in range(v.problem.n) if j != i]
            for j in others:
                steps = v.steps(level, i, j)
                v.model.add(widest >= steps - steps * v.parted(level, i, j))
            for j, k in combinations(others, 2):
                steps = v.steps(level, j, k)
                if steps > max(v.steps(level, i, j), v.steps(level, i, k)):
                    both = [v.together(level, i, j), v.together(level, i, k)]
                    v.model.add(widest >= steps).only_enforce_if(both)
            row.append(widest)
        v.widest.append(row)


def _recipe_of_task(v: Variables, level: int, i: int) -> Recipe:
    return lambda answer: _width_in(v, answer, level, i)


def nodes_cost_the_most_of_their_tasks(
    v: Variables, level: int, figure: FloatArray
) -> list[tuple[float, IntVar]]:
    """Sum over the nodes of a block of the largest f(i) of a node = sum over i of f(i) lead(i), tasks ranked by f.

    The first of a group in this ranking is one with the largest figure (docs/cost-model.md, 9). Returns the terms.
    """
    leaders = groups_have_leaders(v, level, ranking_of(figure))
    return [(float(f), lead) for f, lead in zip(figure, leaders.lead, strict=True) if f > 0]


def steps_enter_nodes(v: Variables, level: int, figure: FloatArray) -> list[tuple[float, IntVar]]:
    """Sum over ordered pairs i, j that have parted of the figure of the node of j: f(j) apart(i,j) + more(i,j).

    more(i,j) >= (f(k) - f(j)) (apart(i,j) - apart(j,k)) for all k with f(k) > f(j): the node of j costs what the most
    expensive of its tasks does. Without `more` a shared copy would cost what the task alone does. Returns the terms.
    """
    terms = []
    step = float(figure.max(initial=0.0)) / STEPS
    for i, j in ((i, j) for i in range(v.problem.n) for j in range(v.problem.n) if i != j):
        terms.append((float(figure[j]), v.parted(level, i, j)))
        above = np.flatnonzero(figure > figure[j]).tolist()
        if not above or above == [i]:
            continue
        recipe = _recipe_of_node(level, figure, step, j, apart_from=i)
        more = v.number(f"more_{level}_{i}_{j}", int((figure.max() - figure[j]) / step) + 1, recipe)
        for k in above:
            if k != i:
                steps = int((figure[k] - figure[j]) / step)
                v.model.add(more >= steps * v.parted(level, i, j) - steps * v.parted(level, j, k))
        terms.append((step, more))
    return terms


def tasks_have_nodes(
    v: Variables, level: int, figure: FloatArray
) -> tuple[list[tuple[float, IntVar]], float]:
    """Sum over j of f(j) + more(j), the figure of its node;  more(j) >= (f(k) - f(j)) together(j,k) for f(k) > f(j).

    Returns the terms, and the sum of the f(j).
    """
    terms = []
    step = float(figure.max(initial=0.0)) / STEPS
    for j in range(v.problem.n):
        above = np.flatnonzero(figure > figure[j]).tolist()
        if not above:
            continue
        recipe = _recipe_of_node(level, figure, step, j)
        more = v.number(f"more_{level}_{j}", int((figure.max() - figure[j]) / step) + 1, recipe)
        for k in above:
            steps = int((figure[k] - figure[j]) / step)
            v.model.add(more >= steps - steps * v.parted(level, j, k))
        terms.append((step, more))
    return terms, float(figure.sum())


def _recipe_of_node(
    level: int, figure: FloatArray, step: float, j: int, apart_from: int | None = None
) -> Recipe:
    """Steps by which the node of j costs more than j alone; 0 if `apart_from` is in it."""

    def more(answer: Answer) -> int:
        if apart_from is not None and not answer.apart(level, apart_from, j):
            return 0
        return max(int((figure[k] - figure[j]) / step) for k in answer.group(level, j))

    return more
