"""Measurements of split: how long it takes, and whether parts compute what the models compute."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.case import Measured
from benchmarks.networks import (
    build_early_exit_resnet,
    build_mobilenet_v2,
    build_recurrent,
    build_vit,
)
from dnnplan.costs import encode, mapping_problem
from dnnplan.costs.mapping import topological_order
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import verify
from dnnplan.instances import Device, Instance, Link, Plan, Platform
from dnnplan.instances.files import write_instance, write_plan
from dnnplan.instances.formats.onnx import light_network_paths, materialise, read_onnx

SPLIT_SECONDS = 2.0
"""Seconds for splitting ResNet-50, as a command: imports, reading, writing and digests."""
REPEATS = 7
CUTS = 8
"""Random cuts of a network; of large ones fewer."""
LARGE = {"alexnet": 2, "vgg19": 2, "zfnet512": 2, "resnet50": 4}
BUILT: dict[str, Callable[[], Any]] = {
    "mobilenet-v2": build_mobilenet_v2,
    "vit": build_vit,
    "recurrent": build_recurrent,
    "early-exit": build_early_exit_resnet,
}
NETWORKS = (*light_network_paths(), *BUILT)


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        return MEASUREMENTS[kind](rest, Path(folder))


def platform(devices: int) -> Platform:
    """Devices that are all connected."""
    names = [f"device-{at}" for at in range(devices)]
    return Platform(
        name="cut",
        devices=tuple(Device(name=name, kind="cpu", peak_flops={"*": 1e11}) for name in names),
        links=tuple(
            Link(name=f"{a} {b}", source=a, target=b, bandwidth=1e9, latency=1e-6)
            for at, a in enumerate(names)
            for b in names[at + 1 :]
        ),
    )


def random_cut(instance: Instance, seed: int) -> Plan:
    """A plan whose layers stay on the device of the layer before with a probability that is random too."""
    problem, rng = mapping_problem(instance), random.Random(seed)
    stay = rng.choice((0.3, 0.6, 0.9))
    place = [0] * problem.n
    order: list[list[int]] = [[] for _ in range(problem.m)]
    device = rng.randrange(problem.m)
    for i in topological_order(problem):
        if rng.random() > stay:
            device = rng.randrange(problem.m)
        place[i] = device
        order[device].append(i)
    return encode(problem, place, order)


def network(name: str, folder: Path) -> Path:
    """The file of a network with seeded weights."""
    path = folder / f"{name}.onnx"
    if name in BUILT:
        path.write_bytes(BUILT[name]().SerializeToString())
        return path
    return materialise(light_network_paths()[name], path)


def equal(name: str, folder: Path) -> Measured:
    """Random cuts on two and three devices after which the outputs are equal bit by bit, graph optimisations off.

    The note has the largest difference with optimisations, which do not cross cuts.
    """
    path = network(name, folder)
    model, _ = read_onnx(path, name=name)
    cuts, same, worst, parts, close = LARGE.get(name, CUTS), 0, 0.0, 0, True
    for seed in range(cuts):
        instance = Instance(models=(model,), platform=platform(2 + seed % 2))
        manifest = split(random_cut(instance, seed), instance, {name: path}, folder / "parts", overwrite=True)
        parts += len(manifest.segments)
        same += verify(folder / "parts", {name: path}, seed=seed).bitwise
        optimised = verify(folder / "parts", {name: path}, seed=seed, optimise=True)
        worst, close = max(worst, optimised.worst), close and optimised.equal
    note = (
        f"of {cuts} cuts into {parts} parts; optimised, outputs are {worst:.1e} of the largest number apart"
    )
    return Measured(same, "cuts", cuts, same == cuts and close, note)


def seconds(name: str, folder: Path) -> Measured:
    """Seconds of `dnnplan split` for ResNet-50 with weights, as a command or (``library``) as a call."""
    path = network("resnet50", folder)
    model, _ = read_onnx(path, name="resnet50")
    instance = Instance(models=(model,), platform=platform(3))
    plan = random_cut(instance, 2)
    write_instance(instance, folder / "instance.json")
    write_plan(plan, folder / "plan.json")
    target = folder / "parts"
    command = [sys.executable, "-m", "dnnplan", "split", str(folder / "plan.json"), "--output", str(target)]
    command += ["--instance", str(folder / "instance.json"), "--models", str(path)]

    def once() -> float:
        shutil.rmtree(target, ignore_errors=True)
        began = time.perf_counter()
        if name == "library":
            split(plan, instance, {"resnet50": path}, target)
        else:
            subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began

    once()
    used = cpu_seconds()
    samples = sorted(once() for _ in range(REPEATS))
    middle, busy = statistics.median(samples), (cpu_seconds() - used) / REPEATS
    size, files = path.stat().st_size, len(list(target.glob("*.onnx")))
    note = f"median of {REPEATS}, {samples[0]:.2f} to {samples[-1]:.2f}, {busy:.2f} s of processor each"
    note += f"; {size / 1e6:.0f} MB into {files} parts"
    return Measured(middle, "s", SPLIT_SECONDS, middle <= SPLIT_SECONDS, note + "; without --verify")


def cpu_seconds() -> float:
    """Processor time of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


MEASUREMENTS: dict[str, Callable[[str, Path], Measured]] = {"equal": equal, "split": seconds}
