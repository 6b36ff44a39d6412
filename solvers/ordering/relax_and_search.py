"""Proofs for large orders: a relaxation with cuts strikes out steps, and dynamic programming searches what is left."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.bounds.assignment import assignment_bound
from dnnplan.formulations.ordering.bounds.path_form import PathForm, path_forms, relaxed_form
from dnnplan.formulations.ordering.bounds.relaxation import Relaxation, Relaxed
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.ordering.labelled_sets import Outcome, search_sets
from dnnplan.solvers.ordering.local_search import improve_order, propose_orders
from dnnplan.solvers.ordering.sieve import Sieve
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

MOST_STATES = 20_000_000
RELAX_SHARE, FIRST_SHARE = 0.6, 0.25
"""Of the time for a form: the relaxation; of the whole time: local search before anything is proven."""
MOST_FORMS = 40
"""First tasks of a closed order that are looked at one by one; with more of them nothing is proven here."""


class RelaxAndSearch:
    """A linear relaxation with precedence cuts, then labelled sets along the steps that its duals leave.

    Cuts: Balas, Fischetti and Pulleyblank (1995). What no cheaper order can use is struck out by its reduced cost,
    and the dynamic programme over feasible sets has the duals as completion bounds.
    """

    summary = "linear relaxation with precedence cuts, then dynamic programming over what it leaves"
    capabilities = Capabilities(
        problem="ordering", exact=True, bounds=True, objectives=("switching", "expected", "energy")
    )

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """Local search for a part of the time, then proofs.

        Raises
        ------
        UnsupportedError
            Conditions, or a memory that keeps more than one path.
        """
        if not problem.is_plain:
            raise UnsupportedError(
                "relax_and_search: costs of conditions and tools are no sums of steps; use auto"
            )
        propose_orders(problem, search)
        improve_order(problem, search, FIRST_SHARE * _left(search))
        prove_order(problem, search)


def quick_order_bound(problem: OrderingProblem) -> float:
    """The assignment bound on the cost of every order, without the weight of the objective."""
    return assignment_bound(relaxed_form(problem))


def prove_order(
    problem: OrderingProblem, search: TaskSearch[OrderingProblem], seconds: float | None = None
) -> None:
    """Prove the incumbent, or find what is better, form after form; report the best bound in any case."""
    forms = path_forms(problem)
    if not forms or len(forms) > MOST_FORMS:
        return
    until = search.seconds + (_left(search) if seconds is None else min(seconds, _left(search)))
    bounds = []
    for number, form in enumerate(forms):
        if search.finished():
            return
        share = max(0.0, until - search.seconds) / (len(forms) - number)
        bounds.append(_prove_form(problem, form, search, search.seconds + share))
    least = min(bounds)
    if math.isinf(least) and search.value is None:
        search.infeasible = "no order keeps all precedences and takes allowed steps only"
        return
    value = math.inf if search.value is None else search.value
    search.improve_bound(min(least * problem.weight, value), "relaxation with precedence cuts, labelled sets")


def _prove_form(
    problem: OrderingProblem, form: PathForm, search: TaskSearch[OrderingProblem], until: float
) -> float:
    """No order of the form costs less than what is returned, unless the incumbent does as well."""

    def left() -> float:
        return 0.0 if search.finished() else min(until - search.seconds, search.remaining)

    value = math.inf if search.value is None else search.value / problem.weight
    _, step = form.grid
    # Only what is better by a whole step of the costs is of interest.
    ceiling = value - form.constant - (0.5 * step if step else 1e-9 * abs(value))
    path = None
    if search.best is not None and math.isfinite(value):
        path = form.path(search.best.decisions)
    relaxation = Relaxation(form, path)
    began = left()
    found = relaxation.tighten(
        np.ones(len(relaxation.cost), dtype=bool), ceiling, left=lambda: left() - (1.0 - RELAX_SHARE) * began
    )
    if found.empty:
        return value
    if found.path is not None:
        search.propose(form.order(found.path))
    bound = form.round_up(found.duals.bound) + form.constant
    outcome = _search_sets(form, relaxation, found, ceiling, left)
    if outcome is None:
        return min(bound, value)
    if outcome.path is not None:
        search.propose(form.order(outcome.path))
    if outcome.complete:
        better = outcome.cost + form.constant if outcome.path is not None else math.inf
        return min(better, value)
    return min(max(bound, form.round_up(outcome.bound) + form.constant), value)


def _search_sets(
    form: PathForm, relaxation: Relaxation, found: Relaxed, ceiling: float, left: Callable[[], float]
) -> Outcome | None:
    """The dynamic programme along the arcs that are left; None where there is no time for it."""
    if left() <= 0 or not math.isfinite(found.duals.bound):
        return None
    arcs = np.flatnonzero(found.allowed)
    order = np.lexsort((relaxation.head[arcs], relaxation.tail[arcs]))
    chosen = arcs[order]
    return search_sets(
        form,
        form.before,
        (relaxation.tail[chosen], relaxation.head[chosen], found.duals.reduced[chosen]),
        found.duals,
        ceiling,
        most_states=MOST_STATES,
        sieve=Sieve(relaxation, found.allowed, ceiling, left),
        over=lambda: left() <= 0,
    )


def _left(search: TaskSearch[OrderingProblem]) -> float:
    return search.remaining if math.isfinite(search.remaining) else UNLIMITED_SECONDS
