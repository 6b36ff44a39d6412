"""Instances on which one rule is worst against another, found by `benchmarks.adversary`: both, and the optimum."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.adversary import about, kept_paths
from benchmarks.case import Case
from dnnplan.instances.files import read_instance

SUMMARY = "small instances on which one list schedule is worst against another or against the optimum"
SECONDS = 5.0


def cases() -> Iterator[Case]:
    """Three solvers an instance; the third, CP-SAT, proves what would have been best."""
    for path in kept_paths():
        found = about(path)
        for solver in dict.fromkeys((str(found["solver"]), str(found["against"]), "cpsat")):
            yield Case(
                instance=path.stem, build=partial(read_instance, path), solver=solver, time_limit=SECONDS
            )
