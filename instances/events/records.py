"""Change events: what happened to the hardware or to the tasks since a plan was made."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dnnplan.instances.fields import LongName, Name, NonNegative, Positive, PositiveCount, Record
from dnnplan.instances.model import Model
from dnnplan.instances.task import Task

EVENTS_VERSION = "1.0"
# A share of a nominal figure; what is far from 1 is a mistake, or would make figures overflow.
Share = Annotated[float, Meta(ge=1e-6, le=1e6)]


class DeviceLost(Record, kw_only=True, tag_field="kind", tag="device_lost"):
    """A device is gone, with its links and its entries in cost tables.

    Parameters
    ----------
    device
        Its name; ``npu.1`` is one copy of a device that has several.
    """

    device: Name


class DeviceThrottled(Record, kw_only=True, tag_field="kind", tag="device_throttled"):
    """A device runs slower or faster than it did; its nominal speed is 1.

    Parameters
    ----------
    device
        Its name; ``npu.1`` is one copy of a device that has several.
    speed
        Share of its nominal speed from now on: 0.5 takes twice as long, 1 is as it was before it was throttled.
    power
        Share of its nominal power while it computes; null: 1, or that of the mode.
    mode
        Instead of `speed`: one of the modes of the device.
    """

    device: Name
    speed: Share | None = None
    power: Share | None = None
    mode: Name | None = None


class LinkChanged(Record, kw_only=True, tag_field="kind", tag="link_changed"):
    """All links of a name have another bandwidth or latency.

    Parameters
    ----------
    link
        The name.
    bandwidth
        Bytes per second from now on.
    factor
        Instead of `bandwidth`: share of the nominal bandwidth.
    latency
        Seconds that are added to every transfer from now on.
    """

    link: Name
    bandwidth: Positive | None = None
    factor: Share | None = None
    latency: NonNegative | None = None


class LinkLost(Record, kw_only=True, tag_field="kind", tag="link_lost"):
    """All links of a name are gone."""

    link: Name


class ModelCosts(Record, kw_only=True):
    """Tables of one network, as in the costs of an instance.

    Parameters
    ----------
    latency, energy
        Seconds and joules: ``[layer][device]``.
    transfer
        Seconds: ``[tensor][from][to]``.
    """

    latency: dict[LongName, dict[Name, NonNegative]] = {}
    energy: dict[LongName, dict[Name, NonNegative]] = {}
    transfer: dict[LongName, dict[Name, dict[Name, NonNegative]]] = {}


class ModelAdded(Record, kw_only=True, tag_field="kind", tag="model_added"):
    """A task with a network of its own, or with one that is there.

    Parameters
    ----------
    model
        The network as in an instance.
    file
        Instead of `model`: a file with networks, as `dnnplan solve` reads it.
    task
        The task; null: named like the network, one sample. Without `model` and `file` its network is one of the
        instance.
    costs
        Tables of the network; needed where the platform states no rates.
    """

    model: Model | None = None
    file: str | None = None
    task: Task | None = None
    costs: ModelCosts | None = None


class ModelRemoved(Record, kw_only=True, tag_field="kind", tag="model_removed"):
    """A task is gone, and its network where no other task uses it."""

    task: Name


class BatchChanged(Record, kw_only=True, tag_field="kind", tag="batch_changed"):
    """The jobs of a task have another number of samples."""

    task: Name
    batch: PositiveCount


Event = DeviceLost | DeviceThrottled | LinkChanged | LinkLost | ModelAdded | ModelRemoved | BatchChanged
KINDS: dict[str, type[Event]] = {
    "device_lost": DeviceLost,
    "device_throttled": DeviceThrottled,
    "link_changed": LinkChanged,
    "link_lost": LinkLost,
    "model_added": ModelAdded,
    "model_removed": ModelRemoved,
    "batch_changed": BatchChanged,
}
"""The record of each kind of event."""


class Events(Record, kw_only=True):
    """A file of events that happened together.

    Parameters
    ----------
    events
        One after the other: each changes what those before it left.
    """

    format_version: str = EVENTS_VERSION
    events: tuple[Event, ...] = ()
