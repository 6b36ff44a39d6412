"""What a depth-first order costs: without precedences it is best, and each node is entered once.

As in `dnnplan.formulations.joint.cpsat.depth_first`, in linear rows.
"""

from __future__ import annotations

import pulp

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import ranking_of
from dnnplan.formulations.grouping.milp.constraints import groups_have_leaders
from dnnplan.formulations.joint.milp.constraints import several_groups
from dnnplan.formulations.joint.milp.variables import Variables, create_first
from dnnplan.formulations.joint.rules import Rule
from dnnplan.formulations.linear_sums import Terms


def nodes_are_entered_once(v: Variables, level: int, figure: FloatArray, rule: Rule) -> Terms:
    """Sum over i of f(i) lead(l,i), tasks ranked by f: each node once, at the cost of its most expensive task.

    Where the first task pays as after the last one, a node of all tasks is not entered: the first of the ranking, which
    always leads, counts only if there are several groups. Where it pays for none, its own node is not counted: a
    constant if all tasks cost the same, else sum over i of f(i) paid(i). Returns the terms.
    """
    ranking = ranking_of(figure)
    lead = groups_have_leaders(v.graph, level, ranking).lead
    rest = [(float(figure[i]), lead[i]) for i in ranking[1:] if figure[i] > 0]
    top = float(figure[ranking[0]])
    if rule == "all":
        return [(top, lead[ranking[0]]), *rest]
    if rule == "around":
        return [(top, several_groups(v, level)), *rest]
    return rest if bool((figure == top).all()) else nodes_of_others(v, level, figure)


def nodes_of_others(v: Variables, level: int, figure: FloatArray) -> Terms:
    """Sum over i of f(i) paid(i);  paid(i) >= lead(i) - holds(i);  holds(i) <= 1 - first(a) + member(i,a).

    holds(i) = 1: i stands for the group of the first task; one does. Without it the free node could be any.
    """
    create_first(v)
    ranking = ranking_of(figure)
    leaders = groups_have_leaders(v.graph, level, ranking)
    holds = {i: v.graph.flag(f"holds_{level}_{i}") for i in ranking}
    v.graph.add(pulp.lpSum(holds.values()) == 1)
    terms: Terms = []
    for place, i in enumerate(ranking):
        for a, first in v.first.items():
            standing = leaders.lead[i] if a == i else leaders.member[i, a] if a in ranking[place:] else 0
            v.graph.add(holds[i] <= 1 - first + standing)
        if figure[i] > 0:
            paid = v.graph.flag(f"paid_{level}_{i}")
            v.graph.add(paid >= leaders.lead[i] - holds[i])
            terms.append((float(figure[i]), paid))
    return terms
