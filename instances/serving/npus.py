"""The processors of the bundled instances: systolic arrays at the edge, int8, 1 GHz. Their figures are ours.

Bandwidths are those of LPDDR4-3200 with 32 and 64 bits: what a small and a large chip have. Buffers are of the size of
on-chip memories of such chips. Energy comes from the analytic model; power while computing is only read by mapping.
"""

from __future__ import annotations

from dnnplan.instances.errors import InputError
from dnnplan.instances.platform import Device, Link, Memory, Platform, Power

CLOCK = 1e9
MIB = 2**20


def array_device(
    name: str,
    rows: int,
    columns: int,
    dataflow: str,
    *,
    bandwidth: float,
    buffer: int,
    power: Power,
    memory: str = "dram",
) -> Device:
    """An array of int8 units with an analytic model: batches are folded into rows."""
    return Device(
        name=name,
        kind="npu",
        memory=memory,
        peak_flops={"*": 2 * rows * columns * CLOCK},
        power=power,
        analytic={
            "kind": "systolic",
            "rows": rows,
            "columns": columns,
            "dataflow": dataflow,
            "clock": CLOCK,
            "bandwidth": bandwidth,
            "buffer": buffer,
        },
    )


OS32 = array_device("npu", 32, 32, "os", bandwidth=12.8e9, buffer=2 * MIB, power=Power(active=4, idle=0.05))
"""2 TOPS: 32 x 32 units, output stationary."""

WS128 = array_device(
    "npu", 128, 128, "ws", bandwidth=25.6e9, buffer=8 * MIB, power=Power(active=40, idle=0.3)
)
"""33 TOPS: 128 x 128 units, weight stationary."""

DSP = array_device(
    "dsp", 16, 32, "os", bandwidth=12.8e9, buffer=1 * MIB, power=Power(active=2, idle=0.03), memory="dsp-dram"
)
"""1 TOPS: 16 x 32 units, output stationary; as many multiply-accumulates a cycle as a DSP with wide vectors."""


def npu_platform(name: str) -> Platform:
    """A platform by name: ``os32``, ``ws128``, ``dsp-npu`` (the NPU of ``os32``, a DSP, and a link between).

    Raises
    ------
    InputError
        No such platform.
    """
    source = "figures of our own, see dnnplan.instances.serving.npus"
    if name in ("os32", "ws128"):
        device = OS32 if name == "os32" else WS128
        bandwidth = 12.8e9 if name == "os32" else 25.6e9
        return Platform(
            name=name, source=source, memories=(Memory(name="dram", bandwidth=bandwidth),), devices=(device,)
        )
    if name == "dsp-npu":
        return Platform(
            name=name,
            source=source,
            memories=tuple(Memory(name=memory, bandwidth=12.8e9) for memory in ("dram", "dsp-dram")),
            devices=(OS32, DSP),
            links=(Link(name="bus", source="dsp", target="npu", bandwidth=6.4e9, latency=5e-6),),
        )
    raise InputError(f"{name}: no such platform, expected os32, ws128 or dsp-npu")
