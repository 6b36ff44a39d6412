"""Whole trade-off curves of Antler's affinity tensors: size against variety, proven."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.data import data_folder

SUMMARY = "affinity tensors up to 10 tasks x 7 branch points: whole Pareto fronts"

FILE = "antler/affinity_tensors.json"
SECONDS = 20.0


def cases() -> Iterator[Measurement]:
    """A front for each tensor of the data folder."""
    path = data_folder() / FILE
    if path.is_file():
        for name in json.loads(path.read_text(encoding="utf-8")):
            yield Measurement(name=f"front:{name}", module="benchmarks.task_measurements", seconds=SECONDS)
