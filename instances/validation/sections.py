"""Whether tasks and the sections of ordering, grouping and serving mean something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Arrivals, Ordering, Sharing, Workload
from dnnplan.instances.validation.cycles import find_cycle
from dnnplan.instances.validation.models import block_problems
from dnnplan.instances.validation.names import Names, check_known, check_unique
from dnnplan.instances.wording import Report, at, show

_ROUNDING = 1e-9


def task_problems(instance: Instance, names: Names, report: Report) -> None:
    """Check tasks and the precedences between them."""
    check_unique((task.name for task in instance.tasks), "task", "tasks", report)
    # Ordering and grouping can do with tasks alone; then the models are only names.
    only_names = not instance.models and (instance.ordering is not None or instance.sharing is not None)
    for index, task in enumerate(instance.tasks):
        here = at("tasks", index)
        if not only_names and check_known(task.model, names.models, "model", at(here, "model"), report):
            block_problems(names.models[task.model], task.blocks, at(here, "blocks"), report)
    successors: dict[str, list[str]] = {name: [] for name in names.tasks}
    seen: set[tuple[str, str]] = set()
    for index, precedence in enumerate(instance.precedences):
        here, before, after = at("precedences", index), precedence.before, precedence.after
        known = check_known(before, successors, "task", at(here, "before"), report)
        known &= check_known(after, successors, "task", at(here, "after"), report)
        if before == after:
            report.add(here, f"{show(before)} before itself, expected two tasks")
        elif (before, after) in seen:
            report.add(here, f"{show(before)} before {show(after)} is listed twice")
        elif known:
            successors[before].append(after)
        seen.add((before, after))
    _report_cycle(successors, "precedences", report)


def _report_cycle(successors: dict[str, list[str]], path: str, report: Report) -> None:
    cycle = find_cycle(successors)
    if cycle:
        shown = " -> ".join(
            show(name) for name in [*cycle[:8], *(["..."] if len(cycle) > 8 else []), cycle[0]]
        )
        report.add(path, f"cycle {shown}, expected an acyclic order")


def ordering_problems(ordering: Ordering, tasks: Sequence[str], report: Report) -> None:
    """Check the section `ordering`."""
    if ordering.switch:
        _check_square(ordering.switch, len(tasks), "ordering.switch", report)
    _check_rows(ordering.resources, len(tasks), "ordering.resources", report)
    seen: set[tuple[str, str | None]] = set()
    successors: dict[str, list[str]] = {name: [] for name in tasks}
    for index, condition in enumerate(ordering.conditions):
        here, key = at("ordering.conditions", index), (condition.task, condition.given)
        known = check_known(condition.task, successors, "task", at(here, "task"), report)
        if condition.given is not None:
            known &= check_known(condition.given, successors, "task", at(here, "given"), report)
            if known:
                successors[condition.given].append(condition.task)
        if key in seen:
            report.add(here, f"a second condition on task {show(condition.task)} given the same task")
        seen.add(key)
    _report_cycle(successors, "ordering.conditions", report)


def _check_rows(matrix: Sequence[Sequence[Any]], rows: int, path: str, report: Report) -> None:
    """Check that a matrix, if it is given, has one row for each task and rows of equal length."""
    if not matrix:
        return
    if len(matrix) != rows:
        report.add(path, f"{len(matrix)} rows, expected {rows}: one for each task")
    width = len(matrix[0])
    for index, row in enumerate(matrix):
        if len(row) != width:
            report.add(at(path, index), f"{len(row)} entries, expected {width} as in the first row")


def _check_square(matrix: Sequence[Sequence[Any]], size: int, path: str, report: Report) -> None:
    if len(matrix) != size:
        report.add(path, f"{len(matrix)} rows, expected {size}: one for each task")
    for index, row in enumerate(matrix):
        if len(row) != size:
            report.add(at(path, index), f"{len(row)} entries, expected {size}: one for each task")


def sharing_problems(sharing: Sharing, tasks: Sequence[str], report: Report) -> None:
    """Check the section `sharing`."""
    if len(set(sharing.branch_points)) != len(sharing.branch_points):
        report.add("sharing.branch_points", "a branch point is listed twice")
    points = len(sharing.branch_points)
    if sharing.affinity and len(sharing.affinity) != points:
        message = f"{len(sharing.affinity)} matrices, expected {points}: one for each branch point"
        report.add("sharing.affinity", message)
    for index, matrix in enumerate(sharing.affinity):
        _check_square(matrix, len(tasks), at("sharing.affinity", index), report)
    known = set(tasks)
    for index, block in enumerate(sharing.blocks):
        for name in block.tasks:
            check_known(name, known, "task", at(at(at("sharing.blocks", index), "tasks"), name), report)
    for index, candidate in enumerate(sharing.candidates):
        here = at("sharing.candidates", index)
        if not candidate.tasks:
            report.add(at(here, "tasks"), "empty, expected at least one task")
        for place, name in enumerate(candidate.tasks):
            check_known(name, known, "task", at(at(here, "tasks"), place), report)
        if len(set(candidate.tasks)) != len(candidate.tasks):
            report.add(at(here, "tasks"), "a task is listed twice")
        for name in candidate.loss:
            if name not in candidate.tasks:
                report.add(at(at(here, "loss"), name), f"{show(name)} is not a task of this candidate")


def workload_problems(workload: Workload, instance: Instance, names: Names, report: Report) -> None:
    """Check the section `workload`."""
    check_unique((stream.name for stream in workload.streams), "stream", "workload.streams", report)
    model_of = {task.name: task.model for task in instance.effective_tasks()}
    for index, stream in enumerate(workload.streams):
        here = at("workload.streams", index)
        if check_known(stream.task, model_of, "task", at(here, "task"), report):
            model = names.models.get(model_of[stream.task])
            exits = {layer.exit for layer in model.layers if layer.exit is not None} if model else set()
            for name in stream.exits if exits else ():
                check_known(name, exits, "exit of its model", at(at(here, "exits"), name), report)
        total = sum(stream.exits.values())
        if total > 1 + _ROUNDING:
            report.add(at(here, "exits"), f"probabilities add up to {total:g}, expected at most 1")
        _arrival_problems(stream.arrivals, at(here, "arrivals"), report)


def _arrival_problems(arrivals: Arrivals, path: str, report: Report) -> None:
    kind = arrivals.kind
    if kind in ("poisson", "gamma", "periodic") and arrivals.rate is None and arrivals != Arrivals():
        report.add(at(path, "rate"), f"missing, expected the rate of {kind} arrivals")
    if kind == "gamma" and arrivals.cv is None:
        report.add(at(path, "cv"), "missing, expected the variation of gamma arrivals")
    if kind == "trace":
        if not arrivals.times:
            report.add(at(path, "times"), "missing, expected the times of the trace in seconds")
        if any(later < earlier for earlier, later in zip(arrivals.times, arrivals.times[1:], strict=False)):
            report.add(at(path, "times"), "not in order, expected times that do not decrease")
    if kind == "mmpp" and (not arrivals.rates or len(arrivals.rates) != len(arrivals.dwell)):
        sizes = f"{len(arrivals.rates)} rates and {len(arrivals.dwell)} dwell times"
        report.add(path, f"{sizes}, expected one of each for every state")
