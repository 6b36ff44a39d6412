"""Flexible job shops: an outside check of the exact model, with the best known values of the literature."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import best_known, data_files
from dnnplan.instances.files import read_instance

SUMMARY = "flexible job shops of Kacem and Brandimarte: auto against best known values"

FOLDER = "sched/fjsp"
PATTERNS = {"sched/fjsp/kacem*.txt": 20.0, "sched/fjsp/mk*.txt": 120.0}
"""Seconds for auto."""


def cases() -> Iterator[Case]:
    """Auto on every instance of the data folder."""
    for pattern, seconds in PATTERNS.items():
        for path in data_files(pattern):
            yield Case(
                instance=path.stem, build=partial(read_instance, path), solver="auto", time_limit=seconds
            )


def references(instance: str) -> dict[str, float]:
    """Bounds that are known for an instance; equal ones are the optimum."""
    return best_known(f"fjsp/{instance}.txt")
