"""What a simulated plan costs: every figure of docs/cost-model.md, 6."""

from __future__ import annotations

from dnnplan.costs.check.memory import Peak
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.wiring import LOAD, SEND, WRITE, Flow, Wiring
from dnnplan.instances import Cost


def cost_of(run: Run, highest: list[Peak]) -> Cost:
    """All figures of a run."""
    wiring = run.wiring
    jobs, ends = wiring.setting.jobs, wiring.setting.ends
    latency = max(run.completion, default=0.0)
    compute = device_compute(wiring)
    idle = sum(
        device.spec.power.idle * max(0.0, latency - busy)
        for device, busy in zip(ends.devices, compute, strict=True)
    )
    energy = wiring.joules + sum(transfer.energy for transfer in wiring.transfers) + idle
    load = loads(wiring, compute)
    used = {device.memory for device in ends.devices}
    return Cost(
        latency=latency,
        energy=energy,
        edp=energy * latency,
        traffic=sum(transfer.bytes for transfer in wiring.transfers),
        max_load=max(load, default=0.0),
        weighted_completion=sum(
            job.task.weight * (done - job.release) for job, done in zip(jobs, run.completion, strict=True)
        ),
        tardiness=sum(
            job.task.weight * max(0.0, done - job.release - job.task.deadline)
            for job, done in zip(jobs, run.completion, strict=True)
            if job.task.deadline is not None
        ),
        memory={name: highest[memory].bytes for memory, name in enumerate(ends.memories) if memory in used},
        load={device.name: seconds for device, seconds in zip(ends.devices, load, strict=True)},
    )


def device_compute(wiring: Wiring) -> list[float]:
    """Seconds that each device computes."""
    compute = [0.0] * len(wiring.setting.ends.devices)
    for call, device in enumerate(wiring.decisions.call_device):
        compute[device] += wiring.seconds[call]
    return compute


def loads(wiring: Wiring, compute: list[float]) -> list[float]:
    """Seconds of work of each device: compute and its transfers, added or (overlap) the larger of the two."""
    moving = [0.0] * len(compute)
    for flow in wiring.flows:
        add_flow(wiring, flow, moving)
    for transfer in wiring.transfers:
        if transfer.kind == LOAD:
            moving[transfer.target] += transfer.seconds
    if wiring.overlap:
        return [max(pair) for pair in zip(compute, moving, strict=True)]
    return [busy + moved for busy, moved in zip(compute, moving, strict=True)]


def add_flow(wiring: Wiring, flow: Flow, moving: list[float]) -> None:
    """Add what moving one tensor costs each device: one read where it is read, one write where it is made."""
    setting = wiring.setting
    if wiring.direct:
        for number in flow.moved:
            transfer = wiring.transfers[number]
            if transfer.kind == SEND and flow.readers.get(transfer.target):
                moving[transfer.target] += transfer.seconds
        return
    elsewhere = False
    for device, calls in flow.readers.items():
        if device != flow.device:
            elsewhere = True
            size = max(wiring.read_size(flow, call) for call in calls)
            move = setting.move(flow.job.model.name, flow.tensor.name, wiring.host or 0, device, size)
            moving[device] += move.seconds if move is not None else 0.0
    if elsewhere or flow.tensor.output:
        moving_out = [wiring.transfers[n].seconds for n in flow.moved if wiring.transfers[n].kind == WRITE]
        if moving_out:
            moving[flow.device] += moving_out[0]
