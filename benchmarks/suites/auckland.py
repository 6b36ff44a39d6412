"""Task graphs on identical processors with communication, whose optima are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import data_files, data_folder
from dnnplan.instances.files import read_instance

SUMMARY = "Auckland task graphs of 10 to 30 tasks on 2 to 16 processors: auto against proven optima"

FOLDER = "sched/auckland"
SECONDS = 10.0


def cases() -> Iterator[Case]:
    """Auto on every instance of the data folder."""
    for path in data_files(f"{FOLDER}/*.json"):
        yield Case(instance=path.stem, build=partial(read_instance, path), solver="auto", time_limit=SECONDS)


def references(instance: str) -> dict[str, float]:
    """The proven optimum."""
    path = data_folder() / FOLDER / f"{instance}.json"
    if not path.is_file():
        return {}
    return {"optimum": float(json.loads(path.read_text(encoding="utf-8"))["optimum"])}
