"""Compute time and energy of every layer on every device (docs/cost-model.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Device, Layer, Memory, Model


def bytes_moved(model: Model) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes of the tensors that each layer reads, and writes, for one sample, each tensor counted once."""
    read = {layer.name: 0.0 for layer in model.layers}
    written = dict(read)
    for tensor in model.tensors:
        if tensor.source is not None:
            written[tensor.source] += tensor.bytes
        for target in dict.fromkeys(tensor.targets):
            read[target] += tensor.read_bytes.get(target, tensor.bytes)
    return read, written


def bytes_touched(model: Model) -> dict[str, float]:
    """Bytes of the tensors that each layer reads and writes for one sample."""
    read, written = bytes_moved(model)
    return {name: count + written[name] for name, count in read.items()}


def peak_rate(device: Device, dtype: str) -> float | None:
    """Peak FLOP/s of the device for a data type; None where the platform does not say."""
    return device.peak_flops.get(dtype, device.peak_flops.get("*"))


def may_run(layer: Layer, device: Device, copy: str) -> bool:
    """Whether rules and operators let `layer` run on `copy`, one of the copies of `device`."""
    if device.operators is not None and layer.op not in device.operators:
        return False
    rule = layer.devices
    if rule is None:
        return True
    names = (device.name, copy)
    if rule.fix is not None and rule.fix not in names:
        return False
    if rule.allow is not None and not any(name in rule.allow for name in names):
        return False
    return not any(name in rule.forbid for name in names)


def table_entry(row: Mapping[str, float], device: Device, copy: str) -> float | None:
    """Entry of a cost table for a device: by the name of the copy, else by the name of the device."""
    return row.get(copy, row.get(device.name))


def _roofline(model: Model, device: Device, memory: Memory | None, batch: int) -> FloatArray:
    """Seconds of every layer of `model` on `device`; infinite where its rate is not known."""
    peak = peak_rate(device, model.dtype)
    default = device.efficiency.get("*", 1.0)
    flops = np.array([layer.flops for layer in model.layers], dtype=float) * batch
    efficiency = np.array([device.efficiency.get(layer.op, default) for layer in model.layers])
    compute = np.where(flops > 0, np.inf, 0.0) if peak is None else flops / (peak * efficiency)
    if memory is None or memory.bandwidth is None:
        return compute + device.overhead
    touched = bytes_touched(model)
    weights = np.array([layer.weight_bytes for layer in model.layers], dtype=float)
    moved = np.array([touched[layer.name] for layer in model.layers]) * batch
    seconds: FloatArray = np.maximum(compute, (weights + moved) / memory.bandwidth) + device.overhead
    return seconds


def compute_costs(
    model: Model,
    device: Device,
    copy: str,
    memory: Memory | None,
    batch: int,
    tables: tuple[Mapping[str, Mapping[str, float]], Mapping[str, Mapping[str, float]]],
) -> tuple[FloatArray, FloatArray]:
    """Seconds and joules, shape (layers,), of `model` on one device; infinite seconds: cannot run there.

    `tables` are the latency and energy tables of the model, by layer and device; they win over the roofline.
    """
    latency_table, energy_table = tables
    seconds = _roofline(model, device, memory, batch)
    for i, layer in enumerate(model.layers):
        row = latency_table.get(layer.name)
        if row is not None:
            entry = table_entry(row, device, copy)
            seconds[i] = np.inf if entry is None else entry
        if not may_run(layer, device, copy):
            seconds[i] = np.inf
    joules = np.where(
        np.isfinite(seconds), device.power.active * np.where(np.isfinite(seconds), seconds, 0.0), 0.0
    )
    for i, layer in enumerate(model.layers):
        row = energy_table.get(layer.name)
        if row is not None:
            joules[i] = table_entry(row, device, copy) or 0.0
    return seconds, joules
