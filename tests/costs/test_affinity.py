"""Affinity from activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.costs.sharing.affinity import affinity, dissimilarity
from dnnplan.instances import InputError


def samples(seed: int, count: int = 12, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


def test_a_worked_example() -> None:
    """Task a: distances 0, 2, 2 of samples 12, 13, 23; task b: 2, 0, 2; ranks 1, 2.5, 2.5 and 2.5, 1, 2.5."""
    a = np.array([[1.0, 2, 3], [2, 4, 6], [3, 2, 1]])
    b = np.array([[1.0, 2, 3], [3, 2, 1], [1, 2, 3]])
    assert dissimilarity(a).round(12).tolist() == [[0, 0, 2], [0, 0, 2], [2, 2, 0]]
    # Centred ranks (-1, 0.5, 0.5) and (0.5, -1, 0.5): product -0.75, squares 1.5 each.
    assert affinity([[a, b]])[0, 0, 1] == pytest.approx(-0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_symmetric_with_ones_and_blind_to_scale_shift_and_order_of_units(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = samples(seed), samples(seed + 1)
    found = affinity([[a, b]])[0]
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), [1, 1])
    scaled = a * rng.uniform(0.5, 3, (len(a), 1)) + rng.normal(size=(len(a), 1))
    shuffled = b[:, rng.permutation(b.shape[1])]
    assert affinity([[scaled, shuffled]])[0] == pytest.approx(found, abs=1e-9)
    order = rng.permutation(len(a))
    assert affinity([[a[order], b[order]]])[0] == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[samples(0, 2), samples(1, 2)]], "2 samples, expected 3 at least"),
        ([[samples(0), samples(1, 11)]], "11 samples, expected 12"),
        ([[samples(0), np.full((12, 6), np.nan)]], "task 1: sample 0 is not finite"),
        ([[samples(0), np.ones((12, 6))]], "sample 0 is constant"),
        ([[samples(0), np.eye(12)]], "equally far apart"),
        ([], "no activations"),
        ([[samples(0), samples(1)], [samples(0)]], "1 tasks, expected 2"),
    ],
)
def test_what_has_no_affinity_is_an_error_that_says_where(rows: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        affinity(rows)
