"""Batch rules: min-min, max-min, duplex, sufferage, and earliest time first."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.solvers.kernels.list_schedule import device_order, upward_ranks
from dnnplan.solvers.kernels.ready_list import (
    EARLIEST_END,
    EARLIEST_START,
    LATEST_END,
    SUFFERAGE,
    ready_list,
)
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import decode_list, fast, mean_times
from dnnplan.solvers.lists.peft import waiting_lists
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search


def batch_plan(problem: MappingProblem, rule: int) -> Decisions | None:
    """The plan of a rule; None if pinned weights leave some layer without room.

    Devices take layers one after the other, without insertion. Equal choices go to the higher static level (longest
    path of mean times to the end), then to the first layer. Colocation groups that are torn apart move to one device,
    and the layers are scheduled again in the same order.
    """
    arrays = problem.arrays
    topological = np.array(problem.topological, dtype=np.int64)
    level = fast(upward_ranks, problem)(
        arrays, topological, mean_times(problem), np.zeros(len(problem.tensors))
    )
    place, start, end, order = fast(ready_list, problem)(arrays, waiting_lists(problem), rule, level)
    if (place < 0).any():
        return None
    if problem.colocate:
        together = colocated(problem, place.copy())
        if (together != place).any():
            return decode_list(problem, arrays, order, forced=together)
    return decisions_of(problem, place.tolist(), device_order(place, start, end, order, problem.m))


def propose_rules(problem: MappingProblem, search: Search, rules: tuple[int, ...]) -> None:
    """Propose the plan of each rule."""
    for rule in rules:
        decisions = batch_plan(problem, rule)
        if decisions is not None:
            search.propose(decisions)


class MinMin:
    """Of all ready layers the one that can end first, on the device where it does.

    Ibarra, Kim (JACM 24(2), 1977), heuristic D; Braun et al. (JPDC 61(6), 2001), section 3.
    """

    summary = "min-min: of all ready layers the one that can end first (Ibarra and Kim 1977)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose what the rule makes."""
        propose_rules(problem, search, (EARLIEST_END,))


class MaxMin:
    """Of all ready layers the one whose earliest end is latest, on the device where it ends first.

    Ibarra, Kim (JACM 24(2), 1977), heuristic E; Braun et al. (JPDC 61(6), 2001), section 3.
    """

    summary = "max-min: of all ready layers the one whose earliest end is latest (Ibarra and Kim 1977)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose what the rule makes."""
        propose_rules(problem, search, (LATEST_END,))


class Duplex:
    """The better plan of min-min and max-min (Braun et al., JPDC 61(6), 2001, section 3)."""

    summary = "duplex: the better of min-min and max-min (Braun et al. 2001)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose what the rule makes."""
        propose_rules(problem, search, (EARLIEST_END, LATEST_END))


class Sufferage:
    """The ready layer that loses most if it does not get its best device.

    Maheswaran et al. (JPDC 59(2), 1999), section 4. A layer that only one device can run loses without limit.
    """

    summary = (
        "sufferage: the ready layer that would lose most on its second-best device (Maheswaran et al. 1999)"
    )
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose what the rule makes."""
        propose_rules(problem, search, (SUFFERAGE,))


class Etf:
    """Of all pairs of a ready layer and a device the one that can start first.

    Hwang, Chow, Anger, Lee (SIAM J. Comput. 18(2), 1989), section 3.
    """

    summary = "earliest time first: the ready layer and device that can start first (Hwang et al. 1989)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose what the rule makes."""
        propose_rules(problem, search, (EARLIEST_START,))
