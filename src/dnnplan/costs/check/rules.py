"""The rules that `check` knows, by name. docs/check.md explains each of them with an example message."""

from __future__ import annotations

from math import isfinite

from dnnplan.instances import Violation

RULES: dict[str, str] = {
    "instance": "the plan was made for this instance (its hash)",
    "number": "not_before and times are finite and not negative; calls do not end before they start",
    "unknown": "every layer, device, call, tensor, weight and transfer named in the plan exists",
    "placement": "every layer of every job is placed",
    "device": "the device of a layer can run it (tables, operators, rules of the layer, peak rate)",
    "colocate": "the layers of a colocate group are on one device, job by job",
    "calls": "calls partition the layers; the layers of a call are of one job and on one device",
    "order": "every call is listed once, in the order of its own device",
    "pinned": "weights are pinned once, where their layers run, and as execution.weights says",
    "kept": "a tensor is kept once, and only on a device that reads it",
    "route": "there is a route for every tensor and weight that has to move",
    "transfer_order": "a channel's order lists each of its transfers once, and no other",
    "deadlock": "calls, tensors, orders and precedences form no cycle",
    "memory_static": "pinned weights fit their device's share of its memory, and the memory",
    "memory_live": "pinned weights and everything resident fit each memory at every moment",
    "limit": "every limit of the instance holds",
    "times": "stored times are those that the decisions give",
    "times_release": "stored times: no call starts before its release or its not_before",
    "times_precedence": "stored times: no call starts before the tasks that precede it have ended",
    "times_input": "stored times: no call starts before its inputs can be there",
    "times_device": "stored times: a device runs no more calls at once than it has slots, in its order",
    "cost": "the stated cost is the cost of the decisions",
    "groups": "at every branch point each task is in one group; groups are those of what the plan orders or chooses",
    "refinement": "tasks that have parted at a branch point stay apart",
    "candidates": "no candidate is chosen twice",
    "served": "every task finds a chosen candidate that serves it",
    "task_order": "every task is listed once",
    "precedence": "a task runs after those that precede it",
    "step": "a task follows one that it may follow",
    "batch": "a batch of serving has 1 to max_batch samples",
    "sample": "every sample runs each stage that it needs once, and no other",
    "sample_order": "a sample runs its stages in order",
    "batch_start": "no stored start of a batch is before its samples have come and ended the stage before",
    "batch_overlap": "no stored start of a batch is before its device has ended the batch in front of it",
    "measure": "stated measures are those of the decisions",
    "objective": "the stated objective value is that of the decisions",
}

TIME_TOLERANCE = 1e-6
"""Relative tolerance of limits and stored times (docs/cost-model.md, 6)."""
FIGURE_TOLERANCE = 1e-9
"""Relative tolerance of stated costs."""
ABSOLUTE_TOLERANCE = 1e-12


class Findings(list[Violation]):
    """The violations found so far."""

    def report(
        self, rule: str, where: str, message: str, amount: float | None = None, unit: str | None = None
    ) -> None:
        """Add one violation of `rule` at `where`."""
        self.append(Violation(rule=rule, where=where, message=message, amount=amount, unit=unit))

    def breaks(self, *rules: str) -> bool:
        """Whether one of `rules` has been broken."""
        return any(violation.rule in rules for violation in self)


def exceeds(value: float, bound: float, relative: float = TIME_TOLERANCE) -> bool:
    """Whether `value` is above `bound` by more than the tolerance (NaN is)."""
    return not value <= bound + relative * abs(bound) + ABSOLUTE_TOLERANCE


def differs(value: float, other: float, relative: float) -> bool:
    """Whether two numbers differ by more than the tolerance (NaN and infinity differ from everything)."""
    if not (isfinite(value) and isfinite(other)):
        return True
    return abs(value - other) > relative * max(abs(value), abs(other)) + ABSOLUTE_TOLERANCE
