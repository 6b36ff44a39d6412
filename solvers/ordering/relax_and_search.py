"""Proofs for large orders: a relaxation with cuts strikes out steps, and dynamic programming searches what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.ordering.bounds.assignment import assignment_bound
from dnnplan.formulations.ordering.bounds.path_form import PathForm, path_forms, relaxed_form
from dnnplan.formulations.ordering.bounds.relaxation import Relaxation, Relaxed
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.ordering.local_search import improve_order, propose_orders
from dnnplan.solvers.ordering.sieve import Sieve
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

if TYPE_CHECKING:
    from dnnplan.solvers.ordering.labelled_sets import Outcome

MOST_STATES = 20_000_000
RELAX_SHARE, FIRST_SHARE = 0.6, 0.25
"""Of the time for a form: the relaxation; of the whole time: local search before anything is proven."""
STARTS, RESTART_SHARE = 4, 0.02
"""Starts of the relaxation, and the share of the time that the first ones may have taken for another one."""
BEAMS, BEAM_SHARE = (100, 1_000, 10_000), 0.05
"""Widths of the beam searches before the whole search, and the share of the time that each may take."""
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

    def known() -> float:
        return math.inf if search.value is None else search.value / problem.weight

    path = None
    if search.best is not None and math.isfinite(known()):
        path = form.path(search.best.decisions)
    relaxation, found = _relaxed(form, path, _ceiling(form, known()), left)
    if found.empty:
        return known()
    if found.path is not None:
        search.propose(form.order(found.path))
    bound = form.round_up(found.duals.bound)
    if not math.isfinite(bound):
        return min(bound, known())
    sets = _Sets(form, relaxation, found)
    for width in (*BEAMS, None):
        began, share = left(), 1.0 if width is None else BEAM_SHARE
        ceiling = _ceiling(form, known())
        if began <= 0 or bound > ceiling:
            break
        sieve = None
        if width is None:
            sieve = Sieve(relaxation, found.allowed, ceiling, left, search.settings.workers)
        outcome = sets.search(ceiling, width, sieve, lambda: left() <= (1.0 - share) * began)  # noqa: B023
        if outcome.path is not None:
            search.propose(form.order(outcome.path))
        if outcome.complete:
            return min(outcome.cost + form.constant if outcome.path is not None else math.inf, known())
        bound = max(bound, form.round_up(outcome.bound))
    return min(bound + form.constant, known())


def _relaxed(
    form: PathForm, path: IntArray | None, ceiling: float, left: Callable[[], float]
) -> tuple[Relaxation, Relaxed]:
    """The relaxation; from several starts where it is quick, as different duals strike out different arcs."""
    allowed = np.ones(int(np.isfinite(form.cost).sum()), dtype=bool)
    began = left()
    best: tuple[Relaxation, Relaxed] | None = None
    for start in range(STARTS):
        relaxation = Relaxation(form, path if start == 0 else None, turn=31 * start)
        found = relaxation.tighten(allowed, ceiling, left=lambda: left() - (1.0 - RELAX_SHARE) * began)
        if found.empty:
            return relaxation, found
        allowed = found.allowed
        if best is None or found.duals.bound >= best[1].duals.bound:
            best = relaxation, found
        if began - left() > RESTART_SHARE * began:
            break
    assert best is not None
    relaxation, found = best
    return relaxation, replace(found, allowed=allowed)


def _ceiling(form: PathForm, value: float) -> float:
    """What a path may cost, so that it is better than a value by a whole step of the costs; infinite without one."""
    if math.isinf(value):
        return value
    _, step = form.grid
    return value - form.constant - (0.5 * step if step else 1e-9 * abs(value))


class _Sets:
    """The dynamic programme along the arcs that a relaxation leaves."""

    def __init__(self, form: PathForm, relaxation: Relaxation, found: Relaxed) -> None:
        arcs = np.flatnonzero(found.allowed)
        chosen = arcs[np.lexsort((relaxation.head[arcs], relaxation.tail[arcs]))]
        self.form, self.duals = form, found.duals
        self.arcs = relaxation.tail[chosen], relaxation.head[chosen], found.duals.reduced[chosen]

    def search(
        self, ceiling: float, width: int | None, sieve: Sieve | None, over: Callable[[], bool]
    ) -> Outcome:
        """See `search_sets`; compiled code is loaded only here."""
        from dnnplan.solvers.ordering.labelled_sets import search_sets

        return search_sets(
            self.form,
            self.form.before,
            self.arcs,
            self.duals,
            ceiling,
            most_states=MOST_STATES,
            width=width,
            sieve=sieve,
            over=over,
        )


def _left(search: TaskSearch[OrderingProblem]) -> float:
    return search.remaining if math.isfinite(search.remaining) else UNLIMITED_SECONDS
