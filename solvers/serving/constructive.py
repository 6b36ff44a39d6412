"""Plans made by rules: serial, take all, and shortest remaining work in batches."""

from __future__ import annotations

from typing import Any

from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.formulations.serving.shares import rest_after, shares_of
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.dispatch import Batch, Rule, Waiting, dispatch

ABLE = Capabilities(problem="serving", objectives=OBJECTIVES)


class Fifo:
    """One sample at a time, in order of arrival, through all of its stages. O(n log n)."""

    summary = "serial: one sample at a time, in order of arrival"
    capabilities = ABLE

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """One plan."""
        propose_rule(problem, search, first_come)


class Greedy:
    """All that wait go on together, those that are furthest first: no preemption, batches shrink at exits.

    Take-all batching: a device that is free takes everything that waits, at most a full batch, the oldest first.
    O(n log n) for bounded queues.
    """

    summary = "take all that waits, the stage that is furthest first"
    capabilities = ABLE

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """One plan."""
        propose_rule(problem, search, take_all)


class SrptBatches:
    """Shortest remaining work first, with as many others at the same stage as fit.

    The rule of Schrage (1968), on the shares of full batches, preemption at exits only; for deadlines the earliest one
    first, and samples that cannot meet theirs any more last.
    """

    summary = (
        "shortest remaining work (late: earliest deadline that can be met) first, with others at its stage"
    )
    capabilities = ABLE

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """One plan."""
        propose_rule(problem, search, urgency_rule(problem))


def propose_rule(problem: OfflineServing, search: TaskSearch[Any], rule: Rule) -> None:
    """Propose the plan of a rule."""
    batches = dispatch(problem, rule, search.finished)
    if batches is not None:
        search.propose(batches)


def propose_simple(problem: OfflineServing, search: TaskSearch[Any]) -> None:
    """Propose the plans of all rules."""
    for rule in (take_all, urgency_rule(problem), first_come):
        if search.best is None or not search.finished():
            propose_rule(problem, search, rule)


def first_come(waiting: Waiting, device: int, time: float) -> Batch | None:
    """The oldest sample alone."""
    j, q = min((waiting.at[q][0], q) for q in _stages(waiting, device))
    return q, (j,)


def take_all(waiting: Waiting, device: int, time: float) -> Batch | None:
    """The stage with most stages before it, and of these the one with the oldest sample: all that wait there."""
    problem = waiting.problem

    def key(q: int) -> tuple[int, int]:
        before = q - int(problem.serving.first[problem.serving.model[q]])
        return -before, waiting.at[q][0]

    q = min(_stages(waiting, device), key=key)
    return q, tuple(sorted(waiting.at[q])[: problem.serving.max_batch])


def urgency_rule(problem: OfflineServing) -> Rule:
    """The most urgent sample, and the next ones at its stage."""
    shares = shares_of(problem.serving.latency)
    rest = rest_after(problem, shares.share).tolist()
    alone = rest_after(problem, shares.least).tolist()
    first, weight, deadline = problem.first.tolist(), problem.weight.tolist(), problem.deadline.tolist()
    late = problem.name == "late"

    def urgency(j: int, q: int, time: float) -> tuple[bool, float, int]:
        p = q - first[j]
        if weight[j] == 0.0:
            return True, 0.0, j
        if late:
            return time + alone[j][p] > deadline[j], deadline[j], j
        return False, rest[j][p] / weight[j], j

    def rule(waiting: Waiting, device: int, time: float) -> Batch | None:
        _, q = min((min(urgency(j, q, time) for j in waiting.at[q]), q) for q in _stages(waiting, device))
        ranked = sorted(waiting.at[q], key=lambda j: urgency(j, q, time))
        return q, tuple(ranked[: problem.serving.max_batch])

    return rule


def _stages(waiting: Waiting, device: int) -> list[int]:
    return [q for q in waiting.stages_of[device] if waiting.at[q]]
