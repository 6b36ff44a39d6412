"""Memory: what is resident when, the peaks, and the rules `memory_static` and `memory_live`."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.setting import Setting
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.structure import Decisions
from dnnplan.costs.check.wiring import READ, WRITE, Flow, Wiring

Changes = list[list[tuple[float, float]]]  # per memory: (moment, bytes gained or lost)


@dataclass(frozen=True, slots=True)
class Peak:
    """Most bytes in use, the moment when that is first so, and the first moment above the capacity."""

    bytes: float
    moment: float
    exceeded: float | None


def pinned_bytes(setting: Setting, pinned: list[dict[str, float]]) -> list[float]:
    """Bytes pinned in each memory, summed over its devices."""
    total: list[float] = [0] * len(setting.ends.memories)
    for device, weights in enumerate(pinned):
        total[setting.ends.devices[device].memory] += sum(weights.values())
    return total


def check_static(setting: Setting, pinned: list[dict[str, float]], found: Findings) -> None:
    """Rule `memory_static`: pinned weights fit each device's share of its memory, and each memory."""
    if setting.execution.memory == "none":
        return
    ends = setting.ends
    for device, weights in enumerate(pinned):
        capacity = ends.capacity[ends.devices[device].memory]
        held = sum(weights.values())
        share = ends.devices[device].spec.weight_fraction
        if capacity is not None and held > share * capacity:
            name = ends.devices[device].name
            message = f"{held} B of weights are pinned on {name}, {held - share * capacity:g} B more than "
            message += f"{share:g} of the {capacity} B of its memory"
            found.report("memory_static", name, message, held - share * capacity, "B")
    for memory, held in enumerate(pinned_bytes(setting, pinned)):
        capacity = ends.capacity[memory]
        if capacity is not None and held > capacity:
            name = ends.memories[memory]
            message = (
                f"{held} B of weights are pinned in memory {name}, {held - capacity:g} B more than it has"
            )
            found.report("memory_static", name, message, held - capacity, "B")


def resident(run: Run) -> Changes:
    """Everything that is resident for a time (docs/cost-model.md, 5), pinned weights excepted."""
    setting = run.wiring.setting
    changes: Changes = [[] for _ in setting.ends.memories]
    add_calls(run, changes)
    for flow in run.wiring.flows:
        shared = zero_copy_readers(run, flow) if flow.call >= 0 and flow.moved else []
        add_produced(run, flow, shared, changes)
        add_moved(run, flow, shared, changes)
    return changes


def occupy(changes: Changes, memory: int, start: float, end: float, size: float) -> None:
    """`size` bytes of a memory are in use from `start` until just before `end`."""
    if size and end > start:
        changes[memory].append((start, size))
        changes[memory].append((end, -size))


def add_calls(run: Run, changes: Changes) -> None:
    """While a call runs: the largest workspace of its layers, and its unpinned weights."""
    wiring, setting = run.wiring, run.wiring.setting
    for call, members in enumerate(wiring.decisions.members):
        batch = wiring.call_job[call].task.batch
        size = batch * setting.layers[members[0]].workspace_bytes
        if len(members) > 1:
            size = batch * max(setting.layers[number].workspace_bytes for number in members)
        load = wiring.load[call]
        if load >= 0:
            size += unpinned(wiring, wiring.decisions, call)
        device = setting.ends.devices[wiring.decisions.call_device[call]]
        occupy(changes, device.memory, run.start[call], run.end[call], size)


def unpinned(wiring: Wiring, decisions: Decisions, call: int) -> float:
    """Bytes of the weights that a call loads."""
    held = wiring.pinned[decisions.call_device[call]]
    layers = [(wiring.call_job[call].model.name, wiring.setting.layers[n]) for n in decisions.members[call]]
    return sum(layer.weight_bytes for model, layer in layers if f"{model}/{layer.name}" not in held)


def add_produced(run: Run, flow: Flow, shared: list[int], changes: Changes) -> None:
    """A tensor where it is produced, until it has left and its last reader there (or `shared`) has ended."""
    if flow.call < 0 or not flow.tensor.bytes:
        return
    wiring, setting = run.wiring, run.wiring.setting
    last = run.end[flow.call]
    for number in flow.moved:
        transfer = wiring.transfers[number]
        if transfer.source == flow.device:
            last = max(last, run.transfer_end[number])
    if wiring.direct or (flow.job.index, flow.tensor.name, flow.device) in wiring.kept:
        shared = shared + flow.readers.get(flow.device, [])
    for call in shared:
        last = max(last, run.end[call])
    memory = setting.ends.devices[flow.device].memory
    occupy(changes, memory, run.start[flow.call], last, flow.job.task.batch * flow.tensor.bytes)


def zero_copy_readers(run: Run, flow: Flow) -> list[int]:
    """Calls that use the producer's own copy from another device (or through the host), without moving it."""
    wiring = run.wiring
    moved = [wiring.transfers[number] for number in flow.moved]
    if not any(transfer.free for transfer in moved):
        return []
    if wiring.direct:
        return [call for transfer in moved if transfer.free for call in flow.readers.get(transfer.target, [])]
    if not all(transfer.free for transfer in moved if transfer.kind == WRITE):
        return []
    reads = [transfer for transfer in moved if transfer.kind == READ and transfer.free]
    return [call for read in reads for call in users(wiring, flow, read.target, read.call)]


def users(wiring: Wiring, flow: Flow, device: int, reader: int) -> list[int]:
    """The calls that use the copy which `reader` brought to a device."""
    calls = flow.readers.get(device, [])
    return calls if wiring.direct or (flow.job.index, flow.tensor.name, device) in wiring.kept else [reader]


def add_moved(run: Run, flow: Flow, shared: list[int], changes: Changes) -> None:
    """Copies of a tensor where it is moved to, until their last reader there; those in `shared` have none."""
    wiring, setting = run.wiring, run.wiring.setting
    for number in flow.moved:
        transfer = wiring.transfers[number]
        calls = users(wiring, flow, transfer.target, transfer.call)
        if transfer.kind == WRITE or not calls or (transfer.free and (flow.call < 0 or calls[0] in shared)):
            continue
        start = run.transfer_start[number] if run.overlap else run.start[transfer.call]
        end = max(map(run.end.__getitem__, calls)) if len(calls) > 1 else run.end[calls[0]]
        size = moved_bytes(wiring, flow, transfer.call)
        occupy(changes, setting.ends.devices[transfer.target].memory, start, end, size)


def moved_bytes(wiring: Wiring, flow: Flow, call: int) -> float:
    """Bytes of a tensor that a call brings to its device."""
    if not wiring.direct:
        return wiring.read_size(flow, call)
    return flow.job.task.batch * flow.tensor.bytes


def peaks(run: Run) -> list[Peak]:
    """Peak of every memory, pinned weights included."""
    ends = run.wiring.setting.ends
    bases = pinned_bytes(run.wiring.setting, run.wiring.pinned)
    return [
        peak_of(changes, base, capacity)
        for changes, base, capacity in zip(resident(run), bases, ends.capacity, strict=True)
    ]


def peak_of(changes: list[tuple[float, float]], base: float, capacity: float | None) -> Peak:
    """Largest sum of `base` and the changes; at one moment, what ends goes before what starts."""
    level = most = base
    moment, exceeded = 0.0, 0.0 if capacity is not None and base > capacity else None
    for at, change in sorted(changes):
        level += change
        if level > most:
            most, moment = level, at
        if exceeded is None and capacity is not None and level > capacity:
            exceeded = at
    return Peak(most, moment, exceeded)


def check_live(run: Run, highest: list[Peak], found: Findings) -> None:
    """Rule `memory_live`: every memory holds what is resident, at every moment."""
    ends = run.wiring.setting.ends
    if run.wiring.setting.execution.memory != "live":
        return
    for memory, peak in enumerate(highest):
        capacity = ends.capacity[memory]
        if capacity is not None and peak.bytes > capacity:
            name = ends.memories[memory]
            over = peak.bytes - capacity
            message = f"memory {name} holds {peak.bytes} B at {peak.moment:g} s, {over:g} B more than its "
            message += f"{capacity} B (exceeded first at {peak.exceeded:g} s)"
            found.report("memory_live", name, message, over, "B")
