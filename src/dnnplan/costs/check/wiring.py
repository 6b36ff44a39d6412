"""What has to happen when a plan runs: its calls, its transfers, and which end sets off what."""

from __future__ import annotations

from msgspec import Struct

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.setting import Job, Setting
from dnnplan.costs.check.structure import Decisions
from dnnplan.instances import Tensor
from dnnplan.instances.plan import load_id, read_id, send_id, write_id

SEND, WRITE, READ, LOAD = range(4)
Rank = tuple[int, int, int]


class Transfer(Struct, gc=False):
    """One transfer (not frozen: thousands are made, and frozen ones take three times as long to make).

    Parameters
    ----------
    kind
        SEND, WRITE, READ or LOAD.
    flow
        Index of the tensor's `Flow`; -1 for loads.
    source, target
        Ends (devices, or the host).
    call
        The requesting call (docs/cost-model.md, 4.4).
    channel, free
        Index of its channel (-1: none), and whether it is zero-copy.
    output
        Whether it brings an output of the model to the host.
    """

    kind: int
    flow: int
    source: int
    target: int
    call: int
    seconds: float
    bytes: float
    energy: float
    channel: int
    free: bool
    output: bool = False


class Flow(Struct, gc=False):
    """A tensor of a job: its producing call and device (-1: an input), and its readers by device."""

    job: Job
    tensor: Tensor
    number: int
    call: int
    device: int
    readers: dict[int, list[int]]
    moved: list[int] = []


class Rows(dict[int, list[int]]):
    """Lists by index. Most are empty: those are not kept, which spares the garbage collector."""

    def __missing__(self, key: int) -> list[int]:
        return []

    def add(self, key: int, value: int) -> None:
        """Append a value to the list of an index."""
        self.setdefault(key, []).append(value)


class Wiring:
    """Calls, transfers, and their dependencies, for one plan.

    Attributes
    ----------
    need
        How many signals each call waits for, apart from its device and its earliest moment.
    after_call, after_reads, after_transfer
        Calls that are signalled by the end of a call, of the reads (sends) of a call, of a transfer.
    requests_call, requests_transfer, requests_job
        Transfers that are requested at the end of a call, of a transfer, at the release of a job.
    reads, load, writes
        Transfers of each call that runs them itself (no overlap), and its load (-1: none).
    """

    def __init__(
        self,
        setting: Setting,
        decisions: Decisions,
        pinned: list[dict[str, float]],
        kept: set[tuple[int, str, int]],
    ) -> None:
        self.setting, self.decisions, self.pinned, self.kept = setting, decisions, pinned, kept
        self.overlap, self.direct = setting.execution.overlap, setting.execution.staging == "direct"
        self.host = setting.ends.host
        count = len(decisions.names)
        self.call_job = [setting.job_of[members[0]] for members in decisions.members]
        self.seconds = [0.0] * count
        self.joules = 0.0
        self.transfers: list[Transfer] = []
        self.flows: list[Flow] = []
        self.channels: dict[str, int] = {}
        self.missing: list[tuple[str, int, int]] = []
        self.need = [0] * count
        self.after_call = Rows()
        self.after_reads = Rows()
        self.after_transfer: dict[int, list[int]] = {}
        self.requests_call = Rows()
        self.requests_transfer: dict[int, list[int]] = {}
        self.requests_job = Rows()
        self.reads = Rows()
        self.writes = Rows()
        self.load = [-1] * count
        self._ids: dict[str, int] = {}
        self._time_layers()
        connect = self._connect_direct if self.direct else self._connect_host
        for job in setting.jobs:
            for tensor in job.model.tensors:
                flow = self._flow(job, tensor)
                self.flows.append(flow)
                connect(flow)
        self._add_loads()

    # -- calls ---------------------------------------------------------------------------------------------

    def _time_layers(self) -> None:
        setting, device_of, call_of = self.setting, self.decisions.device_of, self.decisions.call_of
        for number, device in enumerate(device_of):
            seconds = self.decisions.layer_seconds[number]
            self.seconds[call_of[number]] += seconds
            self.joules += setting.joules(number, device, seconds)

    def _add_loads(self) -> None:
        setting, host = self.setting, self.host
        if host is None:
            return
        for call, members in enumerate(self.decisions.members):
            device = self.decisions.call_device[call]
            held, size = self.pinned[device], 0.0
            for number in members:
                layer = setting.layers[number]
                if layer.weight_bytes and f"{setting.job_of[number].model.name}/{layer.name}" not in held:
                    size += layer.weight_bytes
            if size:
                self.load[call] = self._transfer(LOAD, None, (host, device), call, size=size)

    # -- tensors -------------------------------------------------------------------------------------------

    def _flow(self, job: Job, tensor: Tensor) -> Flow:
        index, first, call_of = job.layer_index, job.first, self.decisions.call_of
        producer = -1 if tensor.source is None else call_of[first + index[tensor.source]]
        device = -1 if producer < 0 else self.decisions.call_device[producer]
        readers: dict[int, list[int]] = {}
        for name in tensor.targets:
            call = call_of[first + index[name]]
            if call != producer:
                calls = readers.setdefault(self.decisions.call_device[call], [])
                if call not in calls:
                    calls.append(call)
        position = self.decisions.position
        for calls in readers.values():
            calls.sort(key=position.__getitem__)
        return Flow(job, tensor, len(self.flows), producer, device, readers)

    def _wait_for_producer(self, flow: Flow, call: int) -> None:
        if flow.call >= 0:
            self.after_call.add(flow.call, call)
            self.need[call] += 1

    def _wait_for_reads(self, reader: int, call: int) -> None:
        self.after_reads.add(reader, call)
        self.need[call] += 1

    def _wait_for_transfer(self, transfer: int, call: int) -> None:
        self.after_transfer.setdefault(transfer, []).append(call)
        self.need[call] += 1

    def _request_when_produced(self, flow: Flow, transfer: int) -> None:
        if flow.call >= 0:
            self.requests_call.add(flow.call, transfer)
        else:
            self.requests_job.add(flow.job.index, transfer)

    def _connect_direct(self, flow: Flow) -> None:
        """Direct staging (docs/cost-model.md, 4.1): one send for each reading device."""
        tensor, everywhere = flow.tensor, flow.call < 0 and self.host is None
        home = self.host if flow.call < 0 else flow.device
        size = flow.job.task.batch * tensor.bytes
        at_host = home == self.host
        for device, calls in flow.readers.items():
            if everywhere:
                continue
            if device == home:
                for call in calls:
                    self._wait_for_producer(flow, call)
                continue
            output = tensor.output and device == self.host
            at_host = at_host or output
            send = self._transfer(SEND, flow, (home or 0, device), calls[0], size=size, output=output)
            if self.overlap:
                self._request_when_produced(flow, send)
                for call in calls:
                    self._wait_for_transfer(send, call)
            else:
                self.reads.add(calls[0], send)
                self._wait_for_producer(flow, calls[0])
                for call in calls[1:]:
                    self._wait_for_reads(calls[0], call)
        if tensor.output and flow.call >= 0 and self.host is not None and not at_host:
            send = self._transfer(SEND, flow, (flow.device, self.host), flow.call, size=size, output=True)
            self._request_when_produced(flow, send)

    def _connect_host(self, flow: Flow) -> None:
        """Host staging (docs/cost-model.md, 4.2): one write, and a read for each call without a kept copy."""
        fetching: list[tuple[int, list[int]]] = []  # a reading call, and those that use its copy
        for device, calls in flow.readers.items():
            if (flow.job.index, flow.tensor.name, device) not in self.kept:
                fetching += [(call, []) for call in calls]
            elif device != flow.device:
                fetching.append((calls[0], calls[1:]))
            else:
                for call in calls:
                    self._wait_for_producer(flow, call)
        write = -1
        if flow.call >= 0 and (fetching or flow.tensor.output):
            size = flow.job.task.batch * flow.tensor.bytes
            ends = (flow.device, self.host or 0)
            write = self._transfer(WRITE, flow, ends, flow.call, size=size, output=flow.tensor.output)
            (self.requests_call if self.overlap else self.writes).add(flow.call, write)
        for call, later in fetching:
            self._fetch(flow, write, call, later)

    def _fetch(self, flow: Flow, write: int, call: int, later: list[int]) -> None:
        """`call` reads a tensor from the host, after `write` (-1: an input); `later` calls use the copy."""
        ends = (self.host or 0, self.decisions.call_device[call])
        size = self.read_size(flow, call)
        read = self._transfer(READ, flow, ends, call, size=size)
        if not self.overlap:
            self.reads.add(call, read)
            self._wait_for_producer(flow, call)
            for reader in later:
                self._wait_for_reads(call, reader)
            return
        if write >= 0:
            self.requests_transfer.setdefault(write, []).append(read)
        else:
            self.requests_job.add(flow.job.index, read)
        for reader in (call, *later):
            self._wait_for_transfer(read, reader)

    def read_size(self, flow: Flow, call: int) -> float:
        """Batch times the largest read bytes among the layers of a call."""
        tensor, job = flow.tensor, flow.job
        if not tensor.read_bytes:
            return job.task.batch * tensor.bytes
        call_of = self.decisions.call_of
        mine = [name for name in tensor.targets if call_of[job.first + job.layer_index[name]] == call]
        return job.task.batch * max(tensor.read_bytes.get(name, tensor.bytes) for name in mine)

    # -- transfers -----------------------------------------------------------------------------------------

    def _transfer(
        self,
        kind: int,
        flow: Flow | None,
        ends: tuple[int, int],
        call: int,
        *,
        size: float,
        output: bool = False,
    ) -> int:
        source, target = ends
        model = self.call_job[call].model.name
        move = self.setting.move(model, flow.tensor.name if flow is not None else None, source, target, size)
        tensor_number = -1 if flow is None else flow.number
        seconds, channel, energy, free = 0.0, -1, 0.0, False
        number = len(self.transfers)
        if move is None:
            self.missing.append((self.setting.keys[self.decisions.members[call][0]], number, tensor_number))
        else:
            seconds, free = move.seconds, move.free
            if move.link is not None:
                channel = self.channels.setdefault(move.link.name, len(self.channels))
                energy = move.link.energy_per_byte * size
        moved = 0.0 if free else size
        self.transfers.append(
            Transfer(kind, tensor_number, source, target, call, seconds, moved, energy, channel, free, output)
        )
        if flow is not None:
            flow.moved.append(number)
        return number

    def rank(self, transfer: Transfer) -> Rank:
        """Order among requests of the same moment (docs/cost-model.md, 4.4); loads (flow -1) before reads."""
        call = transfer.call
        return (self.decisions.position[call], self.decisions.call_device[call], transfer.flow)

    def transfer_name(self, number: int) -> str:
        """Identifier of a transfer in plans."""
        transfer, names = self.transfers[number], self.decisions.names
        if transfer.kind == LOAD:
            return load_id(names[transfer.call])
        flow = self.flows[transfer.flow]
        key = flow.job.key(flow.tensor.name)
        if transfer.kind == WRITE:
            return write_id(key)
        if transfer.kind == READ:
            return read_id(key, names[transfer.call])
        return send_id(key, self.setting.ends.name(transfer.target))

    def transfer_numbers(self) -> dict[str, int]:
        """Transfers by identifier."""
        if not self._ids:
            self._ids = {self.transfer_name(number): number for number in range(len(self.transfers))}
        return self._ids


def check_routes(wiring: Wiring, found: Findings) -> None:
    """Rule `route`: whatever has to move can move."""
    for key, number, flow in wiring.missing:
        transfer = wiring.transfers[number]
        ends = wiring.setting.ends
        if flow >= 0:
            key = wiring.flows[flow].job.key(wiring.flows[flow].tensor.name)
        what = f"tensor {key}" if flow >= 0 else f"the weights of layer {key}"
        source, target = ends.name(transfer.source), ends.name(transfer.target)
        found.report("route", key, f"there is no route from {source} to {target} for {what}")
