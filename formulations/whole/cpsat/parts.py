"""Parts of the model: what a plan decides for some tasks stays, all else is free."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import combinations, pairwise

from ortools.sat.python import cp_model

from dnnplan.costs.whole import WholeAnswer
from dnnplan.formulations.grouping.answer import Answer
from dnnplan.formulations.whole.cpsat.extract import copies_of_layers
from dnnplan.formulations.whole.cpsat.variables import Variables


def part_of_model(
    v: Variables, answer: WholeAnswer, free: Collection[int], below: float | None
) -> cp_model.CpModel:
    """A copy of the model in which only the tasks `free` may choose other groups, devices and places in the order.

    What other tasks share, where their blocks run, and the order of layers that belong to none of the free tasks stays
    as in a plan.

    Parameters
    ----------
    below
        Seconds by which a better plan ends; None: not known.
    """
    model = v.model.clone()

    def twin(variable: cp_model.IntVar) -> cp_model.IntVar:
        return model.get_int_var_from_proto_index(variable.index)

    known, free = Answer(answer.groups), set(free)
    for level in range(v.copies.levels):
        for i, j in combinations(range(v.problem.n), 2):
            if i not in free and j not in free:
                model.add(twin(v.graph.parted(level, i, j)) == int(known.apart(level, i, j)))
    tasks_of = _tasks_of_layers(v, answer)
    place, layers = answer.evaluation.decisions.place, v.problem.layers(answer.groups)
    for row, own in zip(layers, v.copies.cells, strict=True):
        for t in set(range(v.problem.n)) - free:
            for i, c in zip(row[t], own[t], strict=True):
                for d, x in v.x[c].items():
                    model.add(twin(x) == int(place[i] == d))
    copy_of, decisions = copies_of_layers(v, answer.groups), answer.evaluation.decisions
    for calls in decisions.order:
        stay = [i for call in calls for i in decisions.calls[call] if not tasks_of[i] & free]
        for i, j in pairwise(stay):
            model.add(twin(v.start[copy_of[j]]) >= twin(v.end[copy_of[i]]))
    if below is not None:
        model.add(twin(v.makespan) <= math.floor(below / v.tick * (1 - 1e-6)))
    return model


def _tasks_of_layers(v: Variables, answer: WholeAnswer) -> dict[int, set[int]]:
    """The tasks that each layer of a plan belongs to."""
    found: dict[int, set[int]] = {}
    for row in v.problem.layers(answer.groups):
        for t, cell in enumerate(row):
            for i in cell:
                found.setdefault(i, set()).add(t)
    return found
