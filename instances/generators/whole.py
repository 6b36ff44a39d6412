"""Seeded instances of the whole plan: tasks with networks of blocks, affinities, and several unlike devices.

The model is ours. Each task has a chain of blocks: a stem that all share, blocks behind branch points, and a head of
its own. Corresponding blocks of different tasks are alike (same layers, same times), as with networks trained from one
architecture. Affinities are those of `task_sharing`. What makes the choice a choice:

- devices differ by a speed and, block by block, by how well a block suits them;
- tensors take time to move from device to device, more so early in the network;
- the variety may be at most a part of that of sharing everything.
"""

from __future__ import annotations

import math
import re
from itertools import combinations

from dnnplan.instances.errors import InputError
from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.generators.sharing import affinities
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.platform import Device, Execution, Link, Memory, Platform, Power
from dnnplan.instances.sections import Costs, Limits, Ordering, Sharing
from dnnplan.instances.task import Task

MOST_TASKS, MOST_BLOCKS, MOST_DEVICES = 100, 60, 20
LEAST_BLOCKS = 3
"""Stem, one block behind a branch point, head."""
MICRO = 1e6
"""Times are whole microseconds."""
_NAME = re.compile(r"whole/(\d{1,3})x(\d{1,2})x(\d{1,2})-s(\d{1,9})")


def whole_instance(
    tasks: int = 4,
    blocks: int = 6,
    devices: int = 3,
    seed: int = 0,
    *,
    layers: int = 1,
    ccr: float = 0.5,
    heterogeneity: float = 2.5,
    variety: float = 0.35,
    memory: float | None = None,
) -> Instance:
    """Tasks that could share blocks of their networks, on several devices; the objective is least latency.

    Parameters
    ----------
    tasks, devices
        Their numbers.
    blocks
        Blocks of each task, stem and head included: there are ``blocks - 2`` branch points.
    seed
        Same seed, same instance, bit for bit.
    layers
        Layers of each block.
    ccr
        Mean time to move a tensor over a link, divided by the mean time of a layer.
    heterogeneity
        How many times slower than another one a device may be, at least 1.
    variety
        Limit on variety, as a part of the variety of sharing everything.
    memory
        Weights that the memories of all devices take together, as a part of those of tasks that share nothing but the
        stem; None: memory is not limited.

    Raises
    ------
    InputError
        A number is out of range.

    Examples
    --------
    >>> instance = whole_instance(4, 6, 3, seed=1)
    >>> instance.name, len(instance.sharing.branch_points), len(instance.models[0].layers)
    ('whole/4x6x3-s1', 4, 6)
    """
    _require("tasks", tasks, 1, MOST_TASKS)
    _require("blocks", blocks, LEAST_BLOCKS, MOST_BLOCKS)
    _require("devices", devices, 1, MOST_DEVICES)
    _require("layers", layers, 1, 20)
    _require("ccr", ccr, 0, 1e6)
    _require("heterogeneity", heterogeneity, 1, 1e3)
    _require("variety", variety, 0, 1)
    if memory is not None:
        _require("memory", memory, 0, 1e6)
    draws = Draws(seed)
    affinity = affinities(tasks, blocks - 2, draws).tolist()
    network = _Network(blocks, layers, devices, heterogeneity, draws)
    names = [f"task{t}" for t in range(tasks)]
    models = [network.model(f"net{t}") for t in range(tasks)]
    apart = sum(network.weights[:layers]) + tasks * sum(network.weights[layers:])
    all_shared = math.fsum(1 - min(min(row) for row in matrix) for matrix in affinity)
    return Instance(
        name=f"whole/{tasks}x{blocks}x{devices}-s{seed}",
        source="generated",
        objective="latency",
        limits=Limits(variety=round(variety * all_shared, 6)),
        platform=network.platform(ccr, None if memory is None else memory * apart),
        models=tuple(models),
        tasks=tuple(
            Task(name=name, model=model.name, blocks=network.blocks)
            for name, model in zip(names, models, strict=True)
        ),
        sharing=Sharing(
            branch_points=tuple(f"point {level}" for level in range(blocks - 2)),
            affinity=tuple(tuple(tuple(row) for row in matrix) for matrix in affinity),
        ),
        ordering=Ordering(),
        costs=Costs(latency={model.name: network.times for model in models}),
    )


def whole_by_name(name: str) -> Instance | None:
    """The instance of a name such as ``whole/4x6x3-s1``: tasks, blocks, devices and seed; None if it is no such name.

    Examples
    --------
    >>> whole_by_name("whole/4x6x3-s2") == whole_instance(4, 6, 3, seed=2), whole_by_name("sharing/4x2-s3")
    (True, None)
    """
    found = _NAME.fullmatch(name)
    return None if found is None else whole_instance(*(int(part) for part in found.groups()))


def _require(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(f"{name}: {value}, expected {least:g} to {most:g}")


class _Network:
    """The chain of layers that all tasks have, and its times on devices that are drawn with it."""

    def __init__(self, blocks: int, layers: int, devices: int, heterogeneity: float, draws: Draws) -> None:
        self.devices = tuple(f"d{d}" for d in range(devices))
        count = blocks * layers
        self.names = tuple(
            f"b{b}" if layers == 1 else f"b{b}.{i}" for b in range(blocks) for i in range(layers)
        )
        self.blocks = tuple(self.names[b * layers : (b + 1) * layers] for b in range(blocks))
        self.slowness = draws.uniform(1.0, heterogeneity, devices).tolist()
        work = draws.uniform(500.0, 1500.0, count).tolist()
        suits = draws.uniform(0.6, 1.4, count, devices).tolist()
        self.micros = [
            [round(w * s * f) for s, f in zip(self.slowness, row, strict=True)]
            for w, row in zip(work, suits, strict=True)
        ]
        # Weights grow along the network, and tensors shrink.
        growing = draws.uniform(0.5, 1.5, count).tolist()
        self.weights = [round(40_000 * u * (1 + 3 * k / count)) for k, u in enumerate(growing)]
        shrinking = draws.uniform(0.5, 1.5, count).tolist()
        self.sizes = [round(100_000 * u / (1 + 3 * k / count)) for k, u in enumerate(shrinking)]
        self.watts = [round(6 / s, 2) for s in self.slowness]

    @property
    def times(self) -> dict[str, dict[str, float]]:
        """Seconds by layer and device."""
        return {
            name: {device: micro / MICRO for device, micro in zip(self.devices, row, strict=True)}
            for name, row in zip(self.names, self.micros, strict=True)
        }

    def model(self, name: str) -> Model:
        """The network of one task."""
        tensors = [Tensor(name="input", targets=(self.names[0],), bytes=self.sizes[0])]
        for k, layer in enumerate(self.names):
            last = k == len(self.names) - 1
            size = 40 if last else self.sizes[k + 1]
            targets = () if last else (self.names[k + 1],)
            tensors.append(Tensor(name=f"of {layer}", source=layer, targets=targets, bytes=size, output=last))
        layers = tuple(
            Layer(name=layer, op="Block", weight_bytes=weight)
            for layer, weight in zip(self.names, self.weights, strict=True)
        )
        return Model(name=name, layers=layers, tensors=tuple(tensors))

    def platform(self, ccr: float, weights: float | None) -> Platform:
        """The devices, a memory each, and a link between every two."""
        seconds = sum(map(sum, self.micros)) / MICRO / (len(self.names) * len(self.devices))
        moved = self.sizes[1:]
        mean = sum(moved) / len(moved)
        capacity = None
        if weights is not None:
            capacity = max(math.ceil(weights / len(self.devices)), max(self.weights))
        return Platform(
            name=f"generated-{len(self.devices)}",
            source="generated",
            memories=tuple(Memory(name=f"memory of {device}", bytes=capacity) for device in self.devices),
            devices=tuple(
                Device(name=device, memory=f"memory of {device}", power=Power(active=watt))
                for device, watt in zip(self.devices, self.watts, strict=True)
            ),
            links=tuple(
                Link(
                    name=f"{a}-{b}",
                    source=a,
                    target=b,
                    bandwidth=max(1, round(mean / (ccr * seconds))) if ccr else None,
                    energy_per_byte=1e-9,
                )
                for a, b in combinations(self.devices, 2)
            ),
            execution=Execution(memory="none" if capacity is None else "static"),
        )
