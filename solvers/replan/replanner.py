"""Plan again after change events, within milliseconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
from msgspec.structs import replace

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.costs.feasibility import reason_for_infeasibility
from dnnplan.costs.objectives import objective_name, objective_unit, objective_value
from dnnplan.formulations.mapping.bounds import broken_limit
from dnnplan.instances import InputError, Instance, ObjectiveValue, Plan, Result
from dnnplan.instances.events import Event, apply
from dnnplan.instances.result import GAP_TOLERANCE, Status, Violation
from dnnplan.solvers.facade import with_objective
from dnnplan.solvers.lists.frugal import propose_frugal_plans
from dnnplan.solvers.replan.before import before, kept_on
from dnnplan.solvers.replan.bounds import Guide, is_quick, quick_bound, slow_bound
from dnnplan.solvers.replan.migration import DEFAULT_WEIGHT, Migration, migration_to
from dnnplan.solvers.replan.repair import repairs
from dnnplan.solvers.replan.result import (
    Phase,
    Replan,
    ReplanResult,
    Standing,
    Step,
    gap_of,
    standing,
)
from dnnplan.solvers.replan.search import ReplanSearch
from dnnplan.solvers.replan.subject import Subject, subject
from dnnplan.solvers.replan.warm import is_warm
from dnnplan.solvers.search import Search, Settings
from dnnplan.solvers.start import propose_simple_plans
from dnnplan.solvers.versions import versions

DEADLINE = 0.05
"""Seconds, where none are given."""
RESERVE, LEAST_RESERVE = 1.5, 0.0025
"""What is left of the time for the last check: times what the first one took, and at least seconds."""
PROVE_FROM, PROVE_AT_MOST, PROVE_SHARE, PROVE_WITHIN = 1.0, 600, 0.6, 0.9
"""Seconds left, and (layer, device) pairs, for the exact model; its share of the time, and how much of that it may plan
with, since it looks at the clock less often."""
REBUILD = 2.0
"""Seconds from the start that simple plans may take where no repair is feasible: a late plan is better than none."""
Weight = float | Literal["free"]


def replan(
    instance: Instance,
    plan: Plan,
    events: Event | Iterable[Event] = (),
    *,
    after: Instance | None = None,
    deadline: float = DEADLINE,
    migration: Weight = DEFAULT_WEIGHT,
    objective: str | None = None,
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
) -> ReplanResult:
    """Plan again after something has changed, from the plan that there is.

    A `Replanner` does the same and keeps what does not depend on the event between calls.

    Parameters
    ----------
    instance, plan
        What was planned, and the plan: of problem ``mapping`` or ``joint``, with a placement.
    events
        What happened.
    after
        Instead of events: the instance as it is now. Layers are recognised by their keys.
    deadline
        Seconds until the plan has to be there; they count from the call. Compiled code is only used where `warm_up` has
        loaded it.
    migration
        Weight of a second of moving weights beside the value of the plan, in the unit of the objective by second;
        1/N if the plan will run N times. ``free``: 0.
    objective, limits
        As in `dnnplan.solve`.
    seed
        Seed of all random choices. What is found depends on the speed of the machine too.
    stop
        Asked often; True ends the search with the best plan so far.

    Returns
    -------
    ReplanResult
        The best checked plan: never worse than the repaired old one, migration included.

    Raises
    ------
    InputError
        The events or the plan do not fit the instance.
    InfeasibleError
        After the events nothing can run any more.
    UnsupportedError
        The plan is of another problem, or has calls of several layers that a limit asks for.

    Examples
    --------
    >>> import dnnplan
    >>> from dnnplan.instances.events import DeviceThrottled
    >>> hand = dnnplan.load("tiny/hand")
    >>> plan = dnnplan.solve(hand, time_limit=10).plan
    >>> done = replan(hand, plan, DeviceThrottled(device="npu", speed=0.25), deadline=1.0, migration="free")
    >>> done.result.valid, done.replan.new.value <= done.replan.repaired.value
    (True, True)
    """
    began = time.perf_counter()
    replanner = Replanner(instance, plan, migration=migration, objective=objective, limits=limits, seed=seed)
    return replanner.replan(events, after=after, deadline=deadline, stop=stop, began=began)


class Replanner:
    """A plan in use, ready to be changed at once.

    Parameters
    ----------
    instance, plan, migration, objective, limits, seed
        As in `replan`.
    """

    def __init__(
        self,
        instance: Instance,
        plan: Plan,
        *,
        migration: Weight = DEFAULT_WEIGHT,
        objective: str | None = None,
        limits: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.weight = _weight(migration)
        self.seed = seed
        self.instance = with_objective(instance, objective, limits)
        self.plan = plan
        self._subject = subject(self.instance, plan)
        self._old = self._subject.evaluation()

    def replan(
        self,
        events: Event | Iterable[Event] = (),
        *,
        after: Instance | None = None,
        deadline: float = DEADLINE,
        stop: Callable[[], bool] | None = None,
        began: float | None = None,
    ) -> ReplanResult:
        """A plan for the instance after some events; see `replan`. The plan in use stays until `accept`.

        Parameters
        ----------
        began
            Moment of `time.perf_counter` that the deadline counts from; None: now.
        """
        began = time.perf_counter() if began is None else began
        if not deadline > 0:
            raise InputError(f"deadline: {deadline}, expected seconds > 0")
        several = (events,) if isinstance(events, Event) else tuple(events)
        if after is not None and several:
            raise InputError("got events and an instance as it is after them, expected one of them")
        instance = apply(self.instance, several) if after is None else after
        run = _Run(self._subject, self._old, instance, self.weight, self.seed, began, deadline, stop)
        result, report = run.finish()
        kinds = tuple(event.__struct_config__.tag for event in several)
        return ReplanResult(
            instance=instance, events=several, result=result, replan=replace(report, events=kinds)
        )

    def accept(self, done: ReplanResult) -> None:
        """From now on the plan in use is that of a result.

        Raises
        ------
        InputError
            It has no valid plan.
        """
        if done.result.plan is None or not done.result.valid:
            raise InputError("the result has no valid plan to go on with")
        self.instance, self.plan = done.instance, done.result.plan
        self._subject = subject(self.instance, self.plan)
        self._old = self._subject.evaluation()


def _weight(migration: Weight) -> float:
    if migration == "free":
        return 0.0
    if isinstance(migration, str) or not 0 <= migration < float("inf"):
        raise InputError(f"migration: {migration!r}, expected a weight >= 0 or 'free'")
    return float(migration)


class _Run:
    """One re-plan: bounds, repair, search, and the best checked plan at the end."""

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
        self.phases: list[Phase] = []
        self.note("events")
        self.after = subject.after(instance)
        self.view: MappingProblem = self.after.view()
        self.old = old
        self.names = before(old, subject.renamed(self.after))
        self.migration: Migration = migration_to(self.view, self.after.held(self.names.held), weight)
        settings = Settings(time_limit=deadline, workers=1, seed=seed, stop=stop)
        self.search = ReplanSearch(self.view, settings, "replan", began, migration=self.migration)
        self.reserve = LEAST_RESERVE
        self.word: str | None = None
        self.first: tuple[Evaluation, Plan, tuple[Violation, ...]] | None = None
        self.guide: Guide | None = None
        self.note("view")

    def note(self, name: str) -> None:
        """A phase has ended."""
        self.phases.append(Phase(name=name, until=time.perf_counter() - self.began))

    def finish(self) -> tuple[Result, Replan]:
        """Plan, check, and report."""
        search, view = self.search, self.view
        search.infeasible = reason_for_infeasibility(view) or (broken_limit(view) if view.limits else None)
        if search.infeasible is None:
            self.kept = kept_on(view, self.names)
            self._repair()
            self._bound()
            self._improve()
        return self._report()

    def _repair(self) -> None:
        """A plan at once, and its check."""
        search = self.search
        for word, plans in repairs(self.view, self.names, self.kept, self._bias()):
            for decisions in plans:
                with np.errstate(invalid="ignore"):  # a route that is lost takes for ever
                    search.propose(decisions)
            if search.best is not None:
                self.word = word
                break
        if search.best is None:
            self._rebuild()
            self.word = None if search.best is None else "rebuilt"
        self.note("repair")
        if search.best is not None:
            before_check = time.perf_counter()
            self.first = (search.best, *self._checked(search.best))
            self.reserve += RESERVE * (time.perf_counter() - before_check)
        self.note("check")

    def _rebuild(self) -> None:
        """Plans that know nothing of the old one, the simplest first; whatever the deadline, since there is none yet."""
        search = self.search
        timed, search.settings = search.settings, dataclasses.replace(search.settings, time_limit=REBUILD)
        propose_simple_plans(self.view, search)
        if search.best is None and self.view.execution.memory != "none":
            propose_frugal_plans(self.view, search)
        search.settings = timed

    def _bias(self) -> np.ndarray:
        """(n, m) seconds that migration adds to the end of a layer, where latency counts."""
        second = sum(weight for name, weight in self.view.stages[0] if name == "latency") or 1.0
        return self.migration.by_layer() / second

    def _checked(self, evaluation: Evaluation) -> tuple[Plan, tuple[Violation, ...]]:
        plan = self.after.plan_of(evaluation)
        return plan, self.after.violations(plan, evaluation)

    def _bound(self) -> None:
        """The bound, before the search where it is there at once."""
        if is_warm() and is_quick(self.view):
            bound, self.guide = quick_bound(self.view)
            self.search.improve_bound(bound.value, bound.name)
            self.note("bound")

    def _improve(self) -> None:
        """List schedules and local search until the deadline; then the other bound, if there is time."""
        search = self.search
        until = self.began + self.deadline - self.reserve
        if search.best is not None and is_warm() and not self._over(until) and self._walks():
            from dnnplan.solvers.replan.walk import Walk, list_plans

            paid = self._paid()
            walk = Walk(self.view, search, search.best, paid, self.search.settings.seed)
            self.note("arrays")
            better, tails = False, None if self.guide is None else self.guide.tails
            for order, place in list_plans(self.view, self.kept, walk.added, paid, tails):
                better |= walk.take(order, place)
                if self._over(until):
                    break
            if better:
                walk.propose()
            self.note("lists")
            proves = self._can_prove(until)
            pause = until - PROVE_SHARE * (until - time.perf_counter()) if proves else until
            walk.run(pause, lambda: self._over(pause))
            self.note("search")
            if proves and not self._over(until):
                self._prove(until)
                self.note("exact")
        if search.bound is None and search.remaining > self.reserve + 0.05:
            bound = slow_bound(self.view)
            if bound is not None:
                search.improve_bound(bound.value, bound.name)
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

    def _over(self, until: float) -> bool:
        return time.perf_counter() >= until or self.search.finished()

    def _walks(self) -> bool:
        from dnnplan.solvers.local.networks import suits

        return self.view.execution.memory != "live" and suits(self.view)

    def _paid(self) -> np.ndarray:
        """(n, m) price of a layer on a device beyond that on its cheapest one, at the prices of the bound."""
        times = self.view.arrays.duration
        price = np.ones(self.view.m) if self.guide is None else self.guide.prices / self.guide.prices.mean()
        finite = np.isfinite(times)
        paid = np.where(finite, np.where(finite, times, 0.0) * price[None, :], np.inf)
        least = paid.min(axis=1, keepdims=True)
        return np.where(finite, paid - np.where(np.isfinite(least), least, 0.0), 0.0)

    def _report(self) -> tuple[Result, Replan]:
        search = self.search
        best, plan = search.best, None
        violations: tuple[Violation, ...] = ()
        if best is not None:
            assert self.first is not None
            plan, violations = self.first[1:] if best is self.first[0] else self._checked(best)
            if violations and not self.first[2]:
                best, (plan, violations) = self.first[0], self.first[1:]  # what is sure counts
        self.note("end")
        planning = time.perf_counter() - self.began
        result = self._result(best, plan, violations, planning)
        new, repaired = self._standing(best), self._standing(self.first[0] if self.first else None)
        total = None if new is None else new.value
        return result, Replan(
            repair=self.word,
            old=objective_value(self.view.stages[0], self.old.cost),
            repaired=repaired,
            new=new,
            weight=self.migration.weight,
            bound=search.bound,
            gap=gap_of(total, search.bound),
            moved=() if best is None else self._moved(best),
            moves=() if best is None else self.migration.moves(best.decisions.pinned),
            phases=tuple(self.phases),
            planning=planning,
            deadline=self.deadline,
            in_time=planning <= self.deadline,
            compiled=is_warm(),
        )

    def _standing(self, evaluation: Evaluation | None) -> Standing | None:
        if evaluation is None:
            return None
        value = objective_value(self.view.stages[0], evaluation.cost)
        return standing(value, self.migration.moves(evaluation.decisions.pinned), self.migration.weight)

    def _moved(self, evaluation: Evaluation) -> tuple[Step, ...]:
        view, was = self.view, self.names.device
        return tuple(
            Step(layer=key, source=was.get(key), target=view.devices[d])
            for key, d in zip(view.layers, evaluation.decisions.place, strict=True)
            if was.get(key) != view.devices[d]
        )

    def _result(
        self,
        best: Evaluation | None,
        plan: Plan | None,
        violations: tuple[Violation, ...],
        planning: float,
    ) -> Result:
        search, stages = self.search, self.view.stages
        value = None if best is None else objective_value(stages[0], best.cost)
        gap = gap_of(value, search.plan_bound)
        status: Status = "infeasible" if search.infeasible is not None else "unknown"
        if best is not None:
            optimal = gap is not None and gap <= GAP_TOLERANCE and len(stages) == 1
            status = "error" if violations else "optimal" if optimal else "feasible"
        return Result(
            status=status,
            stop_reason="proved" if search.proved else "interrupted" if search.interrupted else "time_limit",
            objective=ObjectiveValue(name=objective_name(stages), value=value, unit=objective_unit(stages[0])),
            bound=search.plan_bound,
            bound_name=search.bound_name,
            gap=gap,
            valid=plan is not None and not violations,
            runtime=planning,
            solver="replan",
            seed=search.settings.seed,
            message=search.infeasible or "",
            cost=None if best is None else best.cost,
            plan=plan,
            history=tuple(search.history),
            violations=violations,
            versions=versions(),
        )
