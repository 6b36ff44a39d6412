"""The real networks together where a device's memory holds a half or a quarter of all weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from msgspec.structs import replace

from benchmarks.case import Case
from benchmarks.suites.real_networks import NINE
from dnnplan.costs import mapping_problem
from dnnplan.instances import Instance, Link, Memory
from dnnplan.instances.catalogue import load_bundled

SUMMARY = "the nine networks with memory for 50 % and 25 % of the weights: pinning against streaming"

SHARES = (0.5, 0.25)
HOST = "dram"
BANDWIDTH, LATENCY, ENERGY_PER_BYTE = 5.0e9, 10.0e-6, 3.25e-10
"""Of the links to the host: those between any two devices of phone-soc (assumed)."""
SPARE = 1.02
"""Room for what is left of the tensors before, by the largest need of a layer alone."""
SECONDS = 60.0


def cases() -> Iterator[Case]:
    """For every share: pins and streams chosen, and everything streamed."""
    choices: tuple[Literal["choice", "streamed"], ...] = ("choice", "streamed")
    for share in SHARES:
        for weights in choices:
            build = partial(tight, NINE, share, weights)
            yield Case(instance=case_name(share, weights), build=build, solver="auto", time_limit=SECONDS)


def case_name(share: float, weights: str) -> str:
    """Name of a case."""
    return f"{NINE}-memory-{share:g}-{weights}"


def tight(name: str, share: float, weights: Literal["choice", "streamed"] = "choice") -> Instance:
    """A bundled instance whose devices have `with_share_of_weights`."""
    return with_share_of_weights(load_bundled(name), share, weights)


def with_share_of_weights(
    instance: Instance, share: float, weights: Literal["choice", "streamed"] = "choice"
) -> Instance:
    """The instance on the same devices, with limited memories, beside a host memory without limit.

    Every memory has `share` of the bytes of all weights, but at least what the hungriest layer needs when it runs
    alone (its weights, the tensors it reads and writes, its workspace), or nothing could run it. Weights that are not
    pinned come from the host with every call, over a link of its own for each device; inputs start there. Memory is
    live: weights, tensors and workspace fit at every moment.
    """
    problem = mapping_problem(instance)
    need = [
        float(problem.weight_bytes[i] + problem.workspace[i])
        + sum(float(problem.size[k]) for k in (*problem.inputs[i], *problem.outputs[i]))
        for i in range(problem.n)
    ]
    room = int(max(share * float(problem.weight_bytes.sum()), SPARE * max(need)))
    platform = instance.platform
    assert platform is not None
    names = {device.memory or f"{device.name}-memory" for device in platform.devices}
    kept = {memory.name: memory for memory in platform.memories}
    memories = [replace(kept.get(name, Memory(name=name)), bytes=room) for name in sorted(names)]
    links = [
        Link(
            name=f"{HOST}-{device.name}",
            source=HOST,
            target=device.name,
            bandwidth=BANDWIDTH,
            latency=LATENCY,
            energy_per_byte=ENERGY_PER_BYTE,
        )
        for device in platform.devices
    ]
    limited = replace(
        platform,
        memories=(*memories, Memory(name=HOST)),
        devices=tuple(replace(d, memory=d.memory or f"{d.name}-memory") for d in platform.devices),
        links=(*platform.links, *links),
        host=HOST,
        execution=replace(platform.execution, memory="live", weights=weights),
    )
    return replace(instance, name=f"{instance.name}-memory-{share:g}-{weights}", platform=limited)
