"""The answer of a solver: a plan, what it costs, and how far it can be from the best one."""

from __future__ import annotations

from typing import Literal

import msgspec

from dnnplan.instances.fields import Record
from dnnplan.instances.plan import Plan

Status = Literal["optimal", "feasible", "infeasible", "unknown", "error"]
StopReason = Literal["proved", "gap_limit", "time_limit", "work_limit", "interrupted", "exhausted", "error"]
Sense = Literal["min", "max"]

EPSILON = 1e-12
GAP_TOLERANCE = 1e-4


class ObjectiveValue(Record, omit_defaults=False, kw_only=True):
    """The value of the objective; `value` is None where there is no plan."""

    name: str
    value: float | None
    unit: str | None
    sense: Sense = "min"


class Violation(Record, omit_defaults=False, kw_only=True):
    """One rule that a plan breaks: which rule, where, and by how much in `unit`."""

    rule: str
    where: str
    message: str
    amount: float | None = None
    unit: str | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


class Cost(Record, omit_defaults=False, kw_only=True):
    """What a plan costs, recomputed in floats by the one cost model.

    Parameters
    ----------
    latency
        Makespan: the time at which the last call and the last output transfer end, seconds.
    energy
        Joules over the horizon.
    edp
        Energy-delay product, joule seconds.
    traffic
        Bytes moved over links, streamed weights included.
    max_load
        Seconds per period of the most loaded device.
    weighted_completion, tardiness
        Weighted sums over jobs, seconds.
    memory
        Peak bytes of each memory that a device uses.
    load
        Seconds of work of each device in one period.
    """

    latency: float
    energy: float
    edp: float
    traffic: float
    max_load: float
    weighted_completion: float
    tardiness: float
    memory: dict[str, float] = {}
    load: dict[str, float] = {}


class Result(Record, omit_defaults=False, kw_only=True):
    """What a solver returns; serialises to JSON.

    Parameters
    ----------
    status, stop_reason
        What is known, and why the search ended: two different things.
    bound, bound_name
        A value that no plan can beat, and what proved it; None: nothing is known (never 0 for that).
    gap
        (value - bound) / |value|, signed by the sense; None without plan or bound.
    history
        (seconds, objective, bound) whenever one of them improved.
    violations
        What `check` found; empty for every plan a solver returns.
    message
        Why it is infeasible, or what failed, and what `--set` changed.
    measures
        Figures of a plan of grouping or ordering by name; `cost` is that of a mapping.
    """

    status: Status
    stop_reason: StopReason
    objective: ObjectiveValue
    bound: float | None = None
    bound_name: str | None = None
    gap: float | None = None
    valid: bool = False
    runtime: float = 0.0
    solver: str = ""
    seed: int = 0
    message: str = ""
    cost: Cost | None = None
    plan: Plan | None = None
    history: tuple[tuple[float, float | None, float | None], ...] = ()
    violations: tuple[Violation, ...] = ()
    versions: dict[str, str] = {}
    measures: dict[str, float] = {}

    def to_json(self) -> str:
        """One JSON object, keys as in the class."""
        return msgspec.json.encode(self).decode()


def relative_gap(value: float | None, bound: float | None, sense: Sense = "min") -> float | None:
    """Gap between a value and a bound, relative to the value; None where one of them is unknown.

    >>> relative_gap(10.0, 9.0)
    0.1
    """
    if value is None or bound is None:
        return None
    distance = value - bound if sense == "min" else bound - value
    return distance / max(abs(value), EPSILON)
