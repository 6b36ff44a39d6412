"""Conditional tasks on sequential ordering problems, with the conditions of Antler's authors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.case import Case
from benchmarks.data import data_folder
from dnnplan.instances import Instance
from dnnplan.instances.conditions import with_conditions
from dnnplan.instances.files import read_instance
from dnnplan.instances.sections import Condition

SUMMARY = "ESC07, ESC11, ESC12 and br17.10 with conditional tasks: exact expectations"

CONDITIONS = (("1", "2", 0.5), ("1", "4", 0.2), ("3", "6", 0.2))
"""(given, task, probability), as in the authors' experiments; nodes from 0."""
SECONDS = 60.0
EXPECTED = {"ESC07": 982.0, "ESC11": 1961.4, "ESC12": 1398.4}


def cases() -> Iterator[Case]:
    """Auto on every instance that is there."""
    for name in (*EXPECTED, "br17.10"):
        path = data_folder() / "sop" / "tsplib" / f"{name}.sop"
        if path.is_file():
            yield Case(instance=name, build=partial(build, path), solver="auto", time_limit=SECONDS)


def build(path: Path) -> Instance:
    """The instance with its conditions."""
    conditions = [Condition(given=given, task=task, probability=p) for given, task, p in CONDITIONS]
    return with_conditions(read_instance(path), conditions)


def references(instance: str) -> dict[str, float]:
    """Least expected cost, recomputed by others."""
    return {"expected": EXPECTED[instance]} if instance in EXPECTED else {}
