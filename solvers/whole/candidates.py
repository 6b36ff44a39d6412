"""The task graphs that are still open in an exact search, each with what is known of its mapping."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dnnplan.costs import Decisions
from dnnplan.costs.judged import keeps_limits, weighted
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.objectives import UNITS
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem, mapping_terms
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.formulations.whole.task_graphs import can_share, classes_of, kept_graphs, shape_of


@dataclass(order=True)
class Candidate:
    """A task graph.

    Parameters
    ----------
    turn, key
        How often its mapping has been tried, and what comes first among those of one turn.
    groups, graph
        The task graph, and its own part of the objective.
    bound
        Lower bound on the objective with this task graph.
    seen
        Whether its mapping has been bounded, and simple mappings proposed.
    start
        The best simple mapping; None before it is seen, and where none keeps all limits.
    strategies
        Strategies of the runs so far (`Effort.relaxation`).
    """

    turn: int
    key: float
    groups: Groups = field(compare=False)
    graph: float = field(compare=False)
    bound: float = field(compare=False)
    seen: bool = field(default=False, compare=False)
    start: Decisions | None = field(default=None, compare=False)
    strategies: list[int] = field(default_factory=list, compare=False)


def candidates_of(problem: WholeProblem) -> list[Candidate]:
    """All task graphs that keep their own limits, one for each mapping that they leave: the one of least own value.

    Where earlier stages mix measures of task graph and mapping, none is left out.
    """
    grouping = problem.grouping
    if grouping is None:
        return [Candidate(0, 0.0, (), 0.0, 0.0)]
    terms = tuple((name, weight) for name, weight in problem.stages[0] if name not in UNITS)
    mixed = any(mapping_terms(row) and len(mapping_terms(row)) < len(row) for row, _ in problem.sums_at_most)
    classes = tuple(range(problem.n)) if mixed else classes_of(problem)
    best: dict[object, Candidate] = {}
    asked = bool(terms) or bool(problem.sums_at_most)
    for groups in kept_graphs(grouping):
        measures = grouping.measures(groups) if asked else {}
        if not _keeps_earlier(problem, measures):
            continue
        value = weighted(terms, measures)
        shape = shape_of(groups, classes)
        if shape not in best or value < best[shape].graph:
            best[shape] = Candidate(0, 0.0, groups, value, value)
    return [one for one in best.values() if can_share(problem, one.groups)]


def _keeps_earlier(problem: WholeProblem, measures: dict[str, float]) -> bool:
    """Whether stages that came before allow the measures of a task graph."""
    alone = [(row, limit) for row, limit in problem.sums_at_most if not mapping_terms(row)]
    return keeps_limits(measures, {}, alone)


def mapping_weight(problem: WholeProblem) -> bool:
    """Whether the objective says anything of the mapping."""
    return bool(mapping_terms(problem.stages[0]))


def bound_of(view: MappingProblem) -> float:
    """A quick bound on the stage of a mapping."""
    bound = objective_bound(view).value
    return bound if math.isfinite(bound) else 0.0
