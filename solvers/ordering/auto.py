"""The default solver of ordering."""

from __future__ import annotations

import math

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.solvers.ordering.conditional import solve_conditional
from dnnplan.solvers.ordering.depth_first import depth_first_order, is_optimal
from dnnplan.solvers.ordering.dynamic import prove_small_order
from dnnplan.solvers.ordering.local_search import improve_order, propose_orders
from dnnplan.solvers.ordering.relax_and_search import (
    FIRST_SECONDS,
    FIRST_SHARE,
    OrderProof,
    quick_order_bound,
    time_left,
)
from dnnplan.solvers.ordering.tool_search import solve_tools
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

DYNAMIC_TASKS = 12
"""Tasks up to which all sets are gone through at once."""
PROOF_SHARE, SEARCH_SHARE = 0.7, 0.5
"""Of what is left: a proof, and the local search that follows it."""
AGAIN_SECONDS = 2.0
"""Time left from which a better order is worth another proof."""


class Auto:
    """What the structure asks for: depth first, sets of few tasks, expectations, memories, or search and proofs."""

    summary = (
        "default: depth first or dynamic programming where they prove, else local search and proofs in turn"
    )
    capabilities = Capabilities(
        problem="ordering", exact=True, bounds=True, objectives=("switching", "expected", "energy")
    )

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Until proven or the limits are reached."""
        if problem.tools is not None:
            solve_tools(problem, search)
        elif problem.scenarios is not None:
            solve_conditional(problem, search)
        elif is_optimal(problem):
            order = depth_first_order(problem)
            search.propose(order)
            search.improve_bound(problem.cost(order) * problem.weight, "depth-first order")
        elif problem.n <= DYNAMIC_TASKS:
            prove_small_order(problem, search)
        else:
            _search_and_prove(problem, search)


def _search_and_prove(problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
    """Local search, a proof from the best order, and the same again with what is left."""
    propose_orders(problem, search)
    bound = quick_order_bound(problem)
    if math.isinf(bound) and bound > 0:
        search.infeasible = "no order takes allowed steps only"
        return
    search.improve_bound(bound * problem.weight, "assignment")
    improve_order(problem, search, min(FIRST_SECONDS * problem.n, FIRST_SHARE * time_left(search)))
    if search.finished():
        return
    proof = OrderProof(problem)
    turn = 1
    proof.run(search, PROOF_SHARE * time_left(search), turn)
    while not search.finished():
        before, turn = search.value, turn + 2
        improve_order(problem, search, SEARCH_SHARE * time_left(search), turn - 1)
        if search.value == before or time_left(search) <= AGAIN_SECONDS:
            break
        proof.run(search, PROOF_SHARE * time_left(search), turn)
    if not search.finished():
        improve_order(problem, search, time_left(search), turn + 1)
