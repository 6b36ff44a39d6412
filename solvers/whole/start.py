"""Simple whole plans that searches start from."""

from __future__ import annotations

from dnnplan.costs import Decisions
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.lists.heft import heft
from dnnplan.solvers.lists.lookahead import lookahead
from dnnplan.solvers.search import TaskSearch


def propose_simple_wholes(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
    """List schedules of the task graphs in which all tasks share up to some branch point and nothing behind it."""
    everyone = (tuple(range(problem.n)),)
    alone = tuple((task,) for task in range(problem.n))
    for shared in range(problem.levels + 1):
        if search.finished():
            return
        propose_lists(problem, search, (everyone,) * shared + (alone,) * (problem.levels - shared))


def propose_at_last(problem: WholeProblem, search: TaskSearch[WholeProblem]) -> None:
    """List schedules, nothing shared and then everything, where a search of little time ends without a plan.

    What comes before them may have spent the time on loading libraries; for some hundred layers they take milliseconds.
    """
    everyone = (tuple(range(problem.n)),)
    for groups in dict.fromkeys((problem.apart, (everyone,) * problem.levels)):
        if search.best is None and search.infeasible is None and not search.interrupted:
            propose_lists(problem, search, groups)


def propose_lists(
    problem: WholeProblem, search: TaskSearch[WholeProblem], groups: Groups
) -> tuple[float, Decisions] | None:
    """List schedules of one task graph; the value and mapping of the best that keeps all limits, None if none does."""
    try:
        view = problem.mapping(groups)
    except UnsupportedError:
        return None
    best = None
    for decisions in (*lookahead(view), heft(view)):
        if decisions is not None:
            judged = problem.judge((groups, decisions))
            search.accept(judged)
            if judged.feasible and (best is None or judged.value < best[0]):
                best = judged.value, decisions
    return best
