"""Sums over trees: every compiled way gives the bits of plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs.predict import forests, walks


def preorder(rng, leaves):
    """(feature, value, distance to the right child) of a random tree."""
    if leaves == 1:
        return [(-1, rng.normal(), 0)]
    cut = int(rng.integers(1, leaves))
    left, right = preorder(rng, cut), preorder(rng, leaves - cut)
    # Thresholds are whole, so that rows meet them exactly.
    return [(int(rng.integers(5)), float(rng.integers(9)), len(left) + 1), *left, *right]


def forest(rng, leaves, scale=0.5):
    trees = [preorder(rng, count) for count in leaves]
    feature, value, right = zip(*(node for tree in trees for node in tree), strict=True)
    roots = np.cumsum([0, *map(len, trees[:-1])]).astype(np.int32)
    return forests.Forest(
        np.array(feature, dtype=np.int16),
        np.array(value, dtype=np.float32),
        np.array(right, dtype=np.int32),
        roots,
        scale,
    )


def by_hand(trees, row):
    total = 0.0
    for root in trees.roots:
        node = int(root)
        while trees.feature[node] >= 0:
            failed = not row[trees.feature[node]] <= trees.value[node]
            node += int(trees.right[node]) if failed else 1
        total += float(trees.value[node])
    return total * trees.scale


@pytest.mark.parametrize(
    ("leaves", "form"),
    [
        ([1], walks.SmallTrees),
        ([1, 2, 32, 7], walks.SmallTrees),
        ([32] * 20, walks.SmallTrees),
        ([33], walks.LargeTrees),
        ([1, 200, 33, 2], walks.LargeTrees),
    ],
)
def test_all_ways_give_the_same_bits(leaves, form, monkeypatch):
    rng = np.random.default_rng(len(leaves))
    trees = forest(rng, leaves)
    rows = rng.integers(-1, 10, (203, 5)).astype(float)
    rows[3:7, 2] = np.nan, np.inf, -np.inf, -0.0
    assert isinstance(trees._packed, form)
    monkeypatch.setattr(forests, "is_ready", lambda kernel: False)
    monkeypatch.setattr(forests, "COMPILE_FROM", np.inf)
    plain = trees.predict(rows)
    monkeypatch.setattr(forests, "COMPILE_FROM", 0)
    assert (trees.predict(rows) == plain).all()
    assert plain.tolist() == [by_hand(trees, row.astype(np.float32)) for row in rows]
    for count in (0, 1, 8, 64, 65):
        assert (trees.predict(rows[:count]) == plain[:count]).all()


def test_small_batches_do_not_compile_until_there_were_many(monkeypatch):
    trees = forest(np.random.default_rng(0), [5, 9])
    calls = []
    monkeypatch.setattr(forests, "is_ready", lambda kernel: False)
    monkeypatch.setattr(forests, "_plain", {"done": 0})
    monkeypatch.setattr(forests, "COMPILE_FROM", 100)
    monkeypatch.setattr(forests, "compiled", lambda kernel: lambda *arrays: calls.append(len(arrays[0])))
    for _ in range(5):
        trees.predict(np.zeros((12, 5)))
    assert calls == [12]
