"""Task graphs on unrelated machines: examples of the literature, and graphs of applications."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import best_known, data_files
from dnnplan.instances.files import read_instance

SUMMARY = (
    "heterogeneous task graphs: the examples of papers, and applications of 76 to 334 tasks on 8 machines"
)

FOLDER = "sched/hetero_dag"
PATTERNS = {"sched/hetero_dag/*.txt": 10.0, "sched/hetero_dag_apps/*.dag": 60.0}
"""Seconds for auto."""
HEURISTIC_SECONDS = 10.0


def cases() -> Iterator[Case]:
    """Run heft and auto on every instance of the data folder."""
    for pattern, seconds in PATTERNS.items():
        for path in data_files(pattern):
            for solver, limit in (("heft", HEURISTIC_SECONDS), ("auto", seconds)):
                yield Case(
                    instance=path.stem, build=partial(read_instance, path), solver=solver, time_limit=limit
                )


def references(instance: str) -> dict[str, float]:
    """Bounds that are known for an instance; equal ones are the optimum."""
    return best_known(f"hetero_dag/{instance}.txt") or best_known(f"hetero_dag_apps/{instance}.dag")
