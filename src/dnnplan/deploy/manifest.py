"""The manifest of a split plan: which part runs where, what it reads and writes, and what moves between devices.

A folder holds ``manifest.json``, the parts as ONNX files, and ``instance.json`` and ``plan.json`` that they were made
from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from dnnplan.instances.fields import Count, LongName, Name, NonNegative, Record

MANIFEST_VERSION = "1.0"
MANIFEST = "manifest.json"
INSTANCE = "instance.json"
PLAN = "plan.json"

# A name without any folder: letters, digits, ".", "-", "_"; it does not start with a dot.
FileName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$(?!\n)")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
ValueName = Annotated[str, Meta(min_length=1, max_length=65536)]
Text = Annotated[str, Meta(max_length=65536)]


def read_manifest(folder: str | Path, *, files: bool = True) -> Manifest:
    """Read the manifest of a folder, checked together with its files: `dnnplan.deploy.folder.read_manifest`."""
    from dnnplan.deploy import folder as reading  # it imports this module

    return reading.read_manifest(folder, files=files)


class Value(Record, kw_only=True):
    """A tensor that goes into or out of a part.

    Parameters
    ----------
    id
        ``task/job/tensor``; where the instance has a tensor of this key, it is the same.
    name
        Its name in the ONNX files of all parts that make or read it.
    task, job
        The job that it belongs to.
    dtype
        Element type: ``float32``, ``int64``, ``bool``, ...
    shape
        Dimensions: numbers, or names of symbolic dimensions (empty: a dimension that depends on data); null: not known.
    source
        The segment that makes it; null: an input, given by the caller.
    targets
        The segments that read it; none reads the only output of a segment that nobody needs.
    output
        Whether it is an output, given to the caller.
    planned
        Whether it is a tensor of the instance; what is not (a shape that is computed, say) has no predicted transfer.
    """

    id: LongName
    name: ValueName
    task: Name
    job: Count = 0
    dtype: str
    shape: tuple[Count | Text, ...] | None
    source: LongName | None = None
    targets: tuple[LongName, ...] = ()
    output: bool = False
    planned: bool = True


class SegmentEntry(Record, kw_only=True):
    """A part of a model: layers that run as one piece on one device.

    Parameters
    ----------
    name
        The name of its call in ``plan.json``.
    file, sha256, bytes
        Its ONNX file in the folder, digest and size. Segments that are the same (jobs of one task) share a file.
    data, data_sha256, data_bytes
        The file of its weights where they do not fit into the ONNX file (protocol buffers end at 2 GiB).
    device
        The device that it runs on.
    model, task, job
        The network that its layers are from, and the job that it is part of.
    layers
        Names of its layers, in the order of the network.
    nodes
        Names of its ONNX nodes; constants that it computes for itself are not listed.
    inputs, outputs
        Ids of the values that it reads and makes, in the order of the ONNX file.
    after
        Segments that must have ended before it starts, besides those whose values it reads (precedences of tasks).
    """

    name: LongName
    file: FileName
    sha256: Digest
    bytes: Count
    data: FileName | None = None
    data_sha256: Digest | None = None
    data_bytes: Count = 0
    device: Name
    model: Name
    task: Name
    job: Count = 0
    layers: tuple[LongName, ...] = ()
    nodes: tuple[ValueName, ...] = ()
    inputs: tuple[LongName, ...] = ()
    outputs: tuple[LongName, ...] = ()
    after: tuple[LongName, ...] = ()


class Transfer(Record, kw_only=True):
    """A value that moves from one device to another.

    Parameters
    ----------
    value
        Id of the value.
    source, target
        The device that makes it and one that reads it.
    bytes
        Bytes that the plan counts for it, the batch included.
    """

    value: LongName
    source: Name
    target: Name
    bytes: NonNegative = 0


class ModelEntry(Record, kw_only=True):
    """A network that was split.

    Parameters
    ----------
    name
        Its name in the instance.
    file
        The name of the ONNX file that was split, without its folder.
    sha256
        Digest of that file.
    seed
        The file held no learnt weights; the parts got those of ``dnnplan materialise --seed``.
    """

    name: Name
    file: Text = ""
    sha256: Digest
    seed: Count | None = None


class JobEntry(Record, kw_only=True):
    """A network as a whole, for one job: what its inputs and outputs are among the values.

    Parameters
    ----------
    task, job, model
        The task, the number of the job, and its network.
    inputs, outputs
        Value id of every input that is read and of every output, by its name in the network's own file. Tasks that
        share layers read one and the same input.
    """

    task: Name
    job: Count = 0
    model: Name
    inputs: dict[ValueName, LongName] = {}
    outputs: dict[ValueName, LongName] = {}


class Predicted(Record, kw_only=True):
    """What the cost model says of the plan.

    Parameters
    ----------
    latency
        Makespan, seconds.
    segments
        Start and end of every segment, seconds.
    """

    latency: NonNegative = 0
    segments: dict[LongName, tuple[NonNegative, NonNegative]] = {}


class Manifest(Record, kw_only=True, dict=True):
    """A split plan.

    Parameters
    ----------
    name
        Name of the instance.
    instance_hash
        Hash of the instance in ``instance.json``.
    devices
        Devices in the order of the platform.
    models
        Networks that were split.
    segments
        The parts, in an order in which they can run one after the other.
    values
        Everything that parts read from each other, from the caller, or give to the caller.
    order
        Segments of every device in the order in which they start.
    transfers
        What moves between devices.
    jobs
        The networks as a whole: what to run them on, and what to compare the parts with.
    predicted
        What the cost model says of the plan.
    """

    format_version: str = MANIFEST_VERSION
    name: str = ""
    instance_hash: str = ""
    devices: tuple[Name, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    segments: tuple[SegmentEntry, ...] = ()
    values: tuple[Value, ...] = ()
    order: dict[Name, tuple[LongName, ...]] = {}
    transfers: tuple[Transfer, ...] = ()
    jobs: tuple[JobEntry, ...] = ()
    predicted: Predicted = Predicted()
    extensions: dict[str, Any] = {}

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that the caller gives."""
        return tuple(value for value in self.values if value.source is None)

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The values that the caller gets."""
        return tuple(value for value in self.values if value.output)

    @cached_property
    def value_of(self) -> Mapping[str, Value]:
        """Values by id."""
        return {value.id: value for value in self.values}

    @cached_property
    def segment_of(self) -> Mapping[str, SegmentEntry]:
        """Segments by name."""
        return {segment.name: segment for segment in self.segments}
