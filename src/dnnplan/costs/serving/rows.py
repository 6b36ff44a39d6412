"""The rows of one network in the view of serving: for each stage its device and what a batch of it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.hardware import Hardware, ServingDevice, device_of
from dnnplan.costs.serving.problem import IntArray
from dnnplan.costs.serving.stages import Stage, stages_of
from dnnplan.costs.serving.tables import (
    AnalyticTables,
    analytic_tables,
    keys_of,
    missing_costs,
    table_entry,
)
from dnnplan.costs.serving.transfers import transfer_seconds
from dnnplan.instances import Instance, Model
from dnnplan.instances.wording import Report, at, show


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelRows:
    """The stages of one network: arrays (stages,) or (stages, B + 1) as in `ServingProblem`."""

    stages: tuple[Stage, ...]
    device: IntArray
    latency: FloatArray
    energy: FloatArray
    transfer: FloatArray
    switch: FloatArray


def model_rows(
    instance: Instance, model: Model, hardware: Hardware, largest: int, report: Report
) -> ModelRows:
    """Place and cost the stages of a network; what is missing is reported."""
    stages = stages_of(model)
    path = at("models", instance.models.index(model))
    device = [device_of(model, stage, hardware.devices, path, report) for stage in stages]
    places = [hardware.devices[d] for d in device]
    latency, energy = _batch_costs(instance, model, stages, places, largest, report)
    return ModelRows(
        stages=stages,
        device=np.array(device, dtype=np.int64),
        latency=latency,
        energy=energy,
        transfer=transfer_seconds(instance, model, stages, device, hardware, largest, report),
        switch=_switch_seconds(instance, model, stages, places, report),
    )


def _batch_costs(
    instance: Instance,
    model: Model,
    stages: tuple[Stage, ...],
    places: list[ServingDevice],
    largest: int,
    report: Report,
) -> tuple[FloatArray, FloatArray]:
    """Latency and energy (stages, B + 1): tables, else the analytic model of the device, else active power."""
    analytic = {
        place.name: analytic_tables(model, stages, place.analytic, largest)
        for place in places
        if place.analytic is not None
    }
    latency = np.zeros((len(stages), largest + 1))
    energy = np.zeros_like(latency)
    costs = instance.costs
    for k, (stage, place) in enumerate(zip(stages, places, strict=True)):
        keys = keys_of(model.name, stage.name, place.names)
        where = f"stage {show(f'{model.name}/{stage.name}')}"
        known = analytic.get(place.name)
        stated = table_entry(costs.batch_latency, keys, largest, "costs.batch_latency", report)
        if stated is not None:
            latency[k] = stated
        elif known is None or known.cannot[k]:
            cannot = () if known is None else known.cannot[k]
            report.add("costs", f"{where} {missing_costs(keys, place.name, cannot)}")
            continue
        else:
            latency[k] = known.latency[k]
        wrong = latency[k, 1:][~((latency[k, 1:] > 0) & np.isfinite(latency[k, 1:]))]
        if len(wrong) and not _is_short(stated):
            report.add("costs", f"{where}: latency {wrong[0]:g} s of some batch, expected positive numbers")
        joules = table_entry(costs.batch_energy, keys, largest, "costs.batch_energy", report)
        energy[k] = _energy_without_table(known, k, place, latency[k]) if joules is None else joules
        if not ((energy[k] >= 0) & np.isfinite(energy[k])).all():
            report.add("costs", f"{where}: energy of some batch is no number >= 0")
    return latency, energy


def _is_short(stated: FloatArray | None) -> bool:
    """Whether a table has been reported as too short: then all of its entries are 0."""
    return stated is not None and not stated.any()


def _energy_without_table(
    known: AnalyticTables | None, k: int, place: ServingDevice, latency: FloatArray
) -> FloatArray:
    if known is not None and known.energy is not None:
        joules: FloatArray = known.energy[k]
        return joules
    return place.record.power.active * latency


def _switch_seconds(
    instance: Instance, model: Model, stages: tuple[Stage, ...], places: list[ServingDevice], report: Report
) -> FloatArray:
    """(stages,) seconds for each sample that comes back from memory; 0 for the first stage."""
    assert instance.workload is not None
    found = np.zeros(len(stages))
    for k, (stage, place) in enumerate(zip(stages, places, strict=True)):
        table = instance.costs.stage_switch
        keys = [key for key in keys_of(model.name, stage.name, place.names) if key in table]
        if k == 0:
            continue
        if keys:
            found[k] = table[keys[0]]
        elif instance.workload.parking == "memory":
            if place.bandwidth is None:
                what = f'"memory", but no bandwidth is known for device {show(place.name)}'
                report.add("workload.parking", f"{what}; expected one in its memory or its analytic model")
                break
            found[k] = stage.bytes / place.bandwidth
    return found
