"""From an instance to the view of serving: every cost resolved once."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.hardware import Hardware, hardware_of
from dnnplan.costs.serving.problem import OBJECTIVES, ServedStream, ServingProblem
from dnnplan.costs.serving.rows import ModelRows, model_rows
from dnnplan.costs.serving.stages import Stage, stages_of
from dnnplan.costs.serving.tables import keys_of, largest_batch
from dnnplan.instances import Instance, InstanceError, Model, Problem, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.sections import Stream
from dnnplan.instances.wording import Report, at, show, unknown

_ROUNDING = 1e-9


def serving_problem(instance: Instance) -> ServingProblem:
    """Resolve what serving reads of an instance: the networks that streams ask for, cut into stages.

    The device of a stage is the first one that may run all of its layers (`Layer.devices`), so the first one of the
    platform unless layers say otherwise; see `placed`. Without a platform there is one device.

    Raises
    ------
    InstanceError
        No streams, unknown tasks or exits, probabilities of more than 1, stages without costs or with a latency that
        is not positive, tables that are too short or name no stage, devices without a link: all at once.
    UnsupportedError
        Another objective than latency (mean_latency), late and energy.
    """
    objective = _objective(instance.objective)
    if instance.workload is None or not instance.workload.streams:
        raise InstanceError(
            problems=[Problem("workload.streams", "none, serving needs at least one stream of samples")]
        )
    report = Report()
    models = _served_models(instance, report)
    hardware = hardware_of(instance, report)
    if not hardware.devices:
        report.add("platform.devices", "none, serving needs at least one device")
    _raise(report)
    largest = largest_batch(instance)
    pieces = [model_rows(instance, model, hardware, largest, report) for model in models]
    _unknown_keys(instance, hardware, report)
    streams = _streams(instance, models, pieces, report)
    _raise(report)
    first = np.concatenate([[0], np.cumsum([len(piece.stages) for piece in pieces])])
    return ServingProblem(
        instance=instance,
        stages=tuple(
            f"{m.name}/{s.name}" for m, piece in zip(models, pieces, strict=True) for s in piece.stages
        ),
        devices=tuple(device.name for device in hardware.devices),
        model=np.repeat(np.arange(len(models)), np.diff(first)).astype(np.int64),
        first=first.astype(np.int64),
        device=np.concatenate([piece.device for piece in pieces]),
        latency=np.concatenate([piece.latency for piece in pieces]),
        energy=np.concatenate([piece.energy for piece in pieces]),
        transfer=np.concatenate([piece.transfer for piece in pieces]),
        switch=np.concatenate([piece.switch for piece in pieces]),
        idle_power=np.array([device.record.power.idle for device in hardware.devices], dtype=float),
        streams=streams,
        objective=objective,
    )


def _objective(text: str) -> str:
    stages = parse_objective(text)
    names = {"latency": "mean_latency", **{name: name for name in OBJECTIVES}}
    if len(stages) > 1 or len(stages[0]) > 1 or stages[0][0][0] not in names:
        raise UnsupportedError(f"objective {show(text)}: serving has one of {', '.join(OBJECTIVES)}, alone")
    return names[stages[0][0][0]]


def _raise(report: Report) -> None:
    if report.problems:
        raise InstanceError(problems=report.problems)


def _served_models(instance: Instance, report: Report) -> tuple[Model, ...]:
    """The networks that streams ask for, in the order of the instance."""
    assert instance.workload is not None
    model_of = {task.name: task.model for task in instance.effective_tasks()}
    known = {model.name for model in instance.models}
    wanted = set()
    for index, stream in enumerate(instance.workload.streams):
        path = at(at("workload.streams", index), "task")
        if stream.task not in model_of:
            report.add(path, unknown("task", stream.task, model_of))
        elif model_of[stream.task] not in known:
            report.add(path, unknown("model", model_of[stream.task], known))
        else:
            wanted.add(model_of[stream.task])
    return tuple(model for model in instance.models if model.name in wanted)


def _unknown_keys(instance: Instance, hardware: Hardware, report: Report) -> None:
    """Names in tables of stages that are no stage of any network: nobody would notice them."""
    devices = {name for device in hardware.devices for name in device.names}
    known: set[str] = set()
    for model in instance.models:
        for stage in stages_of(model):
            known.update(keys_of(model.name, stage.name, devices))
    for table in ("batch_latency", "batch_energy", "stage_switch"):
        for key in getattr(instance.costs, table):
            if key not in known:
                named = {name for name in known if "@" not in name}
                report.add(at(at("costs", table), key), unknown("stage", key, named))


def _streams(
    instance: Instance, models: tuple[Model, ...], pieces: list[ModelRows], report: Report
) -> tuple[ServedStream, ...]:
    assert instance.workload is not None
    model_of = {task.name: task.model for task in instance.effective_tasks()}
    index = {model.name: m for m, model in enumerate(models)}
    found = []
    for position, stream in enumerate(instance.workload.streams):
        m = index[model_of[stream.task]]
        found.append(
            ServedStream(
                name=stream.name,
                model=m,
                slo=math.inf if stream.slo is None else float(stream.slo),
                weight=float(stream.weight),
                exits=_exit_shares(stream, pieces[m].stages, at("workload.streams", position), report),
                arrivals=stream.arrivals,
            )
        )
    return tuple(found)


def _exit_shares(stream: Stream, stages: tuple[Stage, ...], path: str, report: Report) -> FloatArray:
    """(stages,) probability to leave at each stage; what is not stated leaves at the last one."""
    names = [stage.name for stage in stages]
    for name in stream.exits:
        if name not in names:
            report.add(at(at(path, "exits"), name), unknown("exit of its model", name, names))
    shares = np.array([float(stream.exits.get(name, 0.0)) for name in names])
    total = shares.sum()
    if total > 1 + _ROUNDING or (shares < 0).any():
        report.add(at(path, "exits"), f"probabilities add up to {total:g}, expected at most 1, none below 0")
    shares[-1] = max(1.0 - shares[:-1].sum(), 0.0)
    return shares
