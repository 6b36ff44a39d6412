"""Proofs for large orders: a relaxation with cuts strikes out steps, and dynamic programming searches what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.formulations.ordering.bounds.assignment import assignment_bound
from dnnplan.formulations.ordering.bounds.path_form import BoolArray, PathForm, path_forms, relaxed_form
from dnnplan.formulations.ordering.bounds.relaxation import Relaxation, Relaxed
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.ordering.local_search import improve_order, improving, propose_orders
from dnnplan.solvers.ordering.sieve import Sieve
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import UNLIMITED_SECONDS, TaskSearch

if TYPE_CHECKING:
    from dnnplan.solvers.ordering.labelled_sets import Outcome

MOST_STATES, WINDOW_STATES = 20_000_000, 4_000_000
RELAX_SHARE = 0.6
"""Of the time for a form: the relaxation."""
FIRST_SECONDS, FIRST_SHARE = 0.05, 0.2
"""Local search before the first proof: seconds for each task, and its longest share of the time."""
STARTS, RESTART_SHARE = 4, 0.02
"""Starts of the relaxation, and the share of the time that the first ones may have taken for another one."""
FIRST_WINDOW, WIDER, WINDOW_SHARE = 7, 3, 0.2
"""Places that nodes may change in a window at first, by how much it grows, and the share of the time for windows."""
PLAIN_SHARE = 0.5
"""Of the time that is left then: the search without the sieve."""
MOST_FORMS = 40
"""First tasks of a closed order that are looked at one by one; with more of them nothing is proven here."""


class RelaxAndSearch:
    """A linear relaxation with precedence cuts, then labelled sets along the steps that its duals leave.

    Cuts: Balas, Fischetti and Pulleyblank (1995). What no cheaper order can use is struck out by its reduced cost,
    and the dynamic programme over feasible sets has the duals as completion bounds. First it goes through the orders
    in which no task leaves its place by much (Balas and Simonetti 2001), to find better ones, and then through all,
    in the end with a relaxation solved for each label (`Sieve`).
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
        improve_order(problem, search, min(FIRST_SECONDS * problem.n, FIRST_SHARE * time_left(search)))
        OrderProof(problem).run(search)


def quick_order_bound(problem: OrderingProblem) -> float:
    """The assignment bound on the cost of every order, without the weight of the objective."""
    return assignment_bound(relaxed_form(problem))


class OrderProof:
    """What is known of the orders of a problem, from one run to the next: the relaxation of each form."""

    def __init__(self, problem: OrderingProblem) -> None:
        self.problem = problem
        forms = path_forms(problem)
        self.forms = [_FormProof(problem, form) for form in forms] if len(forms) <= MOST_FORMS else []

    def run(self, search: TaskSearch[OrderingProblem], seconds: float | None = None, turn: int = 1) -> None:
        """Prove the incumbent, or find what is better, form after form; report the best bound in any case.

        What takes one thread has local search in the others beside it, with the random numbers of that turn.
        """
        if not self.forms:
            return
        until = search.seconds + (time_left(search) if seconds is None else min(seconds, time_left(search)))
        bounds = []
        for number, form in enumerate(self.forms):
            if search.finished():
                return
            share = max(0.0, until - search.seconds) / (len(self.forms) - number)
            bounds.append(form.prove(search, search.seconds + share, turn))
        least = min(bounds)
        if least == math.inf and search.value is None:
            search.infeasible = "no order keeps all precedences and takes allowed steps only"
            return
        bound = min(least * self.problem.weight, math.inf if search.value is None else search.value)
        # Without time for any relaxation nothing is known.
        if math.isfinite(bound):
            search.improve_bound(bound, "relaxation with precedence cuts, labelled sets")


class _FormProof:
    """What is known of the paths of one form."""

    def __init__(self, problem: OrderingProblem, form: PathForm) -> None:
        self.problem, self.form = problem, form
        self.bound = -math.inf
        self.relaxation: Relaxation | None = None
        self.allowed = np.ones(int(np.isfinite(form.cost).sum()), dtype=bool)

    def known(self, search: TaskSearch[OrderingProblem]) -> float:
        """The cost of the incumbent."""
        return math.inf if search.value is None else search.value / self.problem.weight

    def ceiling(self, search: TaskSearch[OrderingProblem]) -> float:
        """What a path may cost to be better than the incumbent by a whole step of the costs; infinite without one."""
        value = self.known(search)
        if math.isinf(value):
            return value
        _, step = self.form.grid
        return value - self.form.constant - (0.5 * step if step else 1e-9 * abs(value))

    def prove(self, search: TaskSearch[OrderingProblem], until: float, turn: int) -> float:
        """No order of the form costs less than what is returned, unless the incumbent does as well."""

        def left() -> float:
            return 0.0 if search.finished() else min(until - search.seconds, search.remaining)

        if self.bound <= self.ceiling(search):
            with improving(self.problem, search, search.settings.workers - 1, turn):
                sets = self._relaxed_sets(search, left)
                if sets is not None:
                    self._windows(search, sets, left)
                    self._all(search, sets, left, sieved=False)
            if sets is not None:
                self._all(search, sets, left, sieved=True)
        return min(self.bound + self.form.constant, self.known(search))

    def _relaxed_sets(self, search: TaskSearch[OrderingProblem], left: Callable[[], float]) -> _Sets | None:
        """The relaxation, and what it leaves to be searched; None: nothing."""
        found = self._relax(search, left)
        if found.empty:
            self.bound = math.inf
            return None
        if found.path is not None:
            search.propose(self.form.order(found.path))
        self._raise(found.duals.bound)
        if not math.isfinite(found.duals.bound) or self.relaxation is None:
            return None
        return _Sets(self.form, self.relaxation, found)

    def _raise(self, bound: float) -> None:
        self.bound = max(self.bound, self.form.round_up(bound))

    def _relax(self, search: TaskSearch[OrderingProblem], left: Callable[[], float]) -> Relaxed:
        """The relaxation; from several starts where it is quick, as different duals strike out different arcs."""
        ceiling, began = self.ceiling(search), left()

        def rest() -> float:
            return left() - (1.0 - RELAX_SHARE) * began

        if self.relaxation is not None:
            # Again, for a lower ceiling: arcs that were struck out stay out.
            found = self.relaxation.tighten(self.allowed, ceiling, left=rest)
            self.allowed = found.allowed
            return found
        path = None
        if search.best is not None:
            path = self.form.path(search.best.decisions)
        best: Relaxed | None = None
        for start in range(STARTS):
            relaxation = Relaxation(self.form, path if start == 0 else None, turn=31 * start)
            found = relaxation.tighten(self.allowed, ceiling, left=rest)
            self.allowed = found.allowed
            if best is None or found.empty or found.duals.bound >= best.duals.bound:
                self.relaxation, best = relaxation, found
            if found.empty or began - left() > RESTART_SHARE * began:
                break
        assert best is not None
        return replace(best, allowed=self.allowed)

    def _windows(self, search: TaskSearch[OrderingProblem], sets: _Sets, left: Callable[[], float]) -> None:
        """Better paths in which every pair that is far apart in the best one keeps its order."""
        began, width = left(), FIRST_WINDOW

        def over() -> bool:
            return left() <= (1.0 - WINDOW_SHARE) * began

        while not over() and search.best is not None and width < self.form.size:
            path = self.form.path(search.best.decisions)
            if path is None:
                return
            place = np.empty(self.form.size, dtype=np.int64)
            place[path] = np.arange(self.form.size)
            # Transitive: who is before another by the width is before all that have to come after that one.
            before = self.form.before | (place[None, :] - place[:, None] >= width)
            outcome = sets.search(self.ceiling(search), before, WINDOW_STATES, None, over)
            if outcome.path is not None and search.propose(self.form.order(outcome.path)):
                continue
            if not outcome.complete:
                return
            width += WIDER

    def _all(
        self, search: TaskSearch[OrderingProblem], sets: _Sets, left: Callable[[], float], *, sieved: bool
    ) -> None:
        """All paths that are better than the incumbent."""
        ceiling, began = self.ceiling(search), left()
        if self.bound > ceiling or began <= 0:
            return
        share = 1.0 if sieved else PLAIN_SHARE
        sieve = None
        if sieved and self.relaxation is not None:
            sieve = Sieve(self.relaxation, self.allowed, ceiling, left, search.settings.workers)
        outcome = sets.search(
            ceiling, self.form.before, MOST_STATES, sieve, lambda: left() <= (1.0 - share) * began
        )
        if outcome.path is not None:
            search.propose(self.form.order(outcome.path))
        if outcome.complete:
            self.bound = outcome.cost if outcome.path is not None else math.inf
        else:
            self._raise(outcome.bound)


class _Sets:
    """The dynamic programme along the arcs that a relaxation leaves."""

    def __init__(self, form: PathForm, relaxation: Relaxation, found: Relaxed) -> None:
        arcs = np.flatnonzero(found.allowed)
        chosen = arcs[np.lexsort((relaxation.head[arcs], relaxation.tail[arcs]))]
        self.form, self.duals = form, found.duals
        self.arcs = relaxation.tail[chosen], relaxation.head[chosen], found.duals.reduced[chosen]

    def search(
        self,
        ceiling: float,
        before: BoolArray,
        most_states: int,
        sieve: Sieve | None,
        over: Callable[[], bool],
    ) -> Outcome:
        """See `search_sets`; compiled code is loaded only here."""
        from dnnplan.solvers.ordering.labelled_sets import search_sets

        return search_sets(
            self.form, before, self.arcs, self.duals, ceiling, most_states=most_states, sieve=sieve, over=over
        )


def time_left(search: TaskSearch[OrderingProblem]) -> float:
    """Seconds left; `UNLIMITED_SECONDS` without a limit."""
    return search.remaining if math.isfinite(search.remaining) else UNLIMITED_SECONDS
