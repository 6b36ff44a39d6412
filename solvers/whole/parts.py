"""Runs on the parts of a whole plan: the mapping of one task graph, and what the parts are."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.feasibility import reason_for_infeasibility
from dnnplan.costs.objectives import UNITS
from dnnplan.costs.ordering.problem import OrderingProblem, from_task_graph, precedence_closure
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES as GRAPH_MEASURES
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.mapping.bounds import broken_limit
from dnnplan.formulations.whole.bounds import quick_bound
from dnnplan.instances import Limits, Ordering
from dnnplan.solvers.lists.heft import decode_list
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, TaskSearch

OBJECTIVES = (*GRAPH_MEASURES, *UNITS)
"""What solvers of the whole plan optimise: all measures of task graphs and of mappings."""


def bound_first(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
    """Report the bound that is there at once."""
    bound = quick_bound(problem)
    search.improve_bound(bound.value, bound.name)


def run_mapping(
    problem: WholeProblem,
    search: TaskSearch[WholeProblem],
    groups: Groups,
    seconds: float,
    *,
    start: Decisions | None = None,
) -> Search:
    """Run the default solver of mapping on what a task graph leaves, and propose the best mapping.

    Parameters
    ----------
    seconds
        At most (units of work, where work is limited).
    start
        A mapping to begin with.

    Returns
    -------
    The search on the mapping alone: its bound holds for plans with this task graph.
    """
    view = problem.mapping(groups)
    by_work = search.settings.work_limit is not None
    settings = dataclasses.replace(
        search.settings,
        time_limit=search.remaining if by_work else min(seconds, search.remaining),
        work_limit=min(seconds, search.remaining_work) if by_work else None,
        warm_start=None,
        on_progress=None,
        stop=search.finished,
    )
    inner = Search(view, settings, name=f"{search.name} (mapping)")
    inner.infeasible = reason_for_infeasibility(view) or broken_limit(view)
    if inner.infeasible is None:
        if start is not None:
            inner.propose(start)
        get_solver("auto").run(view, inner)
    search.work += inner.work
    if inner.best is not None:
        search.propose((groups, inner.best))
    if inner.interrupted and not search.finished():
        search.interrupted = True
    return inner


def order_problem(problem: WholeProblem, groups: Groups, costs: BlockCosts | None = None) -> OrderingProblem:
    """The order of tasks on one device that keeps one path of blocks, with the costs of the best device.

    Parameters
    ----------
    costs
        Other costs of blocks.
    """
    assert problem.grouping is not None
    given = problem.instance.ordering or Ordering()
    plain = replace(given, switch=(), resources=(), slots=None, conditions=(), cache_bytes=None)
    alone = replace(problem.instance, objective="switching", limits=Limits(), ordering=plain)
    n = problem.n
    template = OrderingProblem(
        instance=alone,
        tasks=problem.tasks,
        first=np.zeros(n),
        switch=np.zeros((n, n)),
        close=np.zeros((n, n)),
        before=precedence_closure(alone, problem.tasks),
        closed=given.closed,
        scenarios=None,
        tools=None,
        graph=None,
        unit_of_cost="s",
        stages=((("switching", 1.0),),),
        limits={},
    )
    return from_task_graph(template, costs or problem.grouping.costs, groups)


def listed(problem: WholeProblem, groups: Groups, order: Sequence[int]) -> Decisions | None:
    """A list schedule in which the tasks' places in an order are priorities: each layer where it ends first.

    None if some layer has no room.
    """
    view = problem.mapping(groups)
    first = np.full(view.n, problem.n, dtype=np.int64)
    place = {task: number for number, task in enumerate(order)}
    for row in problem.layers(groups):
        for task, cell in enumerate(row):
            for layer in cell:
                first[layer] = min(first[layer], place[task])
    return decode_list(view, view.arrays, np.array(by_priority(view, first.tolist()), dtype=np.int64))


def by_priority(view: MappingProblem, priority: Sequence[float]) -> list[int]:
    """Layers in topological order, of those that are ready the one of least priority first."""
    successors: list[list[int]] = [[] for _ in range(view.n)]
    waiting = [0] * view.n
    for _, i, j in view.edges.tolist():
        successors[i].append(j)
        waiting[j] += 1
    ready = [(priority[i], i) for i in range(view.n) if waiting[i] == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, i = heapq.heappop(ready)
        order.append(i)
        for j in successors[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, (priority[j], j))
    return order


def seconds_of(search: TaskSearch[WholeProblem], seconds: float, part: float) -> float:
    """That part of at most `seconds` of what is left; units of work, where work is limited."""
    by_work = search.settings.work_limit is not None
    return part * min(seconds, search.remaining_work if by_work else search.share(1.0))


def spent(search: TaskSearch[WholeProblem]) -> float:
    """Seconds since the run began, or units of work, where work is limited."""
    return search.work if search.settings.work_limit is not None else search.seconds


FOREVER = math.inf
"""No limit of its own."""
