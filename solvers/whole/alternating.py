"""Task graph and mapping in turn: what blocks cost where they run chooses the next task graph."""

from __future__ import annotations

import dataclasses

import numpy as np

from dnnplan.costs import Decisions, Evaluation, MappingProblem, decisions_of
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeAnswer, WholeProblem
from dnnplan.solvers.joint.parts import run_part
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.whole.parts import (
    FOREVER,
    OBJECTIVES,
    bound_first,
    by_priority,
    run_mapping,
    seconds_of,
    spent,
)
from dnnplan.solvers.whole.sequential import graph_problem, graph_stage, run_steps

FIRST_PART, GRAPH_PART, MAPPING_PART = 0.4, 0.1, 0.25
"""Shares of the time left: for the first plan, and for the task graph and the mapping of each round."""
POWERS = (1.0, 2.0, 4.0)
"""Exponents of how busy the platform is while a block runs, one after the other."""


class Alternating:
    """The sequential plan, then task graphs for what blocks cost where the last mapping put them, to a fixed point.

    A block then costs the seconds of its layers on their devices and of the tensors that came to them from other
    devices, times the part of all devices that are busy meanwhile: where others are idle, a second copy is cheap. The
    loop comes to a fixed point when a task graph comes again. From the best plan so far it goes on with more weight on
    what is busy (`POWERS`), until no weight gives a new task graph; the best plan of all rounds stays.
    """

    summary = (
        "task graph and mapping in turn, with the costs of blocks where they were placed, to a fixed point"
    )
    capabilities = Capabilities(problem="whole", bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """Rounds until a task graph comes again, or until the limits."""
        bound_first(problem, search)
        if not search.finished():
            steps = run_steps(problem, search, seconds_of(search, FOREVER, FIRST_PART))
            alternate(problem, search, tried={steps.groups} if steps is not None else set())


def alternate(
    problem: WholeProblem,
    search: TaskSearch[WholeProblem],
    seconds: float = FOREVER,
    *,
    tried: set[Groups] | None = None,
) -> None:
    """Rounds from the incumbent, taking at most `seconds` (units of work, where work is limited).

    Parameters
    ----------
    tried
        Task graphs that have been mapped.
    """
    if problem.grouping is None or search.best is None:
        return
    until = spent(search) + seconds_of(search, seconds, 1.0)
    answer: WholeAnswer = search.best.decisions
    seen = {answer.groups} | (tried or set())
    stage = graph_stage(problem)
    powers = list(POWERS)
    while powers and not search.finished() and spent(search) < until:
        costs = costs_of_placement(problem, answer, powers[0])
        left = until - spent(search)
        graph = run_part(graph_problem(problem, stage, costs), "grouping", search, GRAPH_PART * left)
        if graph.best is None:
            return
        groups: Groups = graph.best.decisions
        if groups in seen:
            # Nothing new: the same again from the best plan, with what is idle counted for less.
            powers.pop(0)
            answer = search.best.decisions
            continue
        seen.add(groups)
        start = carried_over(problem, answer, groups)
        found = run_mapping(problem, search, groups, MAPPING_PART * left, start=start)
        if found.best is not None:
            answer = problem.judge((groups, found.best)).decisions


def costs_of_placement(problem: WholeProblem, answer: WholeAnswer, power: float = 1.0) -> BlockCosts:
    """What each block of each task costs where its layers run: seconds times how busy the platform is meanwhile.

    Parameters
    ----------
    power
        Exponent of how busy it is.
    """
    assert problem.grouping is not None
    view, found = problem.mapping(answer.groups), answer.evaluation
    place = np.array(found.decisions.place, dtype=np.int64)
    seconds = (view.duration[np.arange(view.n), place] + moved_to(found)) * busy_meanwhile(found) ** power
    rows = problem.layers(answer.groups)
    compute = np.array([[float(seconds[list(cell)].sum()) for cell in row] for row in rows])
    return dataclasses.replace(problem.grouping.costs, compute=compute, load=np.zeros_like(compute))


def busy_meanwhile(found: Evaluation) -> FloatArray:
    """(n,) part of the devices that are busy while each layer's call runs, in the mean; 1 for calls of no length."""
    view, start, end = found.problem, np.array(found.start), np.array(found.end)
    both = np.minimum(end[:, None], end[None, :]) - np.maximum(start[:, None], start[None, :])
    length = end - start
    share = np.maximum(both, 0.0).sum(axis=1) / np.where(length > 0, length, 1.0) / view.m
    by_call = np.where(length > 0, np.minimum(share, 1.0), 1.0)
    return by_call[list(call_of_layers(found))]


def call_of_layers(found: Evaluation) -> list[int]:
    """The call of each layer."""
    calls = [0] * found.problem.n
    for c, layers in enumerate(found.decisions.calls):
        for i in layers:
            calls[i] = c
    return calls


def moved_to(found: Evaluation) -> FloatArray:
    """(n,) seconds in which tensors came to each layer from other devices, in equal parts for all of their readers."""
    view, place = found.problem, found.decisions.place
    seconds = np.zeros(view.n)
    for k, readers in enumerate(view.readers):
        source = int(view.source[k])
        if source < 0:
            continue
        for device in {place[i] for i in readers} - {place[source]}:
            there = [i for i in readers if place[i] == device]
            moved = move_seconds(view, k, place[source], device)
            seconds[there] += moved / len(there)
    return seconds


def move_seconds(view: MappingProblem, tensor: int, source: int, device: int) -> float:
    """Seconds from device to device, through the host where tensors go through it."""
    if view.execution.staging == "direct":
        return view.move_seconds(tensor, source, device)
    return view.move_seconds(tensor, source, view.m) + view.read_seconds(
        tensor, device, float(view.size[tensor])
    )


def carried_over(problem: WholeProblem, answer: WholeAnswer, groups: Groups) -> Decisions:
    """The mapping of a plan for another task graph: a block runs where that of its first task ran, as early."""
    view, found = problem.mapping(groups), answer.evaluation
    call_of = call_of_layers(found)
    place = [0] * view.n
    start = [float("inf")] * view.n
    for before, after in zip(problem.layers(answer.groups), problem.layers(groups), strict=True):
        for old, new in zip(reversed(before), reversed(after), strict=True):
            for i, j in zip(old, new, strict=True):
                place[j] = found.decisions.place[i]
                start[j] = min(start[j], found.start[call_of[i]])
    order: list[list[int]] = [[] for _ in range(view.m)]
    for j in by_priority(view, start):
        order[place[j]].append(j)
    return decisions_of(view, place, order)
