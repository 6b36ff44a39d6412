"""The answer to how often requests can come."""

from __future__ import annotations

from dnnplan.instances import Plan
from dnnplan.instances.fields import Record
from dnnplan.instances.result import Status, StopReason, Violation


class TaskRate(Record, omit_defaults=False, kw_only=True):
    """A task at the rate that is sustained: requests a second, seconds it may take, and the longest it takes."""

    task: str
    rate: float
    deadline: float | None
    response: float


class RateResult(Record, omit_defaults=False, kw_only=True):
    """The largest common request rate that was found, and how far it can be from the largest there is.

    Parameters
    ----------
    factor
        What all rates of the instance are multiplied by; None: no plan.
    bound, bound_name
        A factor that no plan can exceed, and what proved it.
    gap
        (bound - factor) / factor.
    cycle
        Seconds after which the plan repeats.
    load
        Share of the time that each device computes.
    plan
        Placement, orders and table of times of one cycle; None: none was found.
    history
        (seconds, factor, bound) whenever one of them improved.
    """

    status: Status
    stop_reason: StopReason
    factor: float | None = None
    bound: float | None = None
    bound_name: str | None = None
    gap: float | None = None
    cycle: float | None = None
    solver: str = ""
    seed: int = 0
    runtime: float = 0.0
    message: str = ""
    tasks: tuple[TaskRate, ...] = ()
    load: dict[str, float] = {}
    plan: Plan | None = None
    history: tuple[tuple[float, float | None, float | None], ...] = ()
    violations: tuple[Violation, ...] = ()
