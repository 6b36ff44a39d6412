"""The hardware: memories, devices, the links between them, and how a plan executes on it."""

from __future__ import annotations

from typing import Any, Literal

from dnnplan.instances.fields import (
    Extensions,
    Fraction,
    Name,
    NonNegative,
    Positive,
    PositiveCount,
    PositiveFraction,
    Record,
)


class Memory(Record, kw_only=True):
    """A memory that one or more devices compute from.

    Parameters
    ----------
    bytes
        Capacity in bytes; None: not limited.
    bandwidth
        Bytes per second between this memory and the compute units of its devices; None: not a limit.
    """

    name: Name
    bytes: NonNegative | None = None
    bandwidth: Positive | None = None


class Power(Record, kw_only=True):
    """Power draw of a device in watts: `active` while it computes, `idle` while it does not."""

    active: NonNegative = 0
    idle: NonNegative = 0


class Mode(Record, kw_only=True):
    """A power mode of a device: multipliers on its peak rate and power."""

    name: Name
    speed: Positive = 1
    power: Positive = 1


class Device(Record, kw_only=True):
    """A processor that layers are placed on.

    Parameters
    ----------
    count
        How many identical copies there are; copies are called ``name.0``, ``name.1``, ...
    memory
        The memory it computes from; None: a memory of its own without limits.
    weight_fraction
        Share of that memory which pinned weights may fill (H2H uses 0.5).
    peak_flops
        Peak rate in FLOP/s per data type; the key ``"*"`` stands for every type not named.
    overhead
        Seconds added to every layer that runs on it.
    efficiency
        Share of the peak rate that operators reach, per operator; ``"*"`` stands for the others (default 1).
    operators
        The operators it can run; None: all of them.
    slots
        How many calls it runs at the same time.
    analytic
        An analytic model of it, as `dnnplan.costs.analytic.model_from` reads it: what serving takes where there
        is no table; None: none.
    """

    name: Name
    kind: str = "generic"
    count: PositiveCount = 1
    memory: Name | None = None
    weight_fraction: Fraction = 1.0
    peak_flops: dict[str, Positive] = {}
    overhead: NonNegative = 0
    efficiency: dict[str, PositiveFraction] = {}
    power: Power = Power()
    modes: tuple[Mode, ...] = ()
    operators: tuple[str, ...] | None = None
    slots: PositiveCount | Literal["unlimited"] = 1
    analytic: dict[str, Any] | None = None


class Link(Record, kw_only=True):
    """A connection between two devices or memories.

    Links that carry the same name are one channel: under contention they serve one transfer at a time.

    Parameters
    ----------
    source, target
        Names of devices or memories.
    bandwidth
        Bytes per second; None: infinitely fast.
    latency
        Seconds added to every transfer.
    energy_per_byte
        Joules per byte moved.
    directed
        True: only from source to target.
    """

    name: Name
    source: Name
    target: Name
    bandwidth: Positive | None = None
    latency: NonNegative = 0
    energy_per_byte: NonNegative = 0
    directed: bool = False


class Execution(Record, kw_only=True):
    """How a plan executes; published cost models are settings of this record.

    Parameters
    ----------
    staging
        ``direct``: tensors travel from device to device; ``host``: through the host memory.
    overlap
        Whether devices compute while tensors move.
    contention
        ``links``: a channel serves one transfer at a time; ``memory`` is reserved.
    memory
        ``static``: pinned weights must fit; ``live``: pinned weights, live tensors and workspace at every moment.
    weights
        ``resident``: all pinned; ``streamed``: all read from the host for every call; ``choice``: decided.
    """

    staging: Literal["direct", "host"] = "direct"
    overlap: bool = True
    contention: Literal["none", "links", "memory"] = "none"
    memory: Literal["none", "static", "live"] = "none"
    weights: Literal["resident", "streamed", "choice"] = "resident"


class Platform(Record, kw_only=True):
    """The hardware as a whole. `host` names the memory or device where inputs start and outputs end."""

    name: str = ""
    source: str = ""
    memories: tuple[Memory, ...] = ()
    devices: tuple[Device, ...] = ()
    links: tuple[Link, ...] = ()
    host: Name | None = None
    execution: Execution = Execution()
    extensions: Extensions = {}
