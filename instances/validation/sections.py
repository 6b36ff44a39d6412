"""Whether tasks, and the section of serving, mean something."""

from __future__ import annotations

from itertools import pairwise

from dnnplan.instances.exits import stage_names
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Model
from dnnplan.instances.sections import Arrivals, Stream, Workload
from dnnplan.instances.validation.cycles import report_cycle
from dnnplan.instances.validation.models import block_problems
from dnnplan.instances.validation.names import Names, check_known, check_unique
from dnnplan.instances.wording import Report, at, show

_ROUNDING = 1e-9
_BEFORE_SERVING = ("1.0", "1.1")
"""No solver of these versions read streams: files may name exits of networks that have none."""


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
            if model is not None:
                _exit_problems(stream, model, instance.format_version, here, report)
        total = sum(stream.exits.values())
        if total > 1 + _ROUNDING:
            report.add(at(here, "exits"), f"probabilities add up to {total:g}, expected at most 1")
        _arrival_problems(stream.arrivals, at(here, "arrivals"), report)
        _sample_problems(stream, here, report)


def _exit_problems(stream: Stream, model: Model, version: str, path: str, report: Report) -> None:
    """Names of exits: the stages of the model."""
    stages = stage_names(model)
    if version not in _BEFORE_SERVING or any(layer.exit is not None for layer in model.layers):
        for name in stream.exits:
            check_known(name, stages, "exit of its model", at(at(path, "exits"), name), report)
    for name in stream.thresholds:
        early = at(at(path, "thresholds"), name)
        check_known(name, stages[:-1], "exit of its model before the last", early, report)
    here = at(path, "arrivals")
    wrong = {name for name in stream.arrivals.exits if name and name not in stages}
    for name in sorted(wrong):
        position = stream.arrivals.exits.index(name)
        check_known(name, stages, "exit of its model", at(at(here, "exits"), position), report)
    width = len(stages) - 1
    for position, row in enumerate(stream.arrivals.confidences):
        if len(row) != width:
            what = f"{len(row)} numbers, expected {width}, one for each exit of its model before the last"
            report.add(at(at(here, "confidences"), position), what)


def _sample_problems(stream: Stream, path: str, report: Report) -> None:
    """What a trace says of each of its samples."""
    arrivals, here = stream.arrivals, at(path, "arrivals")
    for field in ("exits", "confidences"):
        count = len(getattr(arrivals, field))
        if count and arrivals.kind != "trace":
            report.add(at(here, field), f"given for {arrivals.kind} arrivals, expected them for a trace only")
        elif count and count != len(arrivals.times):
            report.add(
                at(here, field), f"{count} of {len(arrivals.times)} samples, expected one for each time"
            )
    if arrivals.exits and arrivals.confidences:
        report.add(at(here, "confidences"), "given beside `exits`, expected one of the two")
    if arrivals.confidences and not stream.thresholds:
        report.add(
            at(path, "thresholds"), "missing, expected the confidence from which samples leave at exits"
        )


def _arrival_problems(arrivals: Arrivals, path: str, report: Report) -> None:
    kind = arrivals.kind
    if kind in ("poisson", "gamma", "periodic") and arrivals.rate is None and arrivals != Arrivals():
        report.add(at(path, "rate"), f"missing, expected the rate of {kind} arrivals")
    if kind == "gamma" and arrivals.cv is None:
        report.add(at(path, "cv"), "missing, expected the variation of gamma arrivals")
    if kind == "trace":
        if not arrivals.times:
            report.add(at(path, "times"), "missing, expected the times of the trace in seconds")
        for position, (earlier, later) in enumerate(pairwise(arrivals.times), start=1):
            if later < earlier:
                what = f"{later:g} after {earlier:g}, expected times that do not decrease"
                report.add(at(at(path, "times"), position), f"not in order: {what}")
                break
    if kind == "mmpp" and (not arrivals.rates or len(arrivals.rates) != len(arrivals.dwell)):
        sizes = f"{len(arrivals.rates)} rates and {len(arrivals.dwell)} dwell times"
        report.add(path, f"{sizes}, expected one of each for every state")
    elif kind == "mmpp" and not any(arrivals.rates):
        report.add(at(path, "rates"), "0 in every state, expected samples in one of them at least")
