"""Layers that must share a device."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import IntArray


def colocated(problem: MappingProblem, place: IntArray) -> IntArray:
    """The placement with each colocation group on the device where all of it runs fastest.

    Groups that share layers are taken together.
    """
    for group in merged_groups(problem):
        layers = list(group)
        place[layers] = int(problem.duration[layers].sum(axis=0).argmin())
    return place


def merged_groups(problem: MappingProblem) -> list[tuple[int, ...]]:
    """The colocation groups, those with common layers merged, layers in order."""
    group_of = np.arange(problem.n)
    for group in problem.colocate:
        root = min(int(group_of[i]) for i in group)
        members = {int(group_of[i]) for i in group}
        group_of[np.isin(group_of, sorted(members))] = root
    roots = sorted({int(group_of[i]) for group in problem.colocate for i in group})
    return [tuple(np.flatnonzero(group_of == root).tolist()) for root in roots]
