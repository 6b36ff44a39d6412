"""Instances of the H2H suite: a model, the twelve accelerators, and the bandwidth to the host."""

from __future__ import annotations

from typing import Any

from dnnplan.instances.h2h.accelerators import ACCELERATORS, BYTES, Accelerator, seconds
from dnnplan.instances.h2h.layers import AnyLayer, Conv, Dense
from dnnplan.instances.h2h.models import MODELS, Modal
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Execution, Link, Memory, Platform, Power
from dnnplan.instances.sections import Costs

BANDWIDTHS = (0.125, 0.25, 0.5, 1.25)
"""10^9 bytes per second between an accelerator and the host, as studied by the authors."""
HOST_ENERGY = 750e-12
"""Joules per byte moved: 3,000 pJ per number of 32 bit."""
WEIGHT_FRACTION = 0.5
"""Share of an accelerator's memory for weights: the setting of the authors' runs."""
SOURCE = (
    "Zhang et al., H2H: heterogeneous model to heterogeneous system mapping with computation and communication "
    "awareness, DAC 2022; layer sizes and accelerators from the public code of H2H and MARCH"
)
HOST = "host"


def h2h_instance(
    model: str | Modal, bandwidth: float, *, cross: bool = False, contention: bool = False, name: str = ""
) -> Instance:
    """A model of the suite on the twelve accelerators.

    Parameters
    ----------
    model
        A name of `MODELS`, or streams of your own.
    bandwidth
        10^9 bytes per second of each link to the host.
    cross
        Whether the edges between streams count; without them all streams are independent chains.
    contention
        Whether all accelerators share one link to the host, which serves one transfer at a time; otherwise each has
        a link of its own and there is no contention.
    """
    modal = MODELS[model] if isinstance(model, str) else model
    label = model if isinstance(model, str) else "modal"
    layers = {f"M{s}L{i}": x for s, row in enumerate(modal.streams, 1) for i, x in enumerate(row, 1)}
    chains = [
        (f"M{s}L{i}", f"M{s}L{i + 1}") for s, row in enumerate(modal.streams, 1) for i in range(1, len(row))
    ]
    edges = list(dict.fromkeys(chains + (list(modal.cross) if cross else [])))
    return Instance(
        name=name or label,
        source=SOURCE,
        platform=_platform(bandwidth, contention),
        models=(_model(label, layers, edges),),
        costs=Costs(latency={label: {key: _times(layer) for key, layer in layers.items()}}),
    )


def _times(layer: AnyLayer) -> dict[str, float]:
    times = {device.name: seconds(layer, device) for device in ACCELERATORS}
    return {name: time for name, time in times.items() if time is not None}


def _model(label: str, layers: dict[str, AnyLayer], edges: list[tuple[str, str]]) -> Model:
    """The graph. A layer that several tensors feed reads of each in proportion to its size (ours).

    A layer that none feeds reads an input; a tensor that none reads is an output.
    """
    readers = {key: tuple(b for a, b in edges if a == key) for key in layers}
    sources = {key: tuple(a for a, b in edges if b == key) for key in layers}
    tensors = []
    for key, layer in layers.items():
        if not sources[key]:
            tensors.append(Tensor(name=f"{key}-in", targets=(key,), bytes=BYTES * layer.reads))
        shares = {
            b: layers[b].reads * layer.writes / sum(layers[a].writes for a in sources[b])
            for b in readers[key]
        }
        tensors.append(
            Tensor(
                name=f"{key}-out",
                source=key,
                targets=readers[key],
                bytes=BYTES * layer.writes,
                read_bytes={b: BYTES * share for b, share in shares.items() if share != layer.writes},
                output=not readers[key],
            )
        )
    return Model(
        name=label,
        source=SOURCE,
        layers=tuple(
            Layer(
                name=key,
                op=layer.op,
                flops=layer.flops,
                weight_bytes=BYTES * layer.weights,
                attributes=_attributes(layer),
            )
            for key, layer in layers.items()
        ),
        tensors=tuple(tensors),
    )


def _attributes(layer: AnyLayer) -> dict[str, Any]:
    if isinstance(layer, Conv):
        return {
            "output": [layer.channels, layer.rows, layer.columns],
            "input": layer.inputs,
            "kernel": layer.kernel,
        }
    if isinstance(layer, Dense):
        return {"output": [layer.outputs], "input": layer.inputs}
    return {"output": [layer.hidden], "input": layer.inputs, "steps": layer.steps}


def _platform(bandwidth: float, contention: bool) -> Platform:
    return Platform(
        name="h2h",
        source=SOURCE,
        memories=(
            Memory(name=HOST),
            *(Memory(name=f"{a.name}-ddr", bytes=round(a.gigabytes * 1e9)) for a in ACCELERATORS),
        ),
        devices=tuple(_device(a) for a in ACCELERATORS),
        links=tuple(
            Link(
                name="host-link" if contention else f"{a.name}-link",
                source=HOST,
                target=a.name,
                bandwidth=bandwidth * 1e9,
                energy_per_byte=HOST_ENERGY,
            )
            for a in ACCELERATORS
        ),
        host=HOST,
        execution=Execution(
            staging="host",
            overlap=False,
            contention="links" if contention else "none",
            memory="static",
            weights="choice",
        ),
    )


def _device(a: Accelerator) -> Device:
    return Device(
        name=a.name,
        kind="fpga",
        memory=f"{a.name}-ddr",
        weight_fraction=WEIGHT_FRACTION,
        operators=(a.kind,),
        power=Power(active=a.watts),
    )
