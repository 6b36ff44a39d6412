"""What a depth-first order costs: without precedences it is best, and each node is entered once.

Every node that is not there at the start is entered at least once in any order, and in a depth-first order, in which
the tasks of each node are consecutive, no more than once (`dnnplan.solvers.ordering.depth_first` has the proof). So the
order need not be modelled, but for the first task where what it needs is free of charge.
"""

from __future__ import annotations

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import Answer, ranking_of
from dnnplan.formulations.grouping.cpsat.constraints import groups_have_leaders
from dnnplan.formulations.grouping.cpsat.variables import Recipe
from dnnplan.formulations.integer_sums import Terms
from dnnplan.formulations.joint.cpsat.constraints import several_groups
from dnnplan.formulations.joint.cpsat.variables import Variables, create_first
from dnnplan.formulations.joint.rules import Rule


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
    holds = {i: v.graph.flag(f"holds_{level}_{i}", _recipe_of_holder(level, i, ranking)) for i in ranking}
    v.model.add_exactly_one(list(holds.values()))
    terms: Terms = []
    for place, i in enumerate(ranking):
        for a, first in v.first.items():
            if a == i:
                v.model.add_bool_or([~holds[i], ~first, leaders.lead[i]])
            elif a in ranking[place:]:
                v.model.add_bool_or([~holds[i], ~first, leaders.member[i, a]])
            else:
                v.model.add_bool_or([~holds[i], ~first])
        if figure[i] > 0:
            paid = v.graph.flag(f"paid_{level}_{i}", _recipe_of_payment(level, i, ranking))
            v.model.add_bool_or([paid, ~leaders.lead[i], holds[i]])
            terms.append((float(figure[i]), paid))
    return terms


def _recipe_of_holder(level: int, i: int, ranking: tuple[int, ...]) -> Recipe:
    return lambda answer: int(answer.leader(level, answer.order[0], ranking) == i)


def _recipe_of_payment(level: int, i: int, ranking: tuple[int, ...]) -> Recipe:
    def paid(answer: Answer) -> int:
        leads = answer.leader(level, i, ranking) == i
        return int(leads and answer.leader(level, answer.order[0], ranking) != i)

    return paid
