"""Plan again after change events, within milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from dnnplan.costs import Evaluation
from dnnplan.instances import InputError, Instance, Plan
from dnnplan.instances.arguments import (
    LARGEST_SEED,
    is_number,
    refuse,
    require_instance,
    require_number,
    require_plan,
    require_stop,
    require_whole,
)
from dnnplan.instances.events import Event, apply, several_events
from dnnplan.instances.validation import ensure_known_valid
from dnnplan.solvers.facade import with_objective
from dnnplan.solvers.replan.migration import DEFAULT_WEIGHT
from dnnplan.solvers.replan.pauses import WithoutCollection
from dnnplan.solvers.replan.report import report, result_of
from dnnplan.solvers.replan.result import ReplanResult
from dnnplan.solvers.replan.run import Run
from dnnplan.solvers.replan.subject import Subject, subject

DEADLINE = 0.05
"""Seconds, where none are given."""
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
        Instead of events: the instance as it is now, with `objective` and `limits`. Layers are recognised by their
        keys.
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
        The events or the plan do not fit the instance, an instance is not valid, or an argument is of the wrong kind
        or out of range.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Use:
    """What is in use: replaced as a whole, so that threads that re-plan meanwhile see the old or the new one."""

    instance: Instance
    plan: Plan
    subject: Subject
    evaluation: Evaluation


class Replanner:
    """A plan in use, ready to be changed at once. Several threads may re-plan, and one of them accept.

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
        require_whole(seed, "seed", 0, LARGEST_SEED)
        require_plan(plan)
        self.seed = int(seed)
        asked = with_objective(instance, objective, limits)
        self._objective, self._limits = objective, dict(limits or {})
        ensure_known_valid(asked)
        self._use = _use(asked, plan)
        asked.hash()  # the text of its networks, which events leave as they are, is made before they come

    @property
    def instance(self) -> Instance:
        """What the plan in use is for."""
        return self._use.instance

    @property
    def plan(self) -> Plan:
        """The plan in use."""
        return self._use.plan

    def replan(
        self,
        events: Event | Iterable[Event] = (),
        *,
        after: Instance | None = None,
        deadline: float = DEADLINE,
        stop: Callable[[], bool] | None = None,
        began: float | None = None,
    ) -> ReplanResult:
        """A plan for the instance after some events; see `replan`, errors too. The plan in use stays until `accept`.

        Parameters
        ----------
        began
            Moment of `time.perf_counter` that the deadline counts from; None: now.
        """
        require_number(began, "began", "a moment of time.perf_counter()", optional=True)
        began = time.perf_counter() if began is None else began
        require_number(deadline, "deadline", "seconds", above=True)
        require_stop(stop)
        several = several_events(events)
        if after is not None and several:
            raise InputError("got events and an instance as it is after them, expected one of them")
        use = self._use
        with WithoutCollection(deadline):
            instance = apply(use.instance, several) if after is None else self._asked_of(after)
            run = Run(use.subject, use.evaluation, instance, self.weight, self.seed, began, deadline, stop)
            run.finish()
            kinds = tuple(str(event.__struct_config__.tag) for event in several)
            told = replace(report(run), events=kinds)
            return ReplanResult(instance=instance, events=several, result=result_of(run), replan=told)

    def accept(self, done: ReplanResult) -> None:
        """From now on the plan in use is that of a result.

        Raises
        ------
        InputError
            It has no valid plan, or is no result of `replan`.
        """
        if not isinstance(done, ReplanResult):
            refuse("done", done, "what replan has returned")
        if done.result.plan is None or not done.result.valid:
            raise InputError("the result has no valid plan to go on with")
        self._use = _use(done.instance, done.result.plan)

    def _asked_of(self, after: Instance) -> Instance:
        """The instance as it is now, with the objective and the limits that were asked for."""
        require_instance(after, "after")
        ensure_known_valid(after, source="after")
        return with_objective(after, self._objective, self._limits)


def _use(instance: Instance, plan: Plan) -> _Use:
    asked, evaluation = subject(instance, plan)
    return _Use(instance=instance, plan=plan, subject=asked, evaluation=evaluation)


def _weight(migration: Weight) -> float:
    if isinstance(migration, str):
        if migration == "free":
            return 0.0
    elif is_number(migration) and 0 <= migration < float("inf"):
        return float(migration)
    refuse("migration", migration, "a finite weight >= 0 or 'free'")
