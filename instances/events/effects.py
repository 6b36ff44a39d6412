"""The instance after some events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from dnnplan.instances.arguments import refuse, require_instance, require_several
from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.events.devices import lose_device, throttle
from dnnplan.instances.events.links import change_link, lose_link
from dnnplan.instances.events.records import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    Event,
    LinkChanged,
    LinkLost,
    ModelAdded,
    ModelCosts,
    ModelRemoved,
)
from dnnplan.instances.events.tasks import add_model, change_batch, remove_task
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Model
from dnnplan.instances.task import Task
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.validation.structure import record_problems
from dnnplan.instances.wording import at


def apply(instance: Instance, events: Event | Iterable[Event]) -> Instance:
    """The instance after some events, one after the other.

    Present shares of nominal speeds and bandwidths are kept under ``extensions.now``, so that events state where
    things are and not by how much they moved.

    Raises
    ------
    InputError
        An event names what is not there, contradicts itself, or has a member of the wrong kind or out of range, or is
        none; the message says which event.
    InfeasibleError
        Nothing could run any more: the last device or the host is lost, or a layer may only run on what is lost.
    UnsupportedError
        The effect of an event is not known (a batch of one of several tasks with one measured network, ...).

    Examples
    --------
    >>> from dnnplan.instances.catalogue import load_bundled
    >>> hand = load_bundled("tiny/hand")
    >>> slow = apply(hand, DeviceThrottled(device="npu", speed=0.5))
    >>> slow.costs.latency["hand"]["stem"]["npu"] / hand.costs.latency["hand"]["stem"]["npu"]
    2.0
    """
    require_instance(instance)
    several = several_events(events)
    added = False
    for index, event in enumerate(several):
        where = at("events", index) if len(several) > 1 else "event"
        if added and not isinstance(event, ModelAdded):
            ensure_valid(instance, source=f"before {where}")
            added = False
        try:
            _require_members(event)
            instance = EFFECTS[type(event)](instance, event)
            added = added or isinstance(event, ModelAdded)
        except InputError as error:
            problems = [Problem(f"{where}.{p.path}" if p.path else where, p.message) for p in error.problems]
            raise type(error)(problems=problems, source=error.source) from None
    if added:
        ensure_valid(instance, source="after the events")  # all others only change what was valid
    return instance


def several_events(events: Event | Iterable[Event]) -> tuple[Event, ...]:
    """The events of one or several.

    Raises
    ------
    InputError
        Something else, e.g. the data of an event, which `events_of` turns into one.
    """
    if isinstance(events, Event):
        return (events,)
    expected = "an event as dnnplan.instances.events has them, e.g. DeviceLost(device=...), or several"
    several = require_several(events, "events", expected)
    for index, event in enumerate(several):
        if not isinstance(event, Event):
            refuse(at("events", index), event, expected)
    return several


def _require_members(event: Event) -> None:
    """Refuse events built in Python whose members are of the wrong kind or out of range.

    The network of an added model is judged with the instance that it is in, since it is large.
    """
    if isinstance(event, ModelAdded):
        kinds = {"model": Model, "task": Task, "costs": ModelCosts, "file": str}
        for name, kind in kinds.items():
            value = getattr(event, name)
            if value is not None and not isinstance(value, kind):
                refuse(name, value, f"a {kind.__name__} or null")
        event = replace(event, model=None, costs=None)
    if problems := record_problems(event):
        raise InputError(problems=problems)


EFFECTS: dict[type[Event], Callable[[Instance, Any], Instance]] = {
    DeviceLost: lose_device,
    DeviceThrottled: throttle,
    LinkChanged: change_link,
    LinkLost: lose_link,
    ModelAdded: add_model,
    ModelRemoved: remove_task,
    BatchChanged: change_batch,
}
"""What each kind of event does."""
