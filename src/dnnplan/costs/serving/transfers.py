"""What moving samples from the device of a stage to that of the next one takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.hardware import Hardware
from dnnplan.costs.serving.stages import Stage
from dnnplan.instances import Instance, Model
from dnnplan.instances.wording import Report, show


def transfer_seconds(
    instance: Instance,
    model: Model,
    stages: Sequence[Stage],
    device: Sequence[int],
    hardware: Hardware,
    largest: int,
    report: Report,
) -> FloatArray:
    """(stages, B + 1) seconds after a batch of a stage until its samples can start the next one.

    A stage waits for each tensor that it reads and that was made on another device and is not there yet, one after
    the other: ``costs.transfer`` for each sample, else latency of the link + b bytes / bandwidth.
    """
    found = np.zeros((len(stages), largest + 1))
    sizes = np.arange(1, largest + 1)
    made = {model.layers[i].name: device[k] for k, stage in enumerate(stages) for i in stage.layers}
    there: set[tuple[int, int]] = set()
    for k in range(1, len(stages)):
        here = device[k]
        for i in stages[k].reads:
            tensor = model.tensors[i]
            origin = made[tensor.source or ""]
            if origin == here or (i, here) in there:
                continue
            there.add((i, here))
            entry = _transfer_entry(instance, model.name, tensor.name, hardware, origin, here)
            latency, per_byte = hardware.routes.latency[origin, here], hardware.routes.per_byte[origin, here]
            if entry is not None:
                found[k - 1, 1:] += entry * sizes
            elif np.isfinite(latency):
                found[k - 1, 1:] += latency + sizes * tensor.bytes * per_byte
            else:
                ends = f"{show(hardware.devices[origin].name)} to {show(hardware.devices[here].name)}"
                report.add(
                    "platform.links", f"none from {ends}, expected one for stage {show(stages[k].name)}"
                )
                return found
    return found


def _transfer_entry(
    instance: Instance, model: str, tensor: str, hardware: Hardware, origin: int, here: int
) -> float | None:
    rows = instance.costs.transfer.get(model, {}).get(tensor, {})
    for source in hardware.devices[origin].names:
        for target in hardware.devices[here].names:
            if target in rows.get(source, {}):
                return rows[source][target]
    return None
