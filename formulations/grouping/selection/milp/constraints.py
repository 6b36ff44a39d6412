"""Constraints of choosing networks, one function each; those of the CP-SAT model.

Symbols: candidates c; tasks t; chosen(c) = 1: c is there; takes(t,c) = 1: t takes c.
"""

from __future__ import annotations

import math

import pulp

from dnnplan.formulations.grouping.selection.milp.objective import excess
from dnnplan.formulations.grouping.selection.milp.variables import Variables
from dnnplan.formulations.linear_sums import keep_at_most


def each_task_takes_one(v: Variables) -> None:
    """Sum over c of takes(t,c) = 1.

    The assignment of facility location; minimising makes it the best chosen one (Standley et al. 2020, section 3).
    Without it a task could do without a network.
    """
    for row in v.takes:
        v.model += pulp.lpSum(row.values()) == 1


def only_chosen_ones_are_taken(v: Variables) -> None:
    """takes(t,c) <= chosen(c).

    Without it every task would have its favourite for nothing.
    """
    for row in v.takes:
        for c, takes in row.items():
            v.model += takes <= v.chosen[c]


def budget_is_kept(v: Variables) -> None:
    """Sum over c of cost(c) chosen(c) <= budget."""
    room = v.candidates.room
    terms = [
        (float(cost), chosen) for cost, chosen in zip(v.candidates.cost, v.chosen, strict=True) if cost > 0
    ]
    if sum(cost for cost, _ in terms) > room:
        keep_at_most(v.model, terms, room)


def few_are_chosen(v: Variables) -> None:
    """Sum over c of chosen(c) <= most (Fifty et al. 2021, section 3)."""
    if v.candidates.most < len(v.chosen):
        v.model += pulp.lpSum(v.chosen) <= v.candidates.most


def loss_is_kept(v: Variables) -> None:
    """Sum over t and c of (score(c,t) - least(t)) takes(t,c) <= limit on the loss less all least(t).

    Without it only the objective would keep the loss small.
    """
    terms = [term for row in excess(v) for term in row]
    if terms and math.isfinite(v.candidates.worst):
        keep_at_most(v.model, terms, v.candidates.above_least(v.candidates.worst))
