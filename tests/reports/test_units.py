"""Numbers as people read them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from dnnplan.reports.units import nice_ticks, number, percent, readable


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.009556, "s", "9.556 ms"),
        (1.5e-7, "s", "150 ns"),
        (12.0, "s", "12 s"),
        (0.99999, "s", "1 s"),
        (0.0, "s", "0 s"),
        (999_999, "bytes", "1 MB"),
        (12, "bytes", "12 B"),
        (7.7e9, "FLOP", "7.7 GFLOP"),
        (0.0687, "J", "68.7 mJ"),
        (3.25, None, "3.25"),
        (-0.002, "s", "-2 ms"),
        (None, "s", "-"),
        (math.inf, "s", "inf s"),
    ],
)
def test_readable(value, unit, text):
    assert readable(value, unit) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (1.0, "100 %"), (0.12345, "12.35 %"), (1e-6, "< 0.01 %"), (None, "-")]
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize("latest", [1e-9, 0.0096, 0.7, 1.0, 33.2, 1e6])
@pytest.mark.parametrize("most", [1, 4, 9])
def test_ticks_start_at_zero_are_even_and_few(latest, most):
    ticks = nice_ticks(latest, most)
    assert ticks[0] == 0.0
    assert 1 <= len(ticks) <= most + 1
    assert ticks[-1] <= latest * (1 + 1e-9)
    gaps = {round((b - a) / latest, 9) for a, b in pairwise(ticks)}
    assert len(gaps) <= 1


def test_number_keeps_four_digits():
    assert [number(x) for x in (1234.5, 12.345, 0.5, 123456789.0)] == ["1234", "12.35", "0.5", "1.235e+08"]
