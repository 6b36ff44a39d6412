"""Random small instances over all execution settings, each with a random plan that can run."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import msgspec

from dnnplan.instances import Instance, Plan
from dnnplan.instances.plan import layer_key

SETTINGS = [
    {"staging": staging, "overlap": overlap, "contention": contention, "weights": weights}
    for staging, overlap, contention, weights in product(
        ("direct", "host"), (True, False), ("none", "links"), ("resident", "streamed", "choice")
    )
]
# Numbers are multiples of powers of two, so that sums are exact and ties are ties for everybody.


def random_model(rng: random.Random, name: str) -> dict[str, Any]:
    count = rng.randint(2, 6)
    layers = [
        {
            "name": f"l{i}",
            "flops": rng.choice([0, 4, 8, 12]),
            "weight_bytes": rng.choice([0, 0, 4, 8]),
            "workspace_bytes": rng.choice([0, 2]),
        }
        for i in range(count)
    ]
    tensors: list[dict[str, Any]] = []
    for i in range(count):
        later = [f"l{j}" for j in range(i + 1, count)]
        targets = sorted(rng.sample(later, rng.randint(0, min(3, len(later)))))
        tensor = {"name": f"t{i}", "source": f"l{i}", "targets": targets, "bytes": rng.choice([0, 4, 8, 16])}
        tensor["output"] = not targets or rng.random() < 0.2
        if targets and rng.random() < 0.2:
            tensor["read_bytes"] = {targets[0]: 20}
        tensors.append(tensor)
    if rng.random() < 0.3:
        tensors.append({"name": "s0", "source": "l0", "targets": [f"l{count - 1}"], "bytes": 4})
    readers = sorted({"l0", *(f"l{i}" for i in range(count) if rng.random() < 0.3)})
    tensors.append({"name": "in", "targets": readers, "bytes": rng.choice([4, 8])})
    rng.shuffle(tensors)
    return {"name": name, "layers": layers, "tensors": tensors}


def random_platform(rng: random.Random, execution: dict[str, Any]) -> dict[str, Any]:
    count = rng.randint(1, 3)
    devices: list[dict[str, Any]] = [
        {
            "name": f"d{i}",
            "memory": rng.choice(["shared", f"m{i}"]),
            "peak_flops": {"*": rng.choice([2, 4, 8])},
            "overhead": rng.choice([0, 0.25]),
            "slots": rng.choice([1, 1, 2, "unlimited"]),
            "power": {"active": 2, "idle": rng.choice([0, 1])},
        }
        for i in range(count)
    ]
    memories = [
        {"name": "shared", "bandwidth": 64},
        {"name": "dram"},
        *({"name": f"m{i}"} for i in range(count)),
    ]
    options = ["dram", "shared", "d0"] + ([None] if execution["staging"] == "direct" else [])
    host = rng.choice(options)
    ends = [device["name"] for device in devices] + ([host] if host not in (None, "d0") else [])
    links = []
    for i, a in enumerate(ends):
        for b in ends[i + 1 :]:
            shared = {a, b} <= {"shared", *(d["name"] for d in devices if d["memory"] == "shared")}
            if shared and rng.random() < 0.7:
                continue
            link = {"name": rng.choice(["bus", "bus", f"{a}-{b}"]), "source": a, "target": b}
            link |= {"bandwidth": rng.choice([4, 8]), "latency": rng.choice([0, 0.5]), "energy_per_byte": 0.5}
            links.append(link)
    return {"memories": memories, "devices": devices, "links": links, "host": host, "execution": execution}


def random_instance(rng: random.Random, execution: dict[str, Any]) -> Instance:
    models = [random_model(rng, name) for name in ("m", "n")]
    tasks = [
        {
            "name": "p",
            "model": "m",
            "batch": rng.choice([1, 2]),
            "release": rng.choice([0, 0, 3]),
            "deadline": 4,
        },
        {"name": "q", "model": rng.choice(["m", "n"]), "weight": 2},
    ]
    if rng.random() < 0.3:
        tasks[0] |= {"period": 4}
        tasks[1] |= {"period": 6}
    platform = random_platform(rng, execution)
    names = [device["name"] for device in platform["devices"]]
    costs: dict[str, Any] = {}
    if rng.random() < 0.3:
        costs["latency"] = {"m": {"l0": {name: rng.choice([0, 1, 2]) for name in names}}}
        costs["energy"] = {"m": {"l0": {names[0]: 3}}}
    if rng.random() < 0.3:
        ends = [*names, platform["host"]] if platform["host"] else names
        costs["transfer"] = {
            "m": {"t0": {a: {b: rng.choice([0, 1, 3]) for b in ends if a != b} for a in ends}}
        }
    precedences = [{"before": "p", "after": "q"}] if rng.random() < 0.2 else []
    data = {
        "platform": platform,
        "models": models,
        "tasks": tasks,
        "costs": costs,
        "precedences": precedences,
    }
    return msgspec.convert(data, Instance)


def random_plan(rng: random.Random, instance: Instance, jobs: dict[str, int]) -> Plan:
    """A plan in a common topological order of calls, so that no device waits in a circle."""
    platform = instance.platform
    assert platform is not None
    devices = [device.name for device in platform.devices]
    models = {model.name: model for model in instance.models}
    queues = [
        [[layer_key(task.name, job, layer.name)] for layer in models[task.model].layers]
        for task in instance.tasks
        for job in range(jobs[task.name])
    ]
    placement = {call[0]: rng.choice(devices) for queue in queues for call in queue}
    grouped = rng.random() < 0.4
    if grouped:
        queues = [merged(rng, queue, placement) for queue in queues]
    order: dict[str, list[str]] = {}
    calls: dict[str, tuple[str, ...]] = {}
    while any(queues):
        rest = [queue for queue in queues if queue]
        # tasks with precedences: finish the first task's jobs first
        queue = rest[0] if instance.precedences else rng.choice(rest)
        call = queue.pop(0)
        name = f"call{len(calls)}" if grouped else call[0]
        calls[name] = tuple(call)
        order.setdefault(placement[call[0]], []).append(name)
    tensors = [
        (layer_key(task.name, job, tensor.name), target_devices(task.name, job, tensor.targets, placement))
        for task in instance.tasks
        for job in range(jobs[task.name])
        for tensor in models[task.model].tensors
    ]
    kept = tuple((key, device) for key, homes in tensors for device in homes if rng.random() < 0.5)
    pinned: dict[str, tuple[str, ...]] = {}
    if platform.execution.weights == "choice":
        pinned = random_pins(rng, instance, placement)
    names = list(calls)
    not_before = {name: rng.choice([1.0, 5.0]) for name in names if rng.random() < 0.1}
    return Plan(
        placement=placement,
        calls=calls if grouped else None,
        order={device: tuple(sequence) for device, sequence in order.items()},
        kept=kept if platform.execution.staging == "host" else (),
        pinned=pinned,
        not_before=not_before,
    )


def merged(rng: random.Random, queue: list[list[str]], placement: dict[str, str]) -> list[list[str]]:
    result: list[list[str]] = []
    for call in queue:
        if result and placement[result[-1][0]] == placement[call[0]] and rng.random() < 0.7:
            result[-1] += call
        else:
            result.append(list(call))
    return result


def target_devices(task: str, job: int, targets: tuple[str, ...], placement: dict[str, str]) -> list[str]:
    return sorted({placement[layer_key(task, job, target)] for target in targets})


def random_pins(
    rng: random.Random, instance: Instance, placement: dict[str, str]
) -> dict[str, tuple[str, ...]]:
    model_of = {task.name: task.model for task in instance.tasks}
    weights: dict[str, set[str]] = {}
    for key, device in placement.items():
        task, _, layer = key.split("/", 2)
        weights.setdefault(device, set()).add(f"{model_of[task]}/{layer}")
    return {
        device: tuple(sorted(w for w in names if rng.random() < 0.5)) for device, names in weights.items()
    }


def random_case(seed: int) -> tuple[Instance, Plan]:
    """Instance and plan number `seed`; consecutive seeds go through all execution settings."""
    rng = random.Random(seed)
    instance = random_instance(rng, dict(SETTINGS[seed % len(SETTINGS)]))
    periodic = instance.tasks[0].period is not None
    jobs = {"p": 3 if periodic else 1, "q": 2 if periodic else 1}
    return instance, random_plan(rng, instance, jobs)
