"""Timings prepare what they say and take a median; how long anything takes is not tested."""

from __future__ import annotations

from itertools import count

import pytest

from benchmarks import timings
from benchmarks.timings import LEAST_RUNS, MEASUREMENTS, MOST_RUNS, Timing, measure

# The others take seconds to prepare; the suite `speed` runs them.
QUICK = ("import-dnnplan", "import-densenet121", "heft-1000x8")


def test_the_median_is_taken_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([100.0, 50.0, *(float(v) for v in range(1, 1000))])
    timing = Timing(what="counting", target=3.0, prepare=lambda: lambda: next(values), warm=2)
    monkeypatch.setitem(MEASUREMENTS, "counting", timing)
    monkeypatch.setattr(timings, "BUDGET_SECONDS", 0.0)
    assert LEAST_RUNS == 5
    assert measure("counting") == (3.0, "s", 3.0, True, "median of 5 runs, 1 to 5 s")


def test_the_number_of_runs_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    timing = Timing(what="x", target=None, prepare=lambda: lambda: float(next(numbers)), warm=0)
    monkeypatch.setitem(MEASUREMENTS, "x", timing)
    monkeypatch.setattr(timings, "BUDGET_SECONDS", float("inf"))
    measure("x")
    assert next(numbers) == MOST_RUNS


@pytest.mark.parametrize("name", QUICK)
def test_a_sample_is_a_time(name: str) -> None:
    sample = MEASUREMENTS[name].prepare()
    assert 0 < sample() < 600
