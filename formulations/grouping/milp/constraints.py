"""Constraints of a task graph, one function each; those of `dnnplan.formulations.grouping.cpsat` in linear rows.

Symbols: branch points l; tasks i, j, k; apart(l,i,j) = 1: i and j have parted at l, together = 1 - apart;
lead(l,i) = 1: i stands for its group; member(l,i,j) = 1: i stands for the group of j; d(l,i,j) dissimilarity;
f(i) a figure of a block for task i.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pulp

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import ranking_of
from dnnplan.formulations.grouping.milp.variables import Leaders, Variables
from dnnplan.formulations.linear_sums import Terms


def tasks_that_part_stay_apart(v: Variables) -> None:
    """apart(l+1,i,j) >= apart(l,i,j).

    Partitions refine each other (docs/cost-model.md, 9). Without it groups could meet again behind a branch point, and
    blocks and groups would be no tree.
    """
    for before, after in zip(v.apart, v.apart[1:], strict=False):
        for pair, parted in before.items():
            v.add(after[pair] >= parted)


def together_is_transitive(v: Variables) -> None:
    """apart(l,i,k) <= apart(l,i,j) + apart(l,j,k) for all i, k and j between them.

    The triangle inequalities of clique partitioning (Groetschel and Wakabayashi 1989). Without them sharing would be no
    partition: i with j and j with k, but not i with k.
    """
    for level in range(v.problem.levels):
        for i, j, k in combinations(range(v.problem.n), 3):
            ij, jk, ik = v.parted(level, i, j), v.parted(level, j, k), v.parted(level, i, k)
            for one, first, second in ((ij, jk, ik), (jk, ij, ik), (ik, ij, jk)):
                v.add(one <= first + second)


def groups_have_leaders(v: Variables, level: int, ranking: tuple[int, ...]) -> Leaders:
    """lead(j) + sum over i before j of member(i,j) = 1;  member(i,j) = lead(i) together(i,j);  lead(j) <= apart(i,j).

    Representatives (Campelo, Correa and Frota 2004): of the tasks of a group the first in the ranking stands for it, so
    that each partition has one description. The product is linear: member <= lead, <= together, >= lead - apart. Made
    once for a branch point and a ranking. Without it nothing could be counted or priced once a group.
    """
    if (level, ranking) in v.leaders:
        return v.leaders[level, ranking]
    lead: dict[int, pulp.LpVariable] = {}
    member: dict[tuple[int, int], pulp.LpVariable] = {}
    for place, j in enumerate(ranking):
        lead[j] = v.flag(f"lead_{level}_{j}")
        for i in ranking[:place]:
            one = member[i, j] = v.flag(f"member_{level}_{i}_{j}")
            v.add(one <= lead[i])
            v.add(one <= v.together(level, i, j))
            v.add(one >= lead[i] - v.parted(level, i, j))
            v.add(lead[j] <= v.parted(level, i, j))
        v.add(lead[j] + pulp.lpSum(member[i, j] for i in ranking[:place]) == 1)
    found = Leaders(ranking, [lead[i] for i in range(v.problem.n)], member)
    v.leaders[level, ranking] = found
    return found


def groups_are_counted(v: Variables) -> None:
    """Sum over i of lead(l,i) = sum over k of k count(l,k);  sum over k of count(l,k) = 1.

    The number of groups as a choice, since a mean divides by it. That it does not fall from l to l+1 is said as well;
    it is redundant, as partitions refine each other.
    """
    n = v.problem.n
    for level in range(v.problem.levels):
        lead = groups_have_leaders(v, level, tuple(range(n))).lead
        row = [v.flag(f"count_{level}_{k}") for k in range(1, n + 1)]
        v.add(pulp.lpSum(row) == 1)
        v.add(pulp.lpSum(lead) == pulp.lpSum(k * one for k, one in enumerate(row, 1)))
        v.count.append(row)
    for before, after in zip(v.count, v.count[1:], strict=False):
        for k in range(1, n):
            v.add(pulp.lpSum(after[k:]) >= pulp.lpSum(before[k:]))


def variety_is_a_mean_over_groups(v: Variables) -> None:
    """mean(l) = sum over k of w(l,k) / k;  sum over k of w(l,k) = sum over i of D(l,i);  w(l,k) <= M(k) count(l,k).

    D(l,i) is the largest dissimilarity in the group that i stands for: D(l,i) >= d(l,i,j) member(l,i,j), and
    D(l,i) >= d(l,j,k) (member(l,i,j) + member(l,i,k) - 1). With k groups at most min(k, n - k) have several tasks:
    M(k) = min(k, n - k) max d. Without the constraint variety would be 0.
    """
    n = v.problem.n
    for level in range(v.problem.levels):
        most = v.most(level)
        parts = [v.share(f"part_{level}_{k}", min(k, n - k) * most) for k in range(1, n + 1)]
        for k, (part, one) in enumerate(zip(parts, v.count[level], strict=True), 1):
            v.add(part <= min(k, n - k) * most * one)
        v.add(pulp.lpSum(parts) == pulp.lpSum(_widths_of_leaders(v, level)))
        mean = v.share(f"mean_{level}", most)
        v.add(mean == pulp.lpSum(part / k for k, part in enumerate(parts, 1)))
        v.mean.append(mean)


def _widths_of_leaders(v: Variables, level: int) -> list[pulp.LpVariable]:
    member = groups_have_leaders(v, level, tuple(range(v.problem.n))).member
    widths = []
    for i in range(v.problem.n - 1):
        width = v.share(f"width_{level}_{i}", v.most(level))
        later = range(i + 1, v.problem.n)
        for j in later:
            v.add(width >= v.dissimilarity(level, i, j) * member[i, j])
        for j, k in combinations(later, 2):
            far = v.dissimilarity(level, j, k)
            if far > max(v.dissimilarity(level, i, j), v.dissimilarity(level, i, k)):
                v.add(width >= far * member[i, j] + far * member[i, k] - far)
        widths.append(width)
    return widths


def tasks_see_the_largest_dissimilarity(v: Variables) -> None:
    """W(l,i) >= d(l,i,j) together(l,i,j);  W(l,i) >= d(l,j,k) (1 - apart(l,i,j) - apart(l,i,k)).

    W(l,i), the largest dissimilarity in the group of i, is what `task_variety` averages; without it that would be 0.
    """
    for level in range(v.problem.levels):
        row = []
        for i in range(v.problem.n):
            widest = v.share(f"widest_{level}_{i}", v.most(level))
            others = [j for j in range(v.problem.n) if j != i]
            for j in others:
                far = v.dissimilarity(level, i, j)
                v.add(widest >= far - far * v.parted(level, i, j))
            for j, k in combinations(others, 2):
                far = v.dissimilarity(level, j, k)
                if far > max(v.dissimilarity(level, i, j), v.dissimilarity(level, i, k)):
                    v.add(widest >= far - far * v.parted(level, i, j) - far * v.parted(level, i, k))
            row.append(widest)
        v.widest.append(row)


def nodes_cost_the_most_of_their_tasks(v: Variables, level: int, figure: FloatArray) -> Terms:
    """Sum over the nodes of a block of the largest f(i) of a node = sum over i of f(i) lead(i), tasks ranked by f.

    The first of a group in this ranking is one with the largest figure (docs/cost-model.md, 9). Returns the terms.
    """
    leaders = groups_have_leaders(v, level, ranking_of(figure))
    return [(float(f), lead) for f, lead in zip(figure, leaders.lead, strict=True) if f > 0]


def steps_enter_nodes(v: Variables, level: int, figure: FloatArray) -> Terms:
    """Sum over ordered pairs i, j that have parted of the figure of the node of j: f(j) apart(i,j) + more(i,j).

    more(i,j) >= (f(k) - f(j)) (apart(i,j) - apart(j,k)) for all k with f(k) > f(j): the node of j costs what the most
    expensive of its tasks does. Without `more` a shared copy would cost what the task alone does. Returns the terms.
    """
    terms: Terms = []
    top = float(figure.max(initial=0.0))
    for i, j in ((i, j) for i in range(v.problem.n) for j in range(v.problem.n) if i != j):
        terms.append((float(figure[j]), v.parted(level, i, j)))
        above = [k for k in np.flatnonzero(figure > figure[j]).tolist() if k != i]
        if not above:
            continue
        more = v.share(f"more_{level}_{i}_{j}")
        for k in above:
            part = float(figure[k] - figure[j]) / top
            v.add(more >= part * v.parted(level, i, j) - part * v.parted(level, j, k))
        terms.append((top, more))
    return terms


def tasks_have_nodes(v: Variables, level: int, figure: FloatArray) -> tuple[Terms, float]:
    """Sum over j of f(j) + more(j), the figure of its node;  more(j) >= (f(k) - f(j)) together(j,k) for f(k) > f(j).

    Returns the terms, and the sum of the f(j).
    """
    terms: Terms = []
    top = float(figure.max(initial=0.0))
    for j in range(v.problem.n):
        above = np.flatnonzero(figure > figure[j]).tolist()
        if not above:
            continue
        more = v.share(f"more_{level}_{j}")
        for k in above:
            part = float(figure[k] - figure[j]) / top
            v.add(more >= part - part * v.parted(level, j, k))
        terms.append((top, more))
    return terms, float(figure.sum())
