"""Trees as four arrays, with our own predictor: no library is needed to load or to use them.

Nodes lie in preorder: the left child of node i is i + 1, the right one is i + right[i]. A row goes left where its
feature, in single precision, is at most the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.predict.tables import FloatArray
from dnnplan.costs.predict.walks import (
    TOGETHER,
    LargeTrees,
    SmallTrees,
    large_trees,
    plain_sums,
    small_trees,
    sum_large,
    sum_small,
)
from dnnplan.instances.errors import FormatError

MAX_NODES = 20_000_000
LEAF = -1
COMPILE_FROM = 1_000_000
"""Rows x trees in this process from which compiled code is worth the wait for it: a quarter of a second of numpy."""
_plain = {"done": 0}


@dataclass(frozen=True)
class Forest:
    """A sum of trees, times `scale`.

    Attributes
    ----------
    feature
        (nodes,) int16: the feature that is compared; -1: a leaf.
    value
        (nodes,) float32: threshold, or what a leaf adds.
    right
        (nodes,) int32: distance to the right child; 0 for a leaf.
    roots
        (trees,) int32: the first node of each tree.
    """

    feature: NDArray[np.int16]
    value: NDArray[np.float32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    scale: float

    def predict(self, features: FloatArray) -> FloatArray:
        """(n,) sums for (n, f) features."""
        rows = np.ascontiguousarray(features, dtype=np.float32)
        if np.isnan(rows).any():
            # Comparisons with it fail, as with what lies above every threshold.
            rows = np.nan_to_num(rows, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        small = isinstance(self._packed, SmallTrees)
        if not _pays(sum_small if small else sum_large, len(rows) * len(self.roots)):
            return plain_sums(rows, self.feature, self.value, self.right, self.roots) * self.scale
        count = len(rows)
        if not small:
            rows = np.concatenate([rows, np.zeros((-count % TOGETHER, rows.shape[1]), dtype=np.float32)])
        out, arrays = np.zeros(len(rows)), vars(self._packed).values()
        compiled(sum_small if small else sum_large)(rows, *arrays, out)
        return out[:count] * self.scale

    @cached_property
    def _packed(self) -> SmallTrees | LargeTrees:
        arrays = self.feature, self.value, self.right, self.roots
        return small_trees(*arrays) or large_trees(*arrays)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds."""
        return {
            "feature": self.feature,
            "value": self.value,
            "right": self.right,
            "roots": self.roots,
            "scale": np.array([self.scale]),
        }


def forest_from(arrays: Mapping[str, NDArray[Any]], features: int) -> Forest:
    """A forest from the arrays of a file, after it is certain that no walk leaves them or never ends.

    Raises
    ------
    FormatError
        An array is missing, of another type or size, or points outside.
    """
    types = {"feature": "int16", "value": "float32", "right": "int32", "roots": "int32", "scale": "float64"}
    for name, wanted in types.items():
        found = arrays.get(name)
        if found is None or found.ndim != 1 or found.dtype != np.dtype(wanted):
            raise FormatError(f"forest: array {name!r} is missing or not one row of {wanted}")
    feature, value, right, roots = (arrays[name] for name in ("feature", "value", "right", "roots"))
    nodes, at = len(feature), np.arange(len(feature))
    inner = feature != LEAF
    sound = (
        0 < nodes <= MAX_NODES
        and len(value) == len(right) == nodes
        and len(roots) > 0
        and len(arrays["scale"]) == 1
        and bool(np.isfinite(value).all() and np.isfinite(arrays["scale"]).all())
        and bool(((feature >= LEAF) & (feature < features)).all())
        and bool((right[inner] >= 2).all() and (at[inner] + right[inner] < nodes).all())
        and bool((right[~inner] == 0).all() and ((roots >= 0) & (roots < nodes)).all())
    )
    if not sound:
        raise FormatError(
            "forest: arrays of unequal length, numbers that are not finite, or links that lead outside"
        )
    return Forest(feature, value, right, roots, float(arrays["scale"][0]))


def _pays(kernel: Callable[..., Any], walks: int) -> bool:
    """Whether to take the compiled form: it is there, or plain numpy has taken as long as compilation would."""
    _plain["done"] += walks
    return is_ready(kernel) or _plain["done"] >= COMPILE_FROM


def from_sklearn(model: Any) -> Forest:
    """The trees of a fitted ExtraTreesRegressor or RandomForestRegressor: the mean over trees."""
    parts, start = [], 0
    for member in model.estimators_:
        tree = member.tree_
        leaf = tree.children_left == -1
        # scikit-learn stores nodes depth first, left before right, which is preorder.
        assert bool((tree.children_left[~leaf] == np.flatnonzero(~leaf) + 1).all())
        right = np.where(leaf, 0, tree.children_right - np.arange(len(leaf)))
        value = np.where(leaf, tree.value[:, 0, 0], _down(tree.threshold))
        parts.append((np.where(leaf, LEAF, tree.feature), value, right, start))
        start += len(leaf)
    return _joined(parts, 1.0 / len(parts))


def from_lightgbm(booster: Any) -> Forest:
    """The trees of a LightGBM booster without categories and missing values: the sum over trees."""
    parts, start = [], 0
    for tree in booster.dump_model()["tree_info"]:
        feature: list[int] = []
        value: list[float] = []
        right: list[int] = []

        def walk(
            node: dict[str, Any],
            feature: list[int] = feature,
            value: list[float] = value,
            right: list[int] = right,
        ) -> None:
            at = len(feature)
            right.append(0)
            if "leaf_value" in node:
                feature.append(LEAF)
                value.append(node["leaf_value"])
                return
            feature.append(node["split_feature"])
            value.append(float(_down(np.array([node["threshold"]]))[0]))
            walk(node["left_child"])
            right[at] = len(feature) - at
            walk(node["right_child"])

        walk(tree["tree_structure"])
        parts.append((np.array(feature), np.array(value), np.array(right), start))
        start += len(feature)
    return _joined(parts, 1.0)


def _down(threshold: FloatArray) -> FloatArray:
    """The largest single-precision numbers not above the thresholds: comparisons of such numbers stay the same."""
    single = np.clip(threshold, -3e38, 3e38).astype(np.float32)
    lower = np.nextafter(single, np.float32(-np.inf))
    return np.where(single > threshold, lower, single).astype(float)


def _joined(parts: list[tuple[Any, Any, Any, int]], scale: float) -> Forest:
    return Forest(
        np.concatenate([part[0] for part in parts]).astype(np.int16),
        np.concatenate([part[1] for part in parts]).astype(np.float32),
        np.concatenate([part[2] for part in parts]).astype(np.int32),
        np.array([part[3] for part in parts], dtype=np.int32),
        scale,
    )
