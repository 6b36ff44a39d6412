"""Small whole problems in other settings than `random_whole` draws."""

from __future__ import annotations

import random

from msgspec.structs import replace

from dnnplan.instances import Instance, Layer, Limits, Link, Memory, Sharing, Tensor
from dnnplan.instances.platform import Execution
from dnnplan.instances.sections import Costs
from tests.support.whole_oracles import random_whole

KINDS = (
    "plain",
    "own",
    "layers",
    "links",
    "slots",
    "idle",
    "traffic",
    "levels",
    "equal",
    "streamed",
    "choice",
    "outputs",
    "no overlap",
    "through the host",
)
MODELLED = KINDS[:-2]
"""Those that the one model covers."""


def whole_setting(kind: str, seed: int, *, tasks: int = 2) -> Instance:
    """A small instance of a kind: two tasks, two devices, one layer a block but for "layers"."""
    instance = random_whole(seed, tasks=tasks, layers=(1, 2, 1) if kind == "layers" else (1, 1, 1))
    platform, rng = instance.platform, random.Random(seed)
    assert platform is not None
    if kind in ("own", "layers"):
        table = {
            model: {
                layer: {
                    device: value + rng.randint(0, 3) for device, value in row.items() if value is not None
                }
                for layer, row in rows.items()
            }
            for model, rows in instance.costs.latency.items()
        }
        return replace(instance, costs=Costs(latency=table))
    if kind == "links":
        return replace(instance, platform=replace(platform, execution=Execution(contention="links")))
    if kind == "slots":
        first, *others = platform.devices
        return replace(instance, platform=replace(platform, devices=(replace(first, slots=2), *others)))
    if kind == "idle":
        devices = tuple(replace(d, power=replace(d.power, idle=0.5)) for d in platform.devices)
        return replace(instance, objective="energy", platform=replace(platform, devices=devices))
    if kind == "traffic":
        return replace(instance, objective="latency=1,traffic=0.5", limits=Limits(variety=1.0))
    if kind == "levels":
        return two_levels(instance)
    if kind == "equal":
        table = {
            model: {
                layer: dict.fromkeys(row, float(next(iter(row.values())) or 1)) for layer, row in rows.items()
            }
            for model, rows in instance.costs.latency.items()
        }
        return replace(instance, costs=Costs(latency=table))
    if kind in ("streamed", "choice", "outputs", "through the host"):
        links = tuple(
            Link(name=f"host-{d.name}", source="host", target=d.name, bandwidth=2, energy_per_byte=1)
            for d in platform.devices
        )
        execution = {
            "streamed": Execution(weights="streamed"),
            "choice": Execution(weights="choice", memory="static"),
            "outputs": Execution(contention="links"),
            "through the host": Execution(staging="host"),
        }[kind]
        memories = (Memory(name="host"), *(replace(m, bytes=5) for m in platform.memories))
        changed = replace(
            platform, host="host", memories=memories, links=platform.links + links, execution=execution
        )
        return replace(instance, platform=changed)
    if kind == "no overlap":
        return replace(instance, platform=replace(platform, execution=Execution(overlap=False)))
    return instance


def two_levels(instance: Instance) -> Instance:
    """The same with one more block behind a second branch point."""
    sharing = instance.sharing
    assert sharing is not None
    models = tuple(
        replace(
            model,
            layers=(*model.layers, Layer(name="z", weight_bytes=1)),
            tensors=(
                *(replace(t, targets=("z",), output=False) if t.source == "c" else t for t in model.tensors),
                Tensor(name="end", source="z", bytes=1, output=True),
            ),
        )
        for model in instance.models
    )
    return replace(
        instance,
        models=models,
        tasks=tuple(replace(task, blocks=(*task.blocks, ("z",))) for task in instance.tasks),
        sharing=Sharing(branch_points=("p", "q"), affinity=sharing.affinity * 2),
        costs=Costs(
            latency={
                model: {**rows, "z": {"d": 2.0, "e": 3.0}} for model, rows in instance.costs.latency.items()
            }
        ),
    )
