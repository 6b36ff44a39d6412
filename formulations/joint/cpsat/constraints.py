"""Constraints of an order and of what its steps pay for, one function each.

Symbols: as in `dnnplan.formulations.grouping.cpsat.constraints`; tasks a, b; arc(a,b) = 1: b comes right after a;
first(b), last(a); place(a); entered(l,b) = 1: b pays for its node at branch point l; f(b) cost of a block for b.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import Answer, ranking_of
from dnnplan.formulations.grouping.cpsat.constraints import groups_have_leaders
from dnnplan.formulations.grouping.cpsat.variables import STEPS, IntVar, Recipe
from dnnplan.formulations.integer_sums import Terms
from dnnplan.formulations.joint.cpsat.variables import Variables
from dnnplan.formulations.joint.rules import START, Rule


def tasks_follow_each_other(v: Variables) -> None:
    """A circuit through all tasks and a start: arc(a,b), first(b) from the start, last(a) back to it.

    Without it tasks could have no place, or form several rings.
    """
    start = v.problem.n
    arcs = [(a, b, arc) for (a, b), arc in v.arc.items()]
    arcs += [(start, b, first) for b, first in v.first.items()]
    arcs += [(a, start, last) for a, last in v.last.items()]
    v.model.add_circuit(arcs)


def precedences_hold(v: Variables) -> None:
    """Where arc(a,b): place(b) = place(a) + 1;  where first(b): place(b) = 0;  place(a) < place(b) if a precedes b.

    Places are those of the circuit. Arcs that precedences rule out have no variable; the others need places.
    """
    for b, first in v.first.items():
        v.model.add(v.place[b] == 0).only_enforce_if(first)
    for (a, b), arc in v.arc.items():
        v.model.add(v.place[b] == v.place[a] + 1).only_enforce_if(arc)
    for a, b in np.argwhere(v.problem.template.before).tolist():
        v.model.add(v.place[a] < v.place[b])


def tasks_enter_nodes(v: Variables, level: int, rule: Rule) -> list[IntVar]:
    """entered(l,b) >= arc(a,b) apart(l,a,b);  for the first task as its rule says; entered(l,b) >= entered(l-1,b).

    A task pays for the nodes that it does not share with the one before it (docs/cost-model.md, 10). The first one pays
    for all, entered >= first(b); for none; or as after the last one, entered >= first(b) last(a) apart(l,a,b). Without
    it an order would cost nothing. Made once for a branch point and a rule.
    """
    if (rule, level) in v.entered:
        return v.entered[rule, level]
    graph, start = v.graph, START[rule]
    row = []
    for b in range(v.problem.n):
        recipe = _recipe_of_entry(level, b, start)
        entered = graph.flag(f"entered_{rule}_{level}_{b}", recipe)
        if start and b in v.first:
            v.model.add_implication(v.first[b], entered)
        if level and (rule, level - 1) in v.entered:
            v.model.add_implication(v.entered[rule, level - 1][b], entered)
        row.append(entered)
    for (a, b), arc in v.arc.items():
        v.model.add_bool_or([row[b], ~arc, graph.together(level, a, b)])
    if start is None:
        for a, last in v.last.items():
            for b, first in v.first.items():
                if a != b:
                    v.model.add_bool_or([row[b], ~last, ~first, graph.together(level, a, b)])
    v.entered[rule, level] = row
    return row


def _recipe_of_entry(level: int, b: int, start: bool | None) -> Recipe:
    return lambda answer: int(answer.enters(level, b, start=start))


def entries_cost_nodes(v: Variables, level: int, figure: FloatArray, rule: Rule) -> Terms:
    """Sum over b of f(b) entered(b) + more(b);  more(b) >= (f(k) - f(b)) (entered(b) - apart(b,k)) for f(k) > f(b).

    A node costs what the most expensive of its tasks does. Without `more` a shared copy would cost what the task that
    enters it does alone. Returns the terms.
    """
    row = tasks_enter_nodes(v, level, rule)
    step = float(figure.max(initial=0.0)) / STEPS
    terms: Terms = []
    for b, entered in enumerate(row):
        terms.append((float(figure[b]), entered))
        above = np.flatnonzero(figure > figure[b]).tolist()
        if not above:
            continue
        recipe = _recipe_of_more(level, figure, step, b, START[rule])
        more = v.graph.number(f"more_{rule}_{level}_{b}", int((figure.max() - figure[b]) / step) + 1, recipe)
        for k in above:
            steps = int((figure[k] - figure[b]) / step)
            v.model.add(more >= steps * entered - steps * v.graph.parted(level, b, k))
        terms.append((step, more))
    every_node_is_entered(v, level, figure, rule, terms)
    return terms


def _recipe_of_more(level: int, figure: FloatArray, step: float, b: int, start: bool | None) -> Recipe:
    def more(answer: Answer) -> int:
        if not answer.enters(level, b, start=start):
            return 0
        return max(int((figure[k] - figure[b]) / step) for k in answer.group(level, b))

    return more


def every_node_is_entered(v: Variables, level: int, figure: FloatArray, rule: Rule, terms: Terms) -> None:
    """What entries cost at a branch point >= what its nodes cost, each once: sum over i of f(i) lead(l,i).

    But for the most expensive node where the first task pays for none, and for a node of all tasks where it pays as
    after the last one. Redundant; without it the relaxation would let order and task graph share the blame.
    """
    step = float(figure.max(initial=0.0)) / STEPS
    if step == 0:
        return
    ranking = ranking_of(figure)
    lead = groups_have_leaders(v.graph, level, ranking).lead
    # Rounding takes at most a step from each node.
    once = [(int(figure[i] / step) - 1, lead[i]) for i in ranking[1:]]
    if rule != "none":
        top = several_groups(v, level) if rule == "around" else lead[ranking[0]]
        once.append((int(figure[ranking[0]] / step) - 1, top))
    paid = sum(int(factor / step) * item for factor, item in terms)
    v.model.add(paid >= sum(max(0, steps) * item for steps, item in once))


def several_groups(v: Variables, level: int) -> IntVar:
    """several(l) = 1 - count(l,1): with a single group nothing is ever left."""
    if level not in v.several:
        several = v.graph.flag(f"several_{level}", lambda answer: int(len(answer.groups[level]) > 1))
        v.model.add(several + v.graph.count[level][0] == 1)
        v.several[level] = several
    return v.several[level]
