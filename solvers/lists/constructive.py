"""The simplest mappings: everything on one device, and every layer on its fastest device."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.routes import IntArray
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import decode_list, rank_order
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search


class SingleDevice:
    """All layers on one device, the best one; layers that cannot run there on their fastest device.

    The baseline of everyone who has not planned: O(m) evaluations.
    """

    summary = "everything on the one best device; what cannot run there on its fastest device"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose one plan for each device."""
        for device in range(problem.m):
            if search.finished():
                return
            search.propose(single_device(problem, device))


class ComputeFirst:
    """Each layer on the device that computes it fastest, whatever moving its tensors costs.

    The computation-prioritised mapping that the literature compares with (H2H, DAC 2022, step 1, without its
    enumeration). Layers start in the order of HEFT's ranks.
    """

    summary = "each layer on its fastest device: the baseline of the literature"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the one plan."""
        decisions = compute_first(problem)
        search.propose(decisions)


def compute_first(problem: MappingProblem) -> Decisions:
    """Each layer (each colocation group as a whole) on the device of least compute time."""
    place = np.array(
        [min(allowed, key=lambda d: (problem.duration[i, d], d)) for i, allowed in enumerate(problem.allowed)]
    )
    return ordered(problem, colocated(problem, place))


def single_device(problem: MappingProblem, device: int) -> Decisions:
    """Each layer on `device`, or on its fastest device where it cannot run there."""
    place = np.array(
        [
            device if device in allowed else min(allowed, key=lambda d: (problem.duration[i, d], d))
            for i, allowed in enumerate(problem.allowed)
        ]
    )
    return ordered(problem, colocated(problem, place))


def ordered(problem: MappingProblem, place: IntArray) -> Decisions:
    """The plan of a placement whose layers start in the order of a list schedule by upward rank."""
    arrays = problem.arrays._replace(room=np.full(problem.m, np.inf))
    order = rank_order(problem, arrays)
    decisions = decode_list(problem, arrays, order, forced=place.astype(np.int64))
    if decisions is not None:
        return decisions
    # Some pair of devices has no route: keep the placement, it will be judged as it is.
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    for i in order.tolist():
        rows[place[i]].append(i)
    return decisions_of(problem, place.tolist(), rows)
