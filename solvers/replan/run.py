"""One re-plan, phase by phase: view, repair, bound, search, check."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.costs.feasibility import reason_for_infeasibility
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import broken_limit, objective_bound
from dnnplan.instances import Instance, Plan, Violation
from dnnplan.solvers.lists.frugal import propose_frugal_plans
from dnnplan.solvers.replan.before import before, kept_on
from dnnplan.solvers.replan.bounds import Guide, is_quick, quick_bound
from dnnplan.solvers.replan.migration import Migration, migration_to
from dnnplan.solvers.replan.repair import repairs
from dnnplan.solvers.replan.result import Phase
from dnnplan.solvers.replan.search import ReplanSearch
from dnnplan.solvers.replan.subject import Subject, weights_renamed
from dnnplan.solvers.replan.warm import is_warm
from dnnplan.solvers.search import Search, Settings
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from dnnplan.solvers.replan.walk import Walk

RESERVE, LEAST_RESERVE = 1.5, 0.006
"""What is left of the time for the last check, beside the last evaluation: times what the first took, and seconds."""
BUSY, SLICE = 1.5, 0.008
"""Seconds by seconds of the processor from which others have it too, and for how long at a time: then that is left."""
PROVE_FROM, PROVE_AT_MOST, PROVE_SHARE, PROVE_WITHIN = 1.0, 600, 0.6, 0.9
"""Seconds left, and (layer, device) pairs, for the exact model; its share of the time, and how much of that it may plan
with, since it looks at the clock less often."""
CHECK_BY_VIEW, TWO_CHECKS, SLOW_BOUND = 3.5, 4.0, 0.05
"""Time of a check by that of the view, at most, before one was made; how many such times must be left for another one
before the search; seconds from which the slow bound has its turn."""
REBUILD = 2.0
"""Seconds from the start that simple plans may take where no repair is feasible: a late plan is better than none."""
Checked = tuple[Evaluation, Plan, tuple[Violation, ...]]
"""A plan, as evaluated and as a file has it, and what the independent judge says of it."""


class Run:
    """One re-plan: repair, bounds, search, and the best checked plan at the end.

    Parameters
    ----------
    old
        The old plan on its own instance.
    began
        Moment of `time.perf_counter` that the deadline, seconds, counts from.
    """

    def __init__(
        self,
        subject: Subject,
        old: Evaluation,
        instance: Instance,
        weight: float,
        seed: int,
        began: float,
        deadline: float,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.began, self.deadline = began, deadline
        self.started, self.worked = time.perf_counter(), time.thread_time()
        self.phases: list[Phase] = []
        self.note("events")
        self.after = subject.after(instance)
        self.view: MappingProblem = self.after.view()
        self.old = old
        renamed = subject.renamed(self.after)
        self.names = before(old, renamed)
        held = weights_renamed(self.names.held, renamed)
        self.migration: Migration = migration_to(self.view, held, weight)
        settings = Settings(time_limit=deadline, workers=1, seed=seed, stop=stop)
        self.search = ReplanSearch(self.view, settings, "replan", began, migration=self.migration)
        self.reserve = LEAST_RESERVE
        self.word: str | None = None
        self.repaired: Evaluation | None = None
        self.first: Checked | None = None
        self.last: Checked | None = None
        self.planning, self.proposing, self.exhausted = 0.0, 0.0, False
        self.guide: Guide | None = None
        self.note("view")

    def note(self, name: str) -> None:
        """A phase has ended."""
        self.phases.append(Phase(name=name, until=time.perf_counter() - self.began))

    def finish(self) -> None:
        """Plan, and check."""
        search, view = self.search, self.view
        search.infeasible = reason_for_infeasibility(view)
        if search.infeasible is None:
            self.kept = kept_on(view, self.names)
            with np.errstate(invalid="ignore"):  # what goes over a lost route takes for ever
                self._repair()
                if search.infeasible is None:
                    self._improve()
        self._conclude()

    def _improve(self) -> None:
        """Bounds, and better plans until the deadline."""
        self._bound()
        walk = self._lists()
        if walk is None or self._has_time_for_two():
            self._judge()
        if walk is not None:
            self._search(walk)
        self._late_bound()

    def _repair(self) -> None:
        """A plan at once."""
        search = self.search
        for word, plans in repairs(self.view, self.names, self.kept, self._bias()):
            for decisions in plans:
                began = time.perf_counter()
                search.propose(decisions)
                self.proposing = time.perf_counter() - began
            if search.best is not None:
                self.word = word
                break
        if search.best is None and self.view.limits:
            # Takes as long as a whole re-plan; where there is a plan, no bound contradicts a limit.
            search.infeasible = broken_limit(self.view)
        if search.best is None and search.infeasible is None:
            self._rebuild()
            self.word = None if search.best is None else "rebuilt"
        self.repaired = search.best
        self.note("repair")

    def _judge(self) -> None:
        """The first check: of the best plan so far, or of the repaired one, should the judge refuse that."""
        best = self.search.best
        if best is not None:
            began = time.perf_counter()
            self.first = (best, *self._checked(best))
            took = time.perf_counter() - began
            if self.first[2]:
                self.first = self._fallback() or self.first
            self.reserve = LEAST_RESERVE + self.proposing + max(RESERVE * took, took + SLICE * self.busy)
        self.note("check")

    def _likely_check(self) -> float:
        """Seconds that a check will take, where none has been made: they follow from what the view took."""
        return CHECK_BY_VIEW * (self.phases[1].until - self.phases[0].until)

    def _has_time_for_two(self) -> bool:
        """Whether a check before the search, for a plan that is sure, leaves time for the search."""
        left = self.began + self.deadline - time.perf_counter()
        return left >= TWO_CHECKS * self._likely_check()

    def _rebuild(self) -> None:
        """Plans that know nothing of the old one, the simplest first; deadlines wait, as there is no plan yet."""
        search = self.search
        timed, limit = search.settings, max(REBUILD, self.deadline)
        search.settings = dataclasses.replace(search.settings, time_limit=limit)
        propose_simple_plans(self.view, search)
        if search.best is None and self.view.execution.memory != "none":
            propose_frugal_plans(self.view, search)
        search.settings = timed

    def _bias(self) -> FloatArray:
        """(n, m) seconds that migration adds to the end of a layer, where latency counts."""
        second = sum(weight for name, weight in self.view.stages[0] if name == "latency") or 1.0
        return self.migration.by_layer() / second

    def _fallback(self) -> Checked | None:
        """What is sure where the judge refuses the best plan: what it has accepted before, or the repaired one."""
        if self.first is not None and not self.first[2]:
            return self.first
        return None if self.repaired is None else (self.repaired, *self._checked(self.repaired))

    def _checked(self, evaluation: Evaluation) -> tuple[Plan, tuple[Violation, ...]]:
        plan = self.after.plan_of(evaluation)
        return plan, self.after.violations(plan, evaluation)

    def _bound(self) -> None:
        """The bound, before the search where it is there at once."""
        if is_warm() and is_quick(self.view):
            bound, self.guide = quick_bound(self.view)
            self.search.improve_bound(bound.value, bound.name)
            self.note("bound")

    @property
    def busy(self) -> bool:
        """Whether other threads have the processor too."""
        return time.perf_counter() - self.started > BUSY * (time.thread_time() - self.worked)

    @property
    def until(self) -> float:
        """Moment of `time.perf_counter` at which the search has to end."""
        return self.began + self.deadline - self.reserve

    def _lists(self) -> Walk | None:
        """List schedules that know the old places; search begins at the best of these and the repaired plan."""
        search = self.search
        self.reserve = LEAST_RESERVE + self.proposing + self._likely_check() + 2 * SLICE * self.busy
        if search.best is None or not is_warm() or self._over(self.until) or not self._walks():
            return None
        from dnnplan.solvers.replan.walk import Walk, list_plans

        paid = self._paid()
        walk = Walk(self.view, search, search.best, paid, search.settings.seed)
        self.note("arrays")
        better, tails = False, None if self.guide is None else self.guide.tails
        for order, place in list_plans(self.view, self.kept, walk.added, paid, tails):
            better |= walk.take(order, place)
            if self._over(self.until):
                break
        if better:
            walk.propose()
        self.note("lists")
        return walk

    def _search(self, walk: Walk) -> None:
        """Local search until the deadline; the exact model where there is time for it."""
        proves = self._can_prove(self.until)
        pause = self.until - PROVE_SHARE * (self.until - time.perf_counter()) if proves else self.until
        self.exhausted = walk.run(pause, lambda: self._over(pause))
        self.note("search")
        if proves and not self._over(self.until):
            self._prove(self.until)
            self.note("exact")

    def _late_bound(self) -> None:
        """The bound of settings without compiled ones, if there is time."""
        if self.search.bound is None and self.search.remaining > self.reserve + SLOW_BOUND:
            bound = objective_bound(self.view)  # takes some ten milliseconds
            self.search.improve_bound(bound.value, bound.name)
            self.note("bound")

    def _can_prove(self, until: float) -> bool:
        """Whether the problem is small, and the deadline far, enough for the exact model."""
        left = until - time.perf_counter()
        return left >= PROVE_FROM and self.view.choices <= PROVE_AT_MOST and not self._over(until)

    def _prove(self, until: float) -> None:
        """CP-SAT on the objective without migration: a bound for all plans, and plans to compare."""
        from dnnplan.solvers.exact.cpsat import solve_exactly

        search = self.search
        left = PROVE_WITHIN * (until - time.perf_counter())
        settings = dataclasses.replace(search.settings, time_limit=left)
        alone = Search(self.view, settings, "replan")
        assert search.best is not None
        alone.accept(search.best)
        solve_exactly(self.view, alone, time_limit=left)
        if alone.bound is not None:
            search.improve_bound(alone.bound, alone.bound_name or "CP-SAT")
        if alone.best is not None:
            search.accept(alone.best)
        search.interrupted |= alone.interrupted

    def _over(self, until: float) -> bool:
        return time.perf_counter() >= until or self.search.finished()

    def _walks(self) -> bool:
        from dnnplan.solvers.local.networks import suits

        return self.view.execution.memory != "live" and suits(self.view)

    def _paid(self) -> FloatArray:
        """(n, m) price of a layer on a device beyond that on its cheapest one, at the prices of the bound."""
        times = self.view.arrays.duration
        price = np.ones(self.view.m) if self.guide is None else self.guide.prices / self.guide.prices.mean()
        finite = np.isfinite(times)
        paid = np.where(finite, np.where(finite, times, 0.0) * price[None, :], np.inf)
        least = paid.min(axis=1, keepdims=True)
        return np.where(finite, paid - np.where(np.isfinite(least), least, 0.0), 0.0)

    def _conclude(self) -> None:
        """The best plan, checked; what was checked before, should the judge refuse it."""
        best, first = self.search.best, self.first
        if best is not None:
            self.last = first if first is not None and best is first[0] else (best, *self._checked(best))
            if self.last[2]:
                self.last = self._fallback() or self.last
        self.note("end")
        self.planning = time.perf_counter() - self.began
