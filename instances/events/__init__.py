"""Change events, and the instance after them.

An event says what is different from now on: a device is lost or throttled, a link changed or lost, a model added or
removed, a batch changed. `apply` gives the instance after some events; `dnnplan.solvers.replan` plans for it.
"""

from dnnplan.instances.events.effects import apply, several_events
from dnnplan.instances.events.reading import loads_events, read_events, with_files
from dnnplan.instances.events.records import (
    EVENTS_VERSION,
    KINDS,
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    Event,
    Events,
    LinkChanged,
    LinkLost,
    ModelAdded,
    ModelCosts,
    ModelRemoved,
)

__all__ = [
    "EVENTS_VERSION",
    "KINDS",
    "BatchChanged",
    "DeviceLost",
    "DeviceThrottled",
    "Event",
    "Events",
    "LinkChanged",
    "LinkLost",
    "ModelAdded",
    "ModelCosts",
    "ModelRemoved",
    "apply",
    "loads_events",
    "read_events",
    "several_events",
    "with_files",
]
