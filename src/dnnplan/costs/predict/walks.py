"""Sums of the leaves that rows reach in trees, by three ways that give the same bits.

Small trees: one bit a leaf. Each comparison that fails clears the leaves to its left for 64 rows at a time, and the
first bit that is left is the leaf (QuickScorer: Lucchese et al., SIGIR 2015); no jumps, so processors do it with
vectors. Large trees: eight rows walk at once, so that their reads overlap. Both are compiled. Plain numpy walks all
rows through all trees, for small batches until it is certain that compilation pays.

Rows are in single precision without NaN. Trees are those of `dnnplan.costs.predict.forests.Forest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 32
"""Leaves of a small tree."""
BLOCK = 64
"""Rows whose bits are cleared together."""
WALKED = 2048
"""Rows that walk a large tree before the next tree comes into the cache; a multiple of `TOGETHER`."""
TOGETHER = 8
DE_BRUIJN = 0x077CB531
"""Times a power of two, its five highest bits tell which: a sequence of de Bruijn."""

Array = NDArray[Any]


@dataclass(frozen=True)
class SmallTrees:
    """Comparisons and leaves of trees of at most `BITS` leaves.

    Attributes
    ----------
    feature, threshold, mask
        (inner nodes,): what is compared, and the leaves that are left where the comparison fails.
    first
        (trees + 1,): the first inner node of each tree.
    leaf
        (trees, BITS): values, each at the place that `DE_BRUIJN` gives its bit.
    """

    feature: Array
    threshold: Array
    mask: Array
    first: Array
    leaf: Array


@dataclass(frozen=True)
class LargeTrees:
    """Trees level by level, so that siblings are neighbours.

    Attributes
    ----------
    feature, threshold, left
        (nodes,): the right child is left + 1. A leaf compares with infinity and is its own left child.
    value
        (nodes,) of leaves.
    root, depth
        (trees,).
    """

    feature: Array
    threshold: Array
    left: Array
    value: Array
    root: Array
    depth: Array


def small_trees(feature: Array, value: Array, right: Array, roots: Array) -> SmallTrees | None:
    """Trees in preorder as masks; None where a tree has more than `BITS` leaves."""
    leaf = feature < 0
    inner = np.flatnonzero(~leaf)
    tree = np.searchsorted(roots, np.arange(len(feature)), side="right") - 1
    before: Array = np.cumsum(leaf) - leaf
    number: Array = before - before[roots][tree]
    if number.max() >= BITS:
        return None
    # Left of node i are the leaves from its first to that before the first of its right child.
    begin, end = number[inner + 1], number[inner + right[inner]]
    cleared = (np.uint64(1) << end.astype(np.uint64)) - (np.uint64(1) << begin.astype(np.uint64))
    mask = (~cleared & np.uint64(2**BITS - 1)).astype(np.uint32).view(np.int32)
    table = np.zeros((len(roots), BITS), dtype=np.float32)
    place = ((DE_BRUIJN << np.arange(BITS, dtype=np.uint64)) & np.uint64(2**BITS - 1)) >> np.uint64(27)
    table[tree[leaf], place[number[leaf]]] = value[leaf]
    first = np.searchsorted(inner, np.append(roots, len(feature)))
    return SmallTrees(feature[inner].astype(np.int64), value[inner], mask, first, table)


def large_trees(feature: Array, value: Array, right: Array, roots: Array) -> LargeTrees:
    """Trees in preorder, level by level."""
    level, order, depth = roots.astype(np.int64), [], np.zeros(len(roots), dtype=np.int64)
    tree, left = np.arange(len(roots)), np.zeros(len(feature), dtype=np.int64)
    trees, parents = [], []
    while len(level):
        order.append(level)
        trees.append(tree)
        inner = feature[level] >= 0
        parents.append(level[inner])
        depth[tree[inner]] += 1
        tree = np.repeat(tree[inner], 2)
        level = np.column_stack([level[inner] + 1, level[inner] + right[level[inner]]]).ravel()
    old = np.concatenate(order)[np.argsort(np.concatenate(trees), kind="stable")]
    new = np.empty(len(feature), dtype=np.int64)
    new[old] = np.arange(len(old))
    left = new.copy()
    above = np.concatenate(parents)
    left[above] = new[above + 1]
    is_leaf = feature < 0
    return LargeTrees(
        np.where(is_leaf, 0, feature)[old].astype(np.uint32),
        np.where(is_leaf, np.inf, value)[old].astype(np.float32),
        left[old].astype(np.uint32),
        value[old],
        new[roots].astype(np.uint32),
        depth,
    )


def plain_sums(rows: Array, feature: Array, value: Array, right: Array, roots: Array) -> Array:
    """(n,) sums over trees in preorder, all rows in all trees one step at a time."""
    at, row = np.tile(roots.astype(np.int64), (len(rows), 1)), np.arange(len(rows))[:, None]
    while True:
        compared = feature[at]
        inner = compared >= 0
        if not inner.any():
            # A running sum adds in the order of the trees, as the compiled ways do.
            out: Array = value[at].astype(float).cumsum(axis=1)[:, -1]
            return out
        step = np.where(rows[row, compared] <= value[at], 1, right[at])
        at += np.where(inner, step, 0)


def sum_small(
    rows: Array, feature: Array, threshold: Array, mask: Array, first: Array, leaf: Array, out: Array
) -> None:
    """Add to (n,) `out` the leaves of rows in `SmallTrees`; compiled."""
    block, bits = np.zeros((rows.shape[1], BLOCK), dtype=np.float32), np.empty(BLOCK, dtype=np.int32)
    for begin in range(0, len(rows), BLOCK):
        count = min(BLOCK, len(rows) - begin)
        for i in range(count):
            for j in range(rows.shape[1]):
                block[j, i] = rows[begin + i, j]
        for tree in range(len(leaf)):
            bits[:] = -1
            for node in range(first[tree], first[tree + 1]):
                column, limit, left = block[feature[node]], threshold[node], mask[node]
                for i in range(BLOCK):
                    bits[i] &= np.int32(-1) if column[i] <= limit else left
            for i in range(count):
                lowest = np.uint32(bits[i]) & (~np.uint32(bits[i]) + np.uint32(1))
                out[begin + i] += leaf[tree, np.uint32(lowest * np.uint32(DE_BRUIJN)) >> np.uint32(27)]


def sum_large(
    rows: Array,
    feature: Array,
    threshold: Array,
    left: Array,
    value: Array,
    root: Array,
    depth: Array,
    out: Array,
) -> None:
    """Add to (n,) `out` the leaves of rows in `LargeTrees`; n is a multiple of `TOGETHER`; compiled."""
    for begin in range(0, len(rows), WALKED):
        end = min(begin + WALKED, len(rows))
        for tree in range(len(root)):
            for i in range(begin, end, TOGETHER):
                r0, r1, r2, r3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
                r4, r5, r6, r7 = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = root[tree]
                for _ in range(depth[tree]):
                    a0 = left[a0] + np.uint32(r0[feature[a0]] > threshold[a0])
                    a1 = left[a1] + np.uint32(r1[feature[a1]] > threshold[a1])
                    a2 = left[a2] + np.uint32(r2[feature[a2]] > threshold[a2])
                    a3 = left[a3] + np.uint32(r3[feature[a3]] > threshold[a3])
                    a4 = left[a4] + np.uint32(r4[feature[a4]] > threshold[a4])
                    a5 = left[a5] + np.uint32(r5[feature[a5]] > threshold[a5])
                    a6 = left[a6] + np.uint32(r6[feature[a6]] > threshold[a6])
                    a7 = left[a7] + np.uint32(r7[feature[a7]] > threshold[a7])
                out[i] += value[a0]
                out[i + 1] += value[a1]
                out[i + 2] += value[a2]
                out[i + 3] += value[a3]
                out[i + 4] += value[a4]
                out[i + 5] += value[a5]
                out[i + 6] += value[a6]
                out[i + 7] += value[a7]
