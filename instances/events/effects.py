"""The instance after some events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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
    ModelRemoved,
)
from dnnplan.instances.events.tasks import add_model, change_batch, remove_task
from dnnplan.instances.instance import Instance
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.wording import at


def apply(instance: Instance, events: Event | Iterable[Event]) -> Instance:
    """The instance after some events, one after the other.

    Present shares of nominal speeds and bandwidths are kept under ``extensions.now``, so that events state where
    things are and not by how much they moved.

    Raises
    ------
    InputError
        An event names what is not there, or contradicts itself; the message says which event.
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
    several = [events] if isinstance(events, Event) else list(events)
    for index, event in enumerate(several):
        try:
            instance = _after(event, instance)
        except InputError as error:
            where = at("events", index) if len(several) > 1 else "event"
            problems = [Problem(f"{where}.{p.path}" if p.path else where, p.message) for p in error.problems]
            raise type(error)(problems=problems, source=error.source) from None
    if any(isinstance(event, ModelAdded) for event in several):
        ensure_valid(instance, source="after the events")  # all others only change what was valid
    return instance


def _after(event: Event, instance: Instance) -> Instance:
    effect = EFFECTS.get(type(event))
    if effect is None:
        raise TypeError(f"{type(event).__name__} is no event")
    return effect(instance, event)


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
