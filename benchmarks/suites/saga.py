"""Task graphs on related machines, against the best of all schedulers of SAGA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case, Measurement
from benchmarks.data import data_files, data_folder
from dnnplan.instances.files import read_instance

SUMMARY = "SAGA task graphs of 50 to 1,000 tasks on 4 and 8 related machines: heft and auto"

FOLDER = "saga_instances"
SECONDS, HEURISTIC_SECONDS = 60.0, 10.0


def cases() -> Iterator[Case | Measurement]:
    """Heft timed at 1,000 tasks; heft and auto on every instance of the data folder."""
    for path in data_files(f"{FOLDER}/*_n1000_*.json"):
        yield Measurement(name=f"heft-{path.stem}", module="benchmarks.saga_speed")
    for path in data_files(f"{FOLDER}/*.json"):
        for solver, seconds in (("heft", HEURISTIC_SECONDS), ("auto", SECONDS)):
            yield Case(
                instance=path.stem, build=partial(read_instance, path), solver=solver, time_limit=seconds
            )


def references(instance: str) -> dict[str, float]:
    """Makespans that are recorded for SAGA's schedulers, and ``best``, the best of them over all hash seeds."""
    path = data_folder() / FOLDER / f"{instance}.json"
    if not path.is_file():
        return {}
    tree = json.loads(path.read_text(encoding="utf-8"))
    runs = [
        (name, run["makespan"])
        for name, run in tree["results"].items()
        if run["makespan"] is not None and run["status"] == "valid"
    ]
    runs += [
        run for seed in tree["hashseed_makespans"].values() for run in seed.items() if run[1] is not None
    ]
    found: dict[str, float] = {}
    for name, makespan in runs:
        found[name] = min(float(makespan), found.get(name, float("inf")))
    return {**found, "best": min(found.values())} if found else {}


def recorded_seconds(instance: str, scheduler: str) -> float | None:
    """Wall time that is recorded for one of SAGA's schedulers."""
    path = data_folder() / FOLDER / f"{instance}.json"
    run = json.loads(path.read_text(encoding="utf-8"))["results"].get(scheduler, {})
    seconds = run.get("time_s")
    return None if seconds is None else float(seconds)
