"""The default for grouping and ordering together."""

from __future__ import annotations

from dnnplan.costs.joint import JointProblem
from dnnplan.solvers.joint.exact import OBJECTIVES, propose_simple_answers, solve_joint_cpsat
from dnnplan.solvers.joint.group_then_order import group_then_order
from dnnplan.solvers.joint.local_search import improve_both
from dnnplan.solvers.joint.parts import part_of
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

SMALL = 15
"""Tasks up to which CP-SAT gets most of the time."""
FIRST_SECONDS, FIRST_PART = 2.0, 0.2
"""Longest CP-SAT before anything else where tasks are few, and its share at most: it is often through by then."""
PARTS_SHARE, LOCAL_SHARE, EXACT_SHARE = 0.25, 0.1, 0.4
"""Shares of the time left: for the parts one after the other, for local search on few tasks, for CP-SAT on many."""


class Auto:
    """The parts one after the other, local search on both, and CP-SAT on the whole model, which gives the bound.

    With few tasks CP-SAT comes first for a moment, and gets what is left in the end; with many it gets a part, for the
    bound, and local search the rest. Conditions, and memories that keep more than one path, have no model: there is no
    bound then.
    """

    summary = "task graph, then order; local search; CP-SAT on the whole (the default)"
    capabilities = Capabilities(problem="joint", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: JointProblem, search: TaskSearch[JointProblem]) -> None:
        """Until optimality is proven or the limits are reached."""
        propose_simple_answers(problem, search)
        plain, small = problem.template.is_plain, problem.n <= SMALL
        if plain and small and not search.finished():
            solve_joint_cpsat(problem, search, min(FIRST_SECONDS, part_of(search, FIRST_PART)))
        if not search.finished():
            group_then_order(problem, search, part_of(search, PARTS_SHARE))
        if not search.finished() and small and plain:
            improve_both(problem, search, part_of(search, LOCAL_SHARE))
            solve_joint_cpsat(problem, search)
            return
        if not search.finished() and plain:
            solve_joint_cpsat(problem, search, part_of(search, EXACT_SHARE))
        improve_both(problem, search)
