"""The platform of a generated instance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.generators.recipe import Recipe
from dnnplan.instances.model import Model
from dnnplan.instances.platform import Device, Link, Memory, Platform, Power


def make_platform(
    models: Sequence[Model], devices: tuple[str, ...], rates: Sequence[float], recipe: Recipe, draws: Draws
) -> Platform:
    """Devices with a memory each, a link between every two, and a host where the recipe has one.

    Parameters
    ----------
    rates
        FLOP/s of each device; empty where times come from tables.
    """
    rate = 1.0 if recipe.integer else 1e9
    energy = 1.0 if recipe.integer else 3.25e-10
    capacity = memory_bytes(models, recipe)
    active = draws.integers(1, 9, len(devices)).tolist()
    idle = draws.integers(0, 1, len(devices)).tolist()
    memories = [Memory(name=f"m{j}", bytes=capacity) for j in range(len(devices))]
    pairs = list(combinations(devices, 2))
    if recipe.has_host:
        memories.append(Memory(name="host"))
        pairs += [("host", device) for device in devices]
    return Platform(
        name=f"generated-{len(devices)}",
        source="generated",
        memories=tuple(memories),
        devices=tuple(
            Device(
                name=device,
                memory=f"m{j}",
                peak_flops={"*": rates[j]} if rates else {},
                power=Power(active=active[j], idle=idle[j]),
            )
            for j, device in enumerate(devices)
        ),
        links=tuple(
            Link(
                name="bus" if recipe.shared_channel else f"{a}-{b}",
                source=a,
                target=b,
                bandwidth=rate,
                energy_per_byte=energy,
            )
            for a, b in pairs
        ),
        host="host" if recipe.has_host else None,
        execution=recipe.execution,
    )


def memory_bytes(models: Sequence[Model], recipe: Recipe) -> int | None:
    """Bytes of each device's memory; None: not limited."""
    tightness = recipe.memory_tightness
    if tightness is None or recipe.execution.memory == "none":
        return None
    weights = [layer.weight_bytes for model in models for layer in model.layers]
    capacity = math.ceil(tightness * sum(weights) / recipe.devices)
    if recipe.execution.memory == "live":
        # What runs in order on one device and streams its weights fits, even if the inputs of all networks
        # are fetched at once. With host staging and overlap, tensors that are read ahead take more: there a
        # plan has to delay them (`not_before`).
        inputs = sum(t.bytes for model in models for t in model.tensors if t.source is None)
        capacity += math.ceil(max(weights) + inputs + max(live_peak(model) for model in models))
    if recipe.execution.weights == "resident":
        capacity = max(capacity, math.ceil(max(weights)))
    return capacity


def live_peak(model: Model) -> float:
    """Most bytes of tensors and workspace at any time when the layers run in order on one device."""
    position = {layer.name: i for i, layer in enumerate(model.layers)}
    change = [0.0] * (len(model.layers) + 1)
    for tensor in model.tensors:
        uses = [position[t] for t in tensor.targets]
        start = position[tensor.source] if tensor.source is not None else min(uses, default=0)
        change[start] += tensor.bytes
        change[max(uses, default=start) + 1] -= tensor.bytes
    peak = now = 0.0
    for i, layer in enumerate(model.layers):
        now += change[i]
        peak = max(peak, now + layer.workspace_bytes)
    return peak
