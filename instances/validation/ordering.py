"""Whether the section `ordering` means something."""

from __future__ import annotations

from collections.abc import Sequence

from dnnplan.instances.sections import Condition, Ordering
from dnnplan.instances.validation.cycles import report_cycle
from dnnplan.instances.validation.matrices import check_rows, check_square
from dnnplan.instances.validation.names import check_known
from dnnplan.instances.wording import Report, at, show


def ordering_problems(
    ordering: Ordering, tasks: Sequence[str], report: Report, *, first_format: bool = False
) -> None:
    """Check the section `ordering`.

    Parameters
    ----------
    first_format
        Whether the file is of format 1.0, which had no `slots` and promised nothing about gates: what such a file may
        leave open is refused by the problem that needs it.
    """
    if ordering.switch:
        check_square(ordering.switch, len(tasks), "ordering.switch", report)
    if check_rows(ordering.resources, len(tasks), "ordering.resources", report):
        _slot_problems(ordering, tasks, report, may_be_missing=first_format)
    _condition_problems(ordering.conditions, tasks, report)
    if not first_format:
        _gate_problems(ordering.conditions, report)


def _slot_problems(ordering: Ordering, tasks: Sequence[str], report: Report, *, may_be_missing: bool) -> None:
    """Check that the tools of each task fit in memory at once."""
    if not ordering.resources:
        return
    if ordering.slots is None:
        if not may_be_missing:
            report.add("ordering.slots", "missing, expected how many tools of ordering.resources fit at once")
        return
    for index, row in enumerate(ordering.resources):
        if sum(row) > ordering.slots:
            here = at("ordering.resources", index)
            report.add(
                here,
                f"task {show(tasks[index])} needs {sum(row)} tools, expected at most {ordering.slots} slots",
            )


def _condition_problems(conditions: Sequence[Condition], tasks: Sequence[str], report: Report) -> None:
    """Check that conditions are about tasks, stand once each, and do not depend on each other in a circle."""
    seen: set[tuple[str, str | None]] = set()
    successors: dict[str, list[str]] = {name: [] for name in tasks}
    for index, condition in enumerate(conditions):
        here, key = at("ordering.conditions", index), (condition.task, condition.given)
        known = check_known(condition.task, successors, "task", at(here, "task"), report)
        if condition.given is not None:
            known &= check_known(condition.given, successors, "task", at(here, "given"), report)
            if known:
                successors[condition.given].append(condition.task)
        if key in seen:
            report.add(here, f"a second condition on task {show(condition.task)} given the same task")
        seen.add(key)
    report_cycle(successors, "ordering.conditions", report)


def _gate_problems(conditions: Sequence[Condition], report: Report) -> None:
    """Check that all conditions behind one gate, which have one outcome together, state one probability."""
    gates: dict[str | None, int] = {}
    for index, condition in enumerate(conditions):
        if condition.model != "gated":
            continue
        first = gates.setdefault(condition.given, index)
        expected = conditions[first].probability
        if condition.probability != expected:
            here = at(at("ordering.conditions", index), "probability")
            report.add(
                here,
                f"{show(condition.probability)}, expected {show(expected)} as in condition {first}: "
                "gated conditions with the same `given` have one outcome",
            )
