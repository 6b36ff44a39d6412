"""Whole plans: the loss of planning step by step, and how far joint plans are proven."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.joint_exact import LARGE, SMALL
from benchmarks.joint_measurements import MEMORY_SEEDS, SEEDS

SUMMARY = "task graph, order and mapping together: what deciding them one by one loses, and what is proven"
MODULE = "benchmarks.joint_measurements"


def cases() -> Iterator[Measurement]:
    """A measurement for each question."""
    for seed in SEEDS:
        yield Measurement(name=f"loss:{seed}", module=MODULE, seconds=70.0)
    for seed in MEMORY_SEEDS:
        yield Measurement(name=f"loss-memory:{seed}", module=MODULE, seconds=70.0)
    for name in (*SMALL, *LARGE):
        yield Measurement(name=f"exact:{name}", module=MODULE, seconds=70.0)
