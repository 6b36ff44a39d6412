"""What a re-plan hands back."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.instances import Instance, Result
from dnnplan.instances.events import Event
from dnnplan.instances.fields import Record
from dnnplan.instances.result import relative_gap
from dnnplan.solvers.replan.migration import Move


class Step(Record, omit_defaults=False, kw_only=True):
    """A layer that runs on another device than before; `source` None: it is new."""

    layer: str
    source: str | None
    target: str


class Standing(Record, omit_defaults=False, kw_only=True):
    """What a plan is worth.

    Parameters
    ----------
    objective
        Its value without migration, in the unit of the objective.
    migration_bytes, migration_seconds
        Weights that have to be moved for it.
    value
        Objective + weight x migration_seconds: what plans are compared by.
    """

    objective: float
    migration_bytes: float
    migration_seconds: float
    value: float


class Phase(Record, omit_defaults=False, kw_only=True):
    """A part of the planning: its name, and the seconds since the start at which it had ended."""

    name: str
    until: float


class Replan(Record, omit_defaults=False, kw_only=True):
    """What happened to a plan, and what became of it.

    Parameters
    ----------
    events
        Kinds of the events, in order.
    repair
        How the plan was repaired: ``kept`` (it is as it was), ``repaired`` (layers that lost their device are put
        elsewhere, all others stay as they were), ``moved`` (all stay on their devices, in another order), ``rebuilt``
        (nothing of that was feasible), or null (no plan).
    old
        Objective of the old plan before the events; null: it is not feasible there either.
    repaired, new
        The repaired plan, and the one that was found.
    weight
        Of a second of migration in the objective.
    bound, gap
        A value that no plan can beat, migration included, and how far the new one is from it.
    moved
        Layers that run elsewhere than before, or are new.
    moves
        Weights to bring, and from where.
    planning, deadline
        Seconds that planning took, and might take.
    in_time
        Whether planning ended by the deadline.
    compiled
        Whether the compiled search was loaded.
    """

    events: tuple[str, ...] = ()
    repair: str | None = None
    old: float | None = None
    repaired: Standing | None = None
    new: Standing | None = None
    weight: float = 0.0
    bound: float | None = None
    gap: float | None = None
    moved: tuple[Step, ...] = ()
    moves: tuple[Move, ...] = ()
    phases: tuple[Phase, ...] = ()
    planning: float = 0.0
    deadline: float = 0.0
    in_time: bool = True
    compiled: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplanResult:
    """A plan for changed conditions.

    Parameters
    ----------
    instance
        The instance after the events: what the new plan is for.
    events
        What happened.
    result
        The new plan, checked, with objective, bound and gap of the plan itself, migration left out.
    replan
        The comparison with the repaired plan, migration, and times.
    """

    instance: Instance
    events: tuple[Event, ...]
    result: Result
    replan: Replan


def standing(objective: float, moves: tuple[Move, ...], weight: float) -> Standing:
    """What a plan is worth, from its objective and its moves."""
    seconds = sum(move.seconds for move in moves)
    return Standing(
        objective=objective,
        migration_bytes=sum(move.bytes for move in moves),
        migration_seconds=seconds,
        value=objective + weight * seconds,
    )


def gap_of(value: float | None, bound: float | None) -> float | None:
    """Gap of a value, never below 0."""
    gap = relative_gap(value, bound)
    return None if gap is None else max(0.0, gap)
