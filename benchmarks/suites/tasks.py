"""A device's day, and whether all exact solvers of grouping and ordering agree with trying everything."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement

SUMMARY = "ordering ten tasks, call to answer; agreement of exact solvers on small instances of each problem"

MODULE = "benchmarks.task_measurements"
COUNT = 504
"""Instances of each problem."""


def cases() -> Iterator[Measurement]:
    """The timing, then a count for each problem."""
    yield Measurement(name="ten-tasks", module=MODULE, seconds=30.0)
    for problem in ("ordering", "grouping", "selection", "joint"):
        yield Measurement(name=f"agreement:{problem}-{COUNT}", module=MODULE, seconds=1800.0)
