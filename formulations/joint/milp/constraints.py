"""Constraints of an order and of what its steps pay for, one function each; those of the CP-SAT model in linear rows.

Symbols: as in `dnnplan.formulations.grouping.milp.constraints`; tasks a, b; arc(a,b) = 1: b comes right after a;
first(b), last(a); place(a); entered(l,b) = 1: b pays for its node at branch point l; f(b) cost of a block for b.
"""

from __future__ import annotations

import numpy as np
import pulp

from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.grouping.answer import ranking_of
from dnnplan.formulations.grouping.milp.constraints import groups_have_leaders
from dnnplan.formulations.joint.milp.variables import Variables
from dnnplan.formulations.joint.rules import START, Rule
from dnnplan.formulations.linear_sums import Terms


def tasks_follow_each_other(v: Variables) -> None:
    """first(b) + sum over a of arc(a,b) = 1;  last(a) + sum over b of arc(a,b) = 1;  sum over a of last(a) = 1.

    Every task has one before it, or is the first, and one after it, or is the last. Without it tasks could have no
    place.
    """
    tasks = range(v.problem.n)
    for b in tasks:
        v.graph.add(v.first.get(b, 0) + pulp.lpSum(v.arc[a, b] for a in tasks if (a, b) in v.arc) == 1)
        v.graph.add(v.last.get(b, 0) + pulp.lpSum(v.arc[b, a] for a in tasks if (b, a) in v.arc) == 1)
    v.graph.add(pulp.lpSum(v.last.values()) == 1)


def precedences_hold(v: Variables) -> None:
    """place(b) >= place(a) + 1 - n (1 - arc(a,b));  place(b) <= (n - 1) (1 - first(b)).

    And place(a) + 1 <= place(b) if a has to come before b: without it precedences would not matter. Places rule out
    rings as well (Miller, Tucker and Zemlin 1960). Where b may also come right before a, the row has arc(b,a) too:
    place(b) >= place(a) + 1 - n + n arc(a,b) + (n - 2) arc(b,a) (Desrochers and Laporte 1991).
    """
    n = v.problem.n
    for b, first in v.first.items():
        v.graph.add(v.place[b] <= (n - 1) * (1 - first))
    for (a, b), arc in v.arc.items():
        back = (n - 2) * v.arc[b, a] if (b, a) in v.arc else 0
        v.graph.add(v.place[b] >= v.place[a] + 1 - n + n * arc + back)
    for a, b in np.argwhere(v.problem.template.before).tolist():
        v.graph.add(v.place[a] + 1 <= v.place[b])


def tasks_enter_nodes(v: Variables, level: int, rule: Rule) -> list[pulp.LpVariable]:
    """entered(l,b) >= arc(a,b) + apart(l,a,b) - 1, >= entered(l-1,b);  for the first task as its rule says.

    A task pays for the nodes that it does not share with the one before it (docs/cost-model.md, 10). The first one pays
    for all, entered >= first(b); for none; or as after the last one, entered >= first(b) + last(a) + apart(l,a,b) - 2.
    Without it an order would cost nothing. Made once for a branch point and a rule.
    """
    if (rule, level) in v.entered:
        return v.entered[rule, level]
    graph, start = v.graph, START[rule]
    row = [graph.flag(f"entered_{rule}_{level}_{b}") for b in range(v.problem.n)]
    for b, entered in enumerate(row):
        if start and b in v.first:
            graph.add(entered >= v.first[b])
        if level and (rule, level - 1) in v.entered:
            graph.add(entered >= v.entered[rule, level - 1][b])
    for (a, b), arc in v.arc.items():
        graph.add(row[b] >= arc + graph.parted(level, a, b) - 1)
    if start is None:
        for a, last in v.last.items():
            for b, first in v.first.items():
                if a != b:
                    graph.add(row[b] >= first + last + graph.parted(level, a, b) - 2)
    v.entered[rule, level] = row
    return row


def entries_cost_nodes(v: Variables, level: int, figure: FloatArray, rule: Rule) -> Terms:
    """Sum over b of f(b) entered(b) + more(b);  more(b) >= (f(k) - f(b)) (entered(b) - apart(b,k)) for f(k) > f(b).

    A node costs what the most expensive of its tasks does. Without `more` a shared copy would cost what the task that
    enters it does alone. Returns the terms.
    """
    row = tasks_enter_nodes(v, level, rule)
    top = float(figure.max(initial=0.0))
    terms: Terms = []
    for b, entered in enumerate(row):
        terms.append((float(figure[b]), entered))
        above = np.flatnonzero(figure > figure[b]).tolist()
        if not above:
            continue
        more = v.graph.share(f"more_{rule}_{level}_{b}")
        for k in above:
            part = float(figure[k] - figure[b]) / top
            v.graph.add(more >= part * entered - part * v.graph.parted(level, b, k))
        terms.append((top, more))
    every_node_is_entered(v, level, figure, rule, terms)
    return terms


def every_node_is_entered(v: Variables, level: int, figure: FloatArray, rule: Rule, terms: Terms) -> None:
    """What entries cost at a branch point >= what its nodes cost, each once: sum over i of f(i) lead(l,i).

    But for the most expensive node where the first task pays for none, and for a node of all tasks where it pays as
    after the last one. Redundant; without it the relaxation would let order and task graph share the blame.
    """
    top = float(figure.max(initial=0.0))
    if top == 0:
        return
    ranking = ranking_of(figure)
    lead = groups_have_leaders(v.graph, level, ranking).lead
    once = [(float(figure[i]) / top, lead[i]) for i in ranking[1:]]
    if rule != "none":
        once.append((1.0, several_groups(v, level) if rule == "around" else lead[ranking[0]]))
    paid = pulp.lpSum(factor / top * item for factor, item in terms)
    v.graph.add(paid >= pulp.lpSum(part * item for part, item in once))


def several_groups(v: Variables, level: int) -> pulp.LpVariable:
    """several(l) = 1 - count(l,1): with a single group nothing is ever left."""
    if level not in v.several:
        v.several[level] = v.graph.flag(f"several_{level}")
        v.graph.add(v.several[level] + v.graph.count[level][0] == 1)
    return v.several[level]
