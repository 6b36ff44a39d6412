"""Small random instances in whole numbers, for exhaustive oracles; every feature of mapping is in some."""

from __future__ import annotations

from itertools import combinations, product
from typing import get_args, get_type_hints

from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import DeviceRule, Layer, Model, Tensor
from dnnplan.instances.platform import Device, Execution, Link, Memory, Platform, Power
from dnnplan.instances.sections import Costs
from dnnplan.instances.task import Precedence, Task

MAX_LAYERS = 5
Table = dict[str, dict[str, dict[str, int | float]]]


def all_executions() -> tuple[Execution, ...]:
    """Every combination of the execution settings, memory contention (reserved) left out.

    >>> len(all_executions())
    72
    """
    hints = get_type_hints(Execution)
    return tuple(
        Execution(staging=s, overlap=o, contention=c, memory=m, weights=w)
        for s, o, c, m, w in product(
            get_args(hints["staging"]),
            (True, False),
            [c for c in get_args(hints["contention"]) if c != "memory"],
            get_args(hints["memory"]),
            get_args(hints["weights"]),
        )
    )


def random_small(seed: int, execution: Execution | None = None) -> Instance:
    """An instance of 3 to 5 layers on 2 or 3 devices whose times and sizes are all whole numbers.

    Compute times are 1 to 9 seconds, links carry one byte in one or two seconds, tensors have 0 to 4 bytes.
    Now and then there is a second network (with a task precedence), a release time, a memory that two devices
    share, a device with two slots, one shared channel, forbidden or fixed layers, colocated pairs, halos,
    tables of energy and transfer, weights that two tasks share, and memory too small for all weights. Most
    have a valid plan, not all.

    Parameters
    ----------
    execution
        How plans execute; None: drawn from `all_executions`.
    """
    draws = Draws(seed)
    drawn = draws.pick(all_executions())
    execution = drawn if execution is None else execution
    counts, twice = _counts(draws)
    devices = tuple(f"d{j}" for j in range(draws.integer(2, 3)))
    models = tuple(_model(f"net{k}", count, devices, draws) for k, count in enumerate(counts))
    platform = _platform(models, devices, execution, draws)
    costs = _costs(models, devices, draws)
    tasks, precedences = _tasks(models, twice, draws)
    return Instance(
        name=f"small-{seed}",
        source="generated",
        platform=platform,
        models=models,
        tasks=tasks,
        precedences=precedences,
        costs=costs,
    )


def _counts(draws: Draws) -> tuple[list[int], bool]:
    """Layers of each network, and whether two tasks use the one network there is."""
    if draws.chance(0.08):
        return [2], True
    layers = draws.integer(3, MAX_LAYERS)
    first = layers if draws.chance(0.7) else draws.integer(1, layers - 1)
    return ([first] if first == layers else [first, layers - first]), False


def _model(name: str, count: int, devices: tuple[str, ...], draws: Draws) -> Model:
    """A network of `count` layers, each reading up to two of those before it."""
    readers: list[list[str]] = [[] for _ in range(count)]
    starts: list[str] = []
    for i in range(count):
        chosen = draws.sample(range(i), min(i, draws.integer(0 if draws.chance(0.2) else 1, 2)))
        for p in chosen:
            readers[p].append(f"l{i}")
        if not chosen:
            starts.append(f"l{i}")
    tensors: list[Tensor] = []
    if draws.chance(0.6):
        tensors.append(Tensor(name="input", targets=tuple(starts), bytes=draws.integer(0, 4)))
    for i, targets in enumerate(readers):
        halo: dict[str, int | float] = {t: draws.integer(1, 5) for t in targets if draws.chance(0.1)}
        is_output = draws.chance(0.15 if targets else 0.7)
        if targets or is_output:
            tensors.append(
                Tensor(
                    name=f"t{i}",
                    source=f"l{i}",
                    targets=tuple(targets),
                    bytes=draws.integer(0, 4),
                    read_bytes=halo,
                    output=is_output,
                )
            )
    colocate = (("l0", f"l{count - 1}"),) if count > 1 and draws.chance(0.1) else ()
    layers = tuple(_layer(i, devices, draws, plain=bool(colocate)) for i in range(count))
    return Model(name=name, layers=layers, tensors=tuple(tensors), colocate=colocate, source="generated")


def _layer(i: int, devices: tuple[str, ...], draws: Draws, *, plain: bool) -> Layer:
    """Layer ``l<i>``; a `plain` one has no rule, so that it can join any other."""
    rule: DeviceRule | None = None
    kind = draws.fraction()
    device = draws.pick(devices)
    if not plain:
        if kind < 0.08:
            rule = DeviceRule(fix=device)
        elif kind < 0.16:
            rule = DeviceRule(forbid=(device,))
        elif kind < 0.24:
            rule = DeviceRule(allow=tuple(draws.sample(devices, 2)))
    return Layer(
        name=f"l{i}",
        # The last device may lack Gemm: only layers without a rule are one, so that some device can run it.
        op="Conv" if plain or rule else draws.pick(("Conv", "Conv", "Gemm")),
        weight_bytes=draws.integer(0, 5),
        workspace_bytes=draws.integer(0, 2) if draws.chance(0.3) else 0,
        devices=rule,
    )


def _platform(
    models: tuple[Model, ...], devices: tuple[str, ...], execution: Execution, draws: Draws
) -> Platform:
    """Devices, their memories and links; some share a memory, a channel, or a host."""
    share = draws.chance(0.25)
    needs_host = execution.staging == "host" or execution.weights != "resident"
    host = draws.chance(0.3) or needs_host
    owners = [f"m{0 if share and j == 1 else j}" for j in range(len(devices))]
    memories = [_memory(name, models, execution, draws) for name in dict.fromkeys(owners)]
    ends = [
        (devices[a], devices[b])
        for a, b in combinations(range(len(devices)), 2)
        if owners[a] != owners[b] or draws.chance(0.3)
    ]
    if host:
        memories.append(Memory(name="host"))
        ends += [("host", device) for device in devices]
    bus = draws.chance(0.4)
    slow = draws.chance(0.25)
    # The last device may lack an operator, or run two calls at once; one device can always run everything.
    lacks = draws.chance(0.15)
    slots = 2 if draws.chance(0.15) else 1
    return Platform(
        name="small",
        memories=tuple(memories),
        devices=tuple(
            Device(
                name=device,
                memory=owners[j],
                weight_fraction=0.5 if draws.chance(0.1) else 1.0,
                power=Power(active=draws.integer(1, 5), idle=draws.integer(0, 1)),
                operators=("Conv",) if lacks and j == len(devices) - 1 else None,
                slots=slots if j == len(devices) - 1 else 1,
            )
            for j, device in enumerate(devices)
        ),
        links=tuple(
            Link(
                name="bus" if bus else f"{a}-{b}",
                source=a,
                target=b,
                bandwidth=1 if not slow or draws.chance(0.5) else 0.5,
                latency=draws.integer(0, 2) if slow else 0,
                energy_per_byte=draws.integer(0, 2),
            )
            for a, b in ends
        ),
        host="host" if host else None,
        execution=execution,
    )


def _memory(name: str, models: tuple[Model, ...], execution: Execution, draws: Draws) -> Memory:
    """A memory; where memory counts, its size lies between what the plan needs and what all weights need."""
    unlimited, room = draws.chance(0.15), draws.fraction()
    if execution.memory == "none" or unlimited:
        return Memory(name=name)
    weights = [layer.weight_bytes for model in models for layer in model.layers]
    total = float(sum(weights))
    if execution.memory == "live":
        least = max(_working_set(model, layer) for model in models for layer in model.layers)
        total /= 2
    elif execution.weights == "resident":
        least = max(weights)
    else:
        # What does not fit is streamed, so that any size will do; small ones bind.
        least, total = 0, 0.6 * total
    return Memory(name=name, bytes=int(least + round(room * total)))


def _working_set(model: Model, layer: Layer) -> float:
    """Bytes that a layer needs while it runs: weights, scratch, and the tensors it reads and writes."""
    tensors = [t.bytes for t in model.tensors if t.source == layer.name or layer.name in t.targets]
    return layer.weight_bytes + layer.workspace_bytes + sum(tensors)


def _costs(models: tuple[Model, ...], devices: tuple[str, ...], draws: Draws) -> Costs:
    """Tables: latency always, energy and transfers now and then."""
    latency = _table(models, devices, draws)
    energy = _table(models, devices, draws) if draws.chance(0.2) else {}
    if draws.chance(0.15):
        # A missing entry is a device that cannot run the layer.
        row = latency[models[0].name]["l0"]
        if models[0].layers[0].devices is None and not models[0].colocate:
            del row[draws.pick(devices[1:])]
    transfer: dict[str, dict[str, dict[str, dict[str, int | float]]]] = {}
    if draws.chance(0.15):
        inner = [t for t in models[0].tensors if t.source is not None and t.targets]
        if inner:
            ends: dict[str, dict[str, int | float]] = {
                a: {b: draws.integer(0, 4) for b in devices if b != a} for a in devices
            }
            transfer = {models[0].name: {draws.pick(inner).name: ends}}
    return Costs(latency=latency, energy=energy, transfer=transfer)


def _table(models: tuple[Model, ...], devices: tuple[str, ...], draws: Draws) -> Table:
    """1 to 9 for every layer on every device."""
    return {
        m.name: {layer.name: {d: draws.integer(1, 9) for d in devices} for layer in m.layers} for m in models
    }


def _tasks(
    models: tuple[Model, ...], twice: bool, draws: Draws
) -> tuple[tuple[Task, ...], tuple[Precedence, ...]]:
    """No tasks; or tasks with release, due date and weight, which may share one model or wait for another."""
    if not twice and not draws.chance(0.35):
        return (), ()
    used = models * 2 if twice else models
    tasks = tuple(
        Task(
            name=f"task{k}",
            model=model.name,
            release=draws.integer(0, 4) if draws.chance(0.6) else 0,
            deadline=draws.integer(5, 15) if draws.chance(0.5) else None,
            weight=draws.integer(1, 3),
        )
        for k, model in enumerate(used)
    )
    if len(tasks) > 1 and draws.chance(0.3):
        return tasks, (Precedence(before="task0", after="task1"),)
    return tasks, ()
