"""First the task graph, then the order, then the mapping; each for itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from dnnplan.costs.judged import Judged, Terms
from dnnplan.costs.objectives import UNITS
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import GroupingProblem
from dnnplan.costs.whole import WholeProblem, mapping_terms
from dnnplan.solvers.joint.parts import run_part
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import Search, TaskSearch
from dnnplan.solvers.whole.parts import (
    FOREVER,
    OBJECTIVES,
    bound_first,
    listed,
    order_problem,
    run_mapping,
    seconds_of,
    spent,
)
from dnnplan.solvers.whole.start import propose_at_last

GROUPING_PART, ORDER_PART = 0.25, 0.05
"""Shares of the time for the task graph and for the order; the mapping has the rest."""
TIMES = ("latency", "max_load", "weighted_completion", "tardiness")
"""Measures of mappings in seconds, which the mean cost of a period stands for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Steps:
    """What the steps gave.

    Parameters
    ----------
    groups, order
        The task graph and the order of the tasks on the best device.
    graph_proved, order_proved
        Whether each is the best by its own measure.
    mapping
        The search on the mapping; its bound holds for plans with this task graph.
    judged
        The whole plan; None where no mapping was found.
    """

    groups: Groups
    graph_proved: bool
    order: tuple[int, ...]
    order_proved: bool
    mapping: Search
    judged: Judged | None

    @property
    def proved(self) -> bool:
        """Whether each step is the best by its own measure."""
        return self.graph_proved and self.order_proved and self.mapping.proved


class Sequential:
    """The best task graph by its own measures, then the best order, then the best mapping of what is left.

    The task graph is chosen by the measures of task graphs in the objective. Where there are none it is the one of
    least mean cost of a period on the best device (`execution_cost`; the least size where only memory counts), under
    the limits of task graphs. The order is that of least switching there; as priorities of a list schedule it gives
    the mapping its first plan, and the mapping is then solved without being bound to it. Where no mapping of that
    task graph keeps the limits, the smallest task graph is tried as well. A bound on one step is none on the whole.
    """

    summary = "first the best task graph, then the best order, then the best mapping, each for itself"
    capabilities = Capabilities(problem="whole", bounds=True, objectives=OBJECTIVES)

    def run(self, problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
        """The three steps."""
        bound_first(problem, search)
        if not search.finished():
            run_steps(problem, search)
        propose_at_last(problem, search)


def run_steps(
    problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float = FOREVER
) -> Steps | None:
    """Propose the plan of the three steps, taking at most `seconds` (units of work, where work is limited).

    Returns
    -------
    The steps; None where there is no task graph.
    """
    until = spent(search) + seconds_of(search, seconds, 1.0)
    if problem.grouping is None:
        return _only_mapping(problem, search, until - spent(search))
    stages = dict.fromkeys((graph_stage(problem), (("size", 1.0),)))
    steps: Steps | None = None
    for stage in stages:
        left = until - spent(search)
        graph = run_part(graph_problem(problem, stage), "grouping", search, GROUPING_PART * left)
        if graph.infeasible is not None and search.best is None:
            search.infeasible = graph.infeasible
        if graph.bound is not None and stage == problem.stages[0]:
            search.improve_bound(graph.bound, f"task graph: {graph.bound_name}")
        if graph.best is None or search.interrupted:
            return steps
        steps = _map(problem, search, graph, until)
        if (steps.judged is not None and steps.judged.feasible) or search.finished():
            return steps
    return steps


def _only_mapping(problem: WholeProblem, search: TaskSearch[WholeProblem], seconds: float) -> Steps:
    """Where nothing can be shared the mapping is the whole."""
    mapping = run_mapping(problem, search, (), seconds)
    if mapping.infeasible is not None and search.best is None:
        search.infeasible = mapping.infeasible
    if mapping.bound is not None and problem.stages[0] == problem.mapping_stage:
        search.improve_bound(mapping.bound, mapping.bound_name or "mapping")
    judged = None if mapping.best is None else problem.judge(((), mapping.best))
    order = () if judged is None else judged.decisions.task_order
    return Steps(groups=(), graph_proved=True, order=order, order_proved=True, mapping=mapping, judged=judged)


def _map(
    problem: WholeProblem,
    search: TaskSearch[WholeProblem],
    graph: TaskSearch[GroupingProblem],
    until: float,
) -> Steps:
    """Order the tasks of a task graph on the best device, then map it."""
    assert graph.best is not None
    groups: Groups = graph.best.decisions
    ordering = order_problem(problem, groups)
    ordered = run_part(ordering, "ordering", search, ORDER_PART * (until - spent(search)))
    order = tuple(range(problem.n)) if ordered.best is None else tuple(ordered.best.decisions)
    start = listed(problem, groups, order)
    if start is not None:
        search.propose((groups, start))
    mapping = run_mapping(problem, search, groups, until - spent(search), start=start)
    judged = None if mapping.best is None else problem.judge((groups, mapping.best))
    return Steps(
        groups=groups,
        graph_proved=graph.proved,
        order=order,
        order_proved=ordered.proved,
        mapping=mapping,
        judged=judged,
    )


def graph_stage(problem: WholeProblem) -> Terms:
    """What the task graph is chosen by: measures of task graphs in the objective, and what stands for the mapping."""
    stage = problem.stages[0]
    weights = {name: weight for name, weight in stage if name not in UNITS}
    in_seconds = sum(weight for name, weight in stage if name in TIMES)
    if in_seconds > 0:
        weights["execution_cost"] = weights.get("execution_cost", 0.0) + in_seconds
    if weights:
        return tuple(weights.items())
    only_memory = all(name == "memory" for name, _ in mapping_terms(stage))
    return (("size" if only_memory else "execution_cost", 1.0),)


def graph_problem(problem: WholeProblem, stage: Terms, costs: BlockCosts | None = None) -> GroupingProblem:
    """The task graph alone, under the limits of task graphs.

    Parameters
    ----------
    costs
        Other costs of blocks than those of the best device; limits on `execution_cost` mean those, and are dropped.
    """
    assert problem.grouping is not None
    view = dataclasses.replace(
        problem.grouping,
        stages=(stage,),
        sums_at_most=tuple(
            (terms, limit) for terms, limit in problem.sums_at_most if not mapping_terms(terms)
        ),
    )
    if costs is None:
        return view
    kept = {name: limit for name, limit in view.limits.items() if name != "execution_cost"}
    sums = tuple(
        (terms, limit)
        for terms, limit in view.sums_at_most
        if all(name != "execution_cost" for name, _ in terms)
    )
    return dataclasses.replace(view, costs=costs, limits=kept, sums_at_most=sums)
