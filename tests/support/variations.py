"""Small random instances with what `random_small` draws rarely or never."""

from __future__ import annotations

from itertools import combinations

from msgspec.structs import replace

from dnnplan.instances import Costs, Instance, Layer, Link, Memory, Model, Task


def with_slots(instance: Instance, slots: int | str) -> Instance:
    """All devices run `slots` calls at once."""
    platform = instance.platform
    assert platform is not None
    devices = tuple(replace(device, slots=slots) for device in platform.devices)
    return replace(instance, platform=replace(platform, devices=devices))


def with_host_at(instance: Instance, host: str) -> Instance:
    """The memory or device `host` is the host: those that compute from it reach the host for nothing."""
    platform = instance.platform
    assert platform is not None
    if platform.host is None:
        return instance
    owner = {device.name: device.memory for device in platform.devices}
    memory = owner.get(host, host)
    links = [link for link in platform.links if link.source != "host"]
    known = {frozenset((link.source, link.target)) for link in links}
    for link in platform.links:
        pair = frozenset((host, link.target))
        if link.source == "host" and owner[link.target] != memory and pair not in known:
            links.append(replace(link, source=host))
    return replace(instance, platform=replace(platform, host=host, links=tuple(links)))


def with_equal_devices(instance: Instance) -> Instance:
    """Every device is a copy of the first one, all links are as fast, no layer is tied to a device."""
    platform = instance.platform
    assert platform is not None
    first = platform.devices[0]
    room = next((memory.bytes for memory in platform.memories if memory.name == first.memory), None)
    names = [device.name for device in platform.devices]
    devices = tuple(
        replace(first, name=name, memory=f"own {name}" if first.memory else None) for name in names
    )
    kept = tuple(memory for memory in platform.memories if memory.name == platform.host)
    memories = kept + tuple(Memory(name=f"own {name}", bytes=room) for name in names if first.memory)
    links = [
        Link(name="bus", source=a, target=b, bandwidth=1)
        for a, b in combinations([*names, *([platform.host] if platform.host else [])], 2)
    ]
    models = tuple(
        replace(model, layers=tuple(replace(layer, devices=None) for layer in model.layers))
        for model in instance.models
    )
    latency = {
        model: {
            layer: dict.fromkeys(names, next((s for s in row.values() if s is not None), 1.0))
            for layer, row in table.items()
        }
        for model, table in instance.costs.latency.items()
    }
    return replace(
        instance,
        platform=replace(platform, devices=devices, memories=memories, links=tuple(links)),
        models=models,
        costs=Costs(latency=latency),
    )


def with_two_jobs(instance: Instance) -> Instance:
    """The first two layers of a model, twice in a hyperperiod, beside one layer once; all have deadlines."""
    assert instance.platform is not None
    model = instance.models[0]
    names = {layer.name for layer in model.layers[:2]}
    tensors = tuple(
        replace(
            tensor,
            targets=tuple(t for t in tensor.targets if t in names),
            read_bytes={t: b for t, b in tensor.read_bytes.items() if t in names},
        )
        for tensor in model.tensors
        if tensor.source in names or (tensor.source is None and names & set(tensor.targets))
    )
    short = replace(model, layers=model.layers[:2], tensors=tensors, colocate=())
    alone = Model(name="alone", layers=(Layer(name="z"),))
    latency = {
        layer: row for layer, row in instance.costs.latency.get(model.name, {}).items() if layer in names
    }
    single = {device.name: 2.0 + d for d, device in enumerate(instance.platform.devices)}
    tasks = (
        Task(name="often", model=model.name, period=3, deadline=4),
        Task(name="once", model="alone", period=6, release=1, deadline=3),
    )
    costs = Costs(latency={"alone": {"z": single}} | ({model.name: latency} if latency else {}))
    return replace(instance, models=(short, alone), tasks=tasks, precedences=(), costs=costs)
