"""A network: layers, and the tensors between them."""

from __future__ import annotations

from typing import Any

from dnnplan.instances.canonical import Section
from dnnplan.instances.fields import Extensions, LongName, Name, NonNegative, Record


class DeviceRule(Record, kw_only=True):
    """Where a layer may run: only on `allow`, never on `forbid`, or exactly on `fix`."""

    allow: tuple[Name, ...] | None = None
    forbid: tuple[Name, ...] = ()
    fix: Name | None = None


class Layer(Record, kw_only=True):
    """One unit of work that runs on one device.

    Parameters
    ----------
    op
        Operator type, e.g. ``Conv``.
    flops
        Work for one sample in FLOP (one multiply-accumulate is two).
    weight_bytes, workspace_bytes
        Bytes of its constants, and of scratch memory while it runs (one sample).
    attributes
        Whatever cost models want to know of it: kernel, stride, shapes, the ONNX nodes it came from.
    exit
        Name of the early exit that this layer computes.
    devices
        Where it may run; None: everywhere.
    """

    name: LongName
    op: str = "generic"
    flops: NonNegative = 0
    weight_bytes: NonNegative = 0
    workspace_bytes: NonNegative = 0
    attributes: dict[str, Any] = {}
    exit: LongName | None = None
    devices: DeviceRule | None = None


class Tensor(Record, kw_only=True):
    """One named value with one producer and any number of readers.

    Parameters
    ----------
    source
        The layer that writes it; None: an input of the model.
    targets
        The layers that read it.
    bytes
        What is written or sent, for one sample.
    read_bytes
        What a reader fetches from the host where that differs from `bytes` (halos), by reader.
    output
        True: an output of the model.
    """

    name: LongName
    source: LongName | None = None
    targets: tuple[LongName, ...] = ()
    bytes: NonNegative = 0
    read_bytes: dict[LongName, NonNegative] = {}
    output: bool = False


class Model(Section, kw_only=True):
    """A network as a directed acyclic graph of layers and tensors.

    `colocate` lists groups of layers that must run on one device.
    """

    name: Name
    dtype: str = "float32"
    layers: tuple[Layer, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    colocate: tuple[tuple[LongName, ...], ...] = ()
    source: str = ""
    extensions: Extensions = {}
