"""Whether tasks, and the section of serving, mean something."""

from __future__ import annotations

from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Arrivals, Workload
from dnnplan.instances.validation.cycles import report_cycle
from dnnplan.instances.validation.models import block_problems
from dnnplan.instances.validation.names import Names, check_known, check_unique
from dnnplan.instances.wording import Report, at, show

_ROUNDING = 1e-9


def task_problems(instance: Instance, names: Names, report: Report) -> None:
    """Check tasks and the precedences between them."""
    check_unique((task.name for task in instance.tasks), "task", "tasks", report)
    # Ordering and grouping can do with tasks alone; then models are only names, unless blocks are made of their layers.
    only_names = not instance.models and (instance.ordering is not None or instance.sharing is not None)
    for index, task in enumerate(instance.tasks):
        here = at("tasks", index)
        if (task.blocks or not only_names) and check_known(
            task.model, names.models, "model", at(here, "model"), report
        ):
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
    report_cycle(successors, "precedences", report)


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
