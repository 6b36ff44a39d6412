"""Plan again after change events, within milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec.structs import replace

from dnnplan.instances import InputError, Instance, Plan
from dnnplan.instances.events import Event, apply
from dnnplan.solvers.facade import with_objective
from dnnplan.solvers.replan.migration import DEFAULT_WEIGHT
from dnnplan.solvers.replan.pauses import WithoutCollection
from dnnplan.solvers.replan.report import report, result_of
from dnnplan.solvers.replan.result import ReplanResult
from dnnplan.solvers.replan.run import Run
from dnnplan.solvers.replan.subject import subject

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
        self._subject, self._old = subject(self.instance, plan)
        self.instance.hash()  # the text of its networks, which events leave as they are, is made before they come

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
        with WithoutCollection(deadline):
            instance = apply(self.instance, several) if after is None else after
            run = Run(self._subject, self._old, instance, self.weight, self.seed, began, deadline, stop)
            run.finish()
            kinds = tuple(str(event.__struct_config__.tag) for event in several)
            told = replace(report(run), events=kinds)
            return ReplanResult(instance=instance, events=several, result=result_of(run), replan=told)

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
        self._subject, self._old = subject(self.instance, self.plan)


def _weight(migration: Weight) -> float:
    if migration == "free":
        return 0.0
    if isinstance(migration, str) or not 0 <= migration < float("inf"):
        raise InputError(f"migration: {migration!r}, expected a weight >= 0 or 'free'")
    return float(migration)
