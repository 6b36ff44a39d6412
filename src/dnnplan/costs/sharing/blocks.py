"""What every block costs every task: bytes, computing and loading (docs/cost-model.md, 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.compute import compute_costs, peak_rate
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Device, Instance, InstanceError, Link, Memory, Model, Problem, UnsupportedError
from dnnplan.instances.sections import Block, BlockCost

Kind = Literal["time", "energy"]
UNITS: dict[Kind, str] = {"time": "s", "energy": "J"}


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockCosts:
    """Figures of B blocks for n tasks, from the input on.

    Parameters
    ----------
    bytes, compute, load
        (B, n) what a task's own copy of each block takes; a shared copy takes the largest of its tasks.
    stem, head
        Whether the first block is shared by all tasks, and whether each task has its own last block; the blocks
        between them are those of the branch points.
    unit
        Unit of `compute` and `load`; None: none.
    """

    bytes: FloatArray
    compute: FloatArray
    load: FloatArray
    stem: bool
    head: bool
    unit: str | None

    @property
    def levels(self) -> int:
        """Blocks that tasks may share in groups: one behind each branch point."""
        return len(self.bytes) - self.stem - self.head

    def level(self, block: int) -> int | None:
        """The branch point that a block lies behind; None for stem and head."""
        level = block - self.stem
        return level if 0 <= level < self.levels else None


def block_costs(instance: Instance, kind: Kind = "time") -> BlockCosts:
    """Resolve the blocks of an instance: figures of `sharing`, else of its tasks' models, on the one device.

    What a block does not state is worked out on the platform: computing takes the device's overhead and what FLOP and
    bytes take there, loading what the link from the host takes. Without a platform it is 0. Without any block each
    branch point has one of one byte and cost 1, so that sizes and costs count copies.

    Raises
    ------
    InstanceError
        The section `sharing` is missing, or tasks have no or too few blocks.
    UnsupportedError
        Something has to be worked out, and the platform is missing, has several devices or states no rate; or costs
        that are stated, in another unit, meet costs that are worked out.
    """
    sharing = instance.sharing
    if sharing is None:
        raise InstanceError(problems=[Problem("sharing", "missing, expected what tasks could share")])
    tasks = [task.name for task in instance.effective_tasks()]
    levels = max(len(sharing.branch_points), len(sharing.affinity), len(sharing.groups))
    blocks = [sharing.stem, *sharing.blocks, sharing.head]
    if not any(block is not None for block in blocks) and any(task.blocks for task in instance.tasks):
        return _from_models(instance, levels, kind)
    if not sharing.blocks:
        blocks[1:1] = [Block(bytes=1, compute=1, load=0)] * levels
    elif len(sharing.blocks) != levels:
        message = f"{len(sharing.blocks)} blocks, expected {levels}: one behind each branch point"
        raise InstanceError(problems=[Problem("sharing.blocks", message)])
    chosen = [block for block in blocks if block is not None]
    device = _Device.of(instance, kind)
    cells = [[_entry(block, task) for task in tasks] for block in chosen]
    compute = _array([[device.compute(cell) for cell in row] for row in cells], len(tasks))
    load = _array([[device.load(cell) for cell in row] for row in cells], len(tasks))
    stated = [
        _array([[getattr(cell, name) is not None for cell in row] for row in cells], len(tasks)).astype(bool)
        for name in ("compute", "load")
    ]
    return BlockCosts(
        bytes=_array([[cell.bytes or 0.0 for cell in row] for row in cells], len(tasks)),
        compute=compute,
        load=load,
        stem=sharing.stem is not None,
        head=sharing.head is not None,
        unit=_unit(np.stack([compute, load]), np.stack(stated), device, sharing.unit),
    )


def _unit(figures: FloatArray, stated: NDArray[np.bool_], device: _Device, unit: str | None) -> str | None:
    """Unit of all costs: that of the instance where they are stated, or seconds or joules from the platform.

    Parameters
    ----------
    figures, stated
        (2, B, n) computing and loading, and whether the instance states them. Zeros are the same in any unit.
    unit
        Unit of the instance.
    """
    own = UNITS[device.kind]
    given, derived = bool((figures[stated] != 0).any()), bool((figures[~stated] != 0).any())
    if given and derived and unit != own:
        raise UnsupportedError(
            f"blocks state costs in {'no unit' if unit is None else unit} (sharing.unit), and others are worked out "
            f"on the platform in {own}; state them all, or in {own}"
        )
    if derived or not (stated.any() or device.device is None):
        return own
    return unit


def _array(rows: Sequence[Sequence[float]], width: int) -> FloatArray:
    return np.array(rows, dtype=float).reshape(len(rows), width)


def _entry(block: Block, task: str) -> BlockCost:
    """The figures of a block for one task."""
    own = block.costs.get(task, BlockCost())

    def choose(mine: float | None, general: float | None) -> float | None:
        return general if mine is None else mine

    return BlockCost(
        bytes=choose(own.bytes, block.tasks.get(task, block.bytes)),
        flops=choose(own.flops, block.flops),
        compute=choose(own.compute, block.compute),
        load=choose(own.load, block.load),
    )


@dataclass(frozen=True, kw_only=True)
class _Device:
    """The one device that runs all tasks, and the link through which it loads weights.

    Parameters
    ----------
    several
        Names of the devices where there are several: then nothing can be worked out.
    """

    device: Device | None
    link: Link | None
    memory: Memory | None
    kind: Kind
    several: str = ""

    @classmethod
    def of(cls, instance: Instance, kind: Kind) -> _Device:
        platform = instance.platform
        if platform is None or not platform.devices:
            return cls(device=None, link=None, memory=None, kind=kind)
        if sum(device.count for device in platform.devices) > 1:
            names = ", ".join(
                device.name if device.count == 1 else f"{device.count} x {device.name}"
                for device in platform.devices
            )
            return cls(device=None, link=None, memory=None, kind=kind, several=names)
        device = platform.devices[0]
        memory = next((m for m in platform.memories if m.name == device.memory), None)
        ends = {device.name, device.memory}
        link = next(
            (
                one
                for one in platform.links
                if platform.host is not None
                and (
                    (one.source == platform.host and one.target in ends)
                    or _reversed(one, platform.host, ends)
                )
            ),
            None,
        )
        return cls(device=device, link=link, memory=memory, kind=kind)

    def require_one(self) -> None:
        """Refuse to work something out for several devices.

        Raises
        ------
        UnsupportedError
            The platform has several.
        """
        if self.several:
            raise UnsupportedError(
                f"tasks are grouped and ordered for one device, and the platform has {self.several}; keep one of "
                "them, or give all blocks their costs (sharing.blocks[].compute, load)"
            )

    def compute(self, cell: BlockCost) -> float:
        """Seconds or joules to run a block."""
        if cell.compute is not None:
            return float(cell.compute)
        self.require_one()
        if self.device is None:
            if cell.flops:
                raise UnsupportedError(
                    "blocks state FLOP and no platform says how fast they run; name one with --platform, or give "
                    "blocks their costs (sharing.blocks[].compute)"
                )
            return 0.0
        seconds = self.device.overhead + self._roofline(float(cell.flops or 0.0), float(cell.bytes or 0.0))
        return seconds if self.kind == "time" else seconds * self.device.power.active

    def _roofline(self, flops: float, weights: float) -> float:
        assert self.device is not None
        bandwidth = None if self.memory is None else self.memory.bandwidth
        through = weights / bandwidth if bandwidth else 0.0
        if not flops:
            return through
        peak = peak_rate(self.device, "*")
        if peak is None:
            raise UnsupportedError(f"device {self.device.name} states no peak rate '*' for blocks of layers")
        return max(flops / (peak * self.device.efficiency.get("*", 1.0)), through)

    def layers(self, instance: Instance, model: Model, batch: int) -> FloatArray:
        """Seconds or joules of every layer of a network."""
        self.require_one()
        if self.device is None:
            raise UnsupportedError(
                "tasks have blocks of layers and no platform to run on; name one with --platform"
            )
        tables = instance.costs.latency.get(model.name, {}), instance.costs.energy.get(model.name, {})
        found = compute_costs(model, self.device, self.device.name, self.memory, batch, tables)
        if not np.isfinite(found[0]).all():
            layer = model.layers[int(np.argmin(np.isfinite(found[0])))]
            raise UnsupportedError(f"device {self.device.name} cannot run layer {model.name}/{layer.name}")
        return found[0] if self.kind == "time" else found[1]

    def load(self, cell: BlockCost) -> float:
        """Seconds or joules to bring the weights of a block from the host; nothing without a host."""
        size = float(cell.bytes or 0.0)
        if cell.load is not None:
            return float(cell.load)
        if size == 0:
            return 0.0
        self.require_one()
        if self.link is None:
            return 0.0
        if self.kind == "time":
            return self.link.latency + (size / self.link.bandwidth if self.link.bandwidth else 0.0)
        return size * self.link.energy_per_byte


def _reversed(link: Link, host: str, ends: set[str | None]) -> bool:
    return not link.directed and link.target == host and link.source in ends


def _from_models(instance: Instance, levels: int, kind: Kind) -> BlockCosts:
    """Blocks of the tasks' own networks: the first is the stem, one follows each branch point, the rest is the head."""
    models = {model.name: model for model in instance.models}
    tasks = instance.effective_tasks()
    short = [task.name for task in tasks if len(task.blocks) < levels + 1]
    if short:
        expected = f"expected at least {levels + 1}: a stem, and one behind each branch point"
        message = f"task {short[0]} has too few, {expected}"
        raise InstanceError(problems=[Problem("tasks.blocks", message)])
    device = _Device.of(instance, kind)
    shape = (levels + 2, len(tasks))
    size, compute, load = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t, task in enumerate(tasks):
        model = models[task.model]
        cost = dict(
            zip(
                (layer.name for layer in model.layers),
                device.layers(instance, model, task.batch),
                strict=True,
            )
        )
        layers = {layer.name: layer for layer in model.layers}
        rest = [name for block in task.blocks[levels + 1 :] for name in block]
        for b, names in enumerate([*task.blocks[: levels + 1], rest]):
            size[b, t] = sum(layers[name].weight_bytes for name in names)
            compute[b, t] = sum(cost[name] for name in names)
            load[b, t] = sum(device.load(BlockCost(bytes=layers[name].weight_bytes)) for name in names)
    return BlockCosts(bytes=size, compute=compute, load=load, stem=True, head=True, unit=UNITS[kind])
