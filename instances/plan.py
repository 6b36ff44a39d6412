"""The plan: every decision of an answer, as data."""

from __future__ import annotations

from typing import Any

from dnnplan.instances.fields import Record

PLAN_VERSION = "1.1"


def layer_key(task: str, job: int, layer: str) -> str:
    """Key of a layer in a plan: ``task/job/layer``. Task names hold no "/", so it can be taken apart again."""
    return f"{task}/{job}/{layer}"


def send_id(tensor: str, device: str) -> str:
    """Identifier of the transfer of a tensor (by its key) to a device, or to the host, under direct staging."""
    return f"send {tensor} to {device}"


def write_id(tensor: str) -> str:
    """Identifier of the transfer of a tensor (by its key) from its producer to the host."""
    return f"write {tensor}"


def read_id(tensor: str, call: str) -> str:
    """Identifier of the transfer of a tensor (by its key) from the host to the call that reads it."""
    return f"read {tensor} for {call}"


def load_id(call: str) -> str:
    """Identifier of the transfer of a call's unpinned weights from the host."""
    return f"load {call}"


class Batch(Record, kw_only=True):
    """Samples that a serving plan runs together from `start`, seconds."""

    stage: str
    samples: tuple[int, ...]
    start: float = 0.0


class Plan(Record, kw_only=True):
    """Decisions; they are authoritative, and times are derived from them.

    Keys are ``task/job/layer`` (layers), ``task/job/tensor`` (tensors) and ``model/layer`` (weights).

    Parameters
    ----------
    instance
        Hash of the instance it was made for.
    groups
        Task graph: partition of the tasks at each branch point.
    task_order
        Execution order of the tasks.
    candidates
        Positions of the chosen networks in ``sharing.candidates``.
    placement
        Device of every layer.
    calls
        Layers that run as one piece, by call name; None: every layer is a call of its own, named like it.
    order
        Calls of every device in the order in which they start.
    pinned
        Weights that stay in each device's memory from time 0.
    kept
        (tensor, device) pairs: once there, the tensor stays until its last reader on that device.
    transfer_order
        Identifiers of the transfers in the order in which each channel serves them; a channel that is not
        named serves requests as they come.
    not_before
        Seconds before which a call or transfer may not start, by call name or transfer identifier.
    times
        (start, end) in seconds of every call: for readers of the file, and compared by `check`.
    """

    format_version: str = PLAN_VERSION
    instance: str = ""
    problem: str = "mapping"
    groups: tuple[tuple[tuple[str, ...], ...], ...] = ()
    task_order: tuple[str, ...] = ()
    candidates: tuple[int, ...] = ()
    placement: dict[str, str] = {}
    calls: dict[str, tuple[str, ...]] | None = None
    order: dict[str, tuple[str, ...]] = {}
    pinned: dict[str, tuple[str, ...]] = {}
    kept: tuple[tuple[str, str], ...] = ()
    transfer_order: dict[str, tuple[str, ...]] = {}
    not_before: dict[str, float] = {}
    batches: tuple[Batch, ...] = ()
    times: dict[str, tuple[float, float]] = {}
    extensions: dict[str, Any] = {}
