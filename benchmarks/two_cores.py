"""Networks on two cores of this machine: planned, split, run, calibrated, planned again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnnplan.deploy.calibrate import Calibration, gather
from dnnplan.deploy.run import Folder, Seat, open_folder, seats
from dnnplan.deploy.run.priority import ahead_of_others
from dnnplan.deploy.split import split
from dnnplan.instances import Device, InfeasibleError, Instance, Link, Plan, Platform
from dnnplan.instances.catalogue import combine
from dnnplan.instances.formats.onnx import light_network_paths, materialise, read_onnx
from dnnplan.instances.platform import Execution
from dnnplan.solvers import solve

ASSUMED_FLOPS = 1e11
"""FLOP/s of a core before anything is measured."""
BANDWIDTH, COPY_OVERHEAD = 5e9, 20e-6
"""Bytes/s and seconds of handing a tensor to the other core, before anything is measured."""
DEVICES = ("core-a", "core-b")


@dataclass(frozen=True)
class Planned:
    """A plan split into a folder.

    Attributes
    ----------
    folder
        Open.
    places
        Cores of each device.
    """

    instance: Instance
    plan: Plan
    folder: Folder
    places: Mapping[str, Seat]

    @property
    def predicted(self) -> float:
        """Latency by the cost model, seconds."""
        return float(self.folder.manifest.predicted.latency)


def materialised(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Light networks with seeded weights, as files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.onnx" for name in names}
    for name, path in files.items():
        if not path.is_file():
            materialise(light_network_paths()[name], path)
    return files


def assumed_instance(files: Mapping[str, Path], devices: Sequence[str] = DEVICES) -> Instance:
    """All networks on cores of a rate that is assumed."""
    models = [read_onnx(path, name=name)[0] for name, path in files.items()]
    cores = tuple(Device(name=name, kind="cpu", peak_flops={"*": ASSUMED_FLOPS}) for name in devices)
    links = tuple(
        Link(name="memory", source=a, target=b, bandwidth=BANDWIDTH, latency=COPY_OVERHEAD)
        for a, b in itertools.pairwise(devices)
    )
    platform = Platform(name="cores", devices=cores, links=links, execution=Execution(overlap=False))
    return combine(models, platform, name="+".join(files))


def planned(instance: Instance, files: Mapping[str, Path], folder: Path, *, seconds: float) -> Planned:
    """Plan, and split into a folder."""
    result = solve(instance, "auto", time_limit=seconds, workers=1)
    if result.plan is None:
        raise InfeasibleError(result.message or "no plan")
    return written(instance, result.plan, files, folder)


def written(instance: Instance, plan: Plan, files: Mapping[str, Path], folder: Path) -> Planned:
    """Split a plan into a folder; what an earlier run left there is replaced."""
    split(plan, instance, files, folder, overwrite=True)
    opened = open_folder(folder)
    return Planned(instance, plan, opened, seats(opened.manifest.devices))


def calibrated(
    before: Planned, files: Mapping[str, Path], folder: Path, *, seconds: float, solving: float
) -> tuple[Calibration, Planned]:
    """Calibrate with the runs of a plan, plan again and split that."""
    with ahead_of_others(required=False):
        gathered = gather(before.folder.path, models=files, seconds=seconds)
    found = gathered.planned_again(time_limit=solving)
    assert found.plan is not None
    return found, written(found.instance, found.plan, files, folder)
