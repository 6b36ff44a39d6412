"""Task sets of Antler: the best order of the published task graphs, with the same and with fresh inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case, Measurement
from benchmarks.data import data_folder
from dnnplan.instances.files import read_instance

SUMMARY = (
    "Antler's 18 task sets: exact orders against published totals, baselines, task graphs of equal variety"
)

FILE = "antler/antler_instances.json"
SECONDS = 5.0


def names() -> list[str]:
    """Task sets of the data folder, ``DATASET-METRIC``; none without data."""
    path = data_folder() / FILE
    if not path.is_file():
        return []
    sets = json.loads(path.read_text(encoding="utf-8"))["instances"]
    return [f"{one['dataset']}-{one['metric']}" for one in sets]


def cases() -> Iterator[Case | Measurement]:
    """Auto on every task set, with both inputs; then the baselines, and task graphs of equal variety."""
    for name in names():
        for suffix, options in (("", {}), ("-fresh", {"input": "fresh"})):
            yield Case(
                instance=name + suffix,
                build=partial(read_instance, data_folder() / FILE, select=name, **options),
                solver="auto",
                time_limit=SECONDS,
            )
    if names():
        yield Measurement(name="antler-seconds", module="benchmarks.task_measurements", seconds=60.0)
        yield Measurement(name="antler-ratios", module="benchmarks.task_measurements", seconds=60.0)
        yield Measurement(name="antler-equal-variety", module="benchmarks.task_measurements", seconds=600.0)


def references(instance: str) -> dict[str, float]:
    """The published total of a task set, in SI units, for as many tasks as it has."""
    name = instance.removesuffix("-fresh")
    extension = read_instance(data_folder() / FILE, select=name).extensions["antler"]
    factor = extension.get("published_factor", 1.0)
    published = extension["published"]
    return {"published": published["Antler"] / (factor if name.startswith("HHAR") else 1.0)}
