"""Whether cost tables name what exists, and whether every layer has a cost somewhere."""

from __future__ import annotations

from collections.abc import Collection

from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer
from dnnplan.instances.platform import Device
from dnnplan.instances.validation.names import Names, check_known
from dnnplan.instances.wording import Report, at, first_names, show


def cost_problems(instance: Instance, names: Names, report: Report) -> None:
    """Check the section `costs` and that devices without a peak rate have table entries."""
    for table in ("latency", "energy"):
        for model, rows in getattr(instance.costs, table).items():
            here = at(at("costs", table), model)
            if check_known(model, names.models, "model", here, report):
                _layer_table(rows, names.layers[model], names.devices, here, report)
    for model, tensors in instance.costs.transfer.items():
        here = at("costs.transfer", model)
        if check_known(model, names.models, "model", here, report):
            known = {tensor.name for tensor in names.models[model].tensors}
            _transfer_table(tensors, known, names.ends, here, report)
    _batch_table(instance.costs.batch_latency, "costs.batch_latency", report)
    _batch_table(instance.costs.batch_energy, "costs.batch_energy", report)
    _missing_costs(instance, report)


def _batch_table(stages: dict[str, dict[str, float]], path: str, report: Report) -> None:
    for stage, sizes in stages.items():
        for size in sizes:
            if not (size.isascii() and size.isdecimal() and len(size) < 10 and str(int(size)) == size != "0"):
                here = at(at(path, stage), size)
                report.add(here, f"key {show(size)}, expected a batch size (a positive integer)")


def _layer_table(
    rows: dict[str, dict[str, float]],
    layers: Collection[str],
    devices: Collection[str] | None,
    path: str,
    report: Report,
) -> None:
    for layer, row in rows.items():
        if layer not in layers:
            check_known(layer, layers, "layer of this model", at(path, layer), report)
        if devices is not None and not all(name in devices for name in row):
            for name in row:
                check_known(name, devices, "device", at(at(path, layer), name), report)


def _transfer_table(
    tensors: dict[str, dict[str, dict[str, float]]],
    known: Collection[str],
    ends: Collection[str] | None,
    path: str,
    report: Report,
) -> None:
    for tensor, sources in tensors.items():
        here = at(path, tensor)
        check_known(tensor, known, "tensor of this model", here, report)
        if ends is None:
            continue
        for source, targets in sources.items():
            check_known(source, ends, "device or memory", at(here, source), report)
            for target in targets:
                check_known(target, ends, "device or memory", at(at(here, source), target), report)


def _missing_costs(instance: Instance, report: Report) -> None:
    """A device without any peak rate computes only what a table has a row for, or an analytic model knows."""
    if instance.platform is None or instance.costs.batch_latency:
        return
    for index, device in enumerate(instance.platform.devices):
        if device.peak_flops or device.analytic is not None:
            continue
        for model in instance.models:
            rows = instance.costs.latency.get(model.name, {})
            bare = [
                layer.name
                for layer in model.layers
                if layer.flops > 0 and layer.name not in rows and _may_run(layer, device)
            ]
            if bare:
                where = at(at("platform.devices", index), "peak_flops")
                what = (
                    f"missing, but {first_names(bare, len(bare))} of model {show(model.name)} may run there"
                )
                report.add(
                    where, f"{what} and has no row in costs.latency; give one of the two, or forbid it"
                )


def _may_run(layer: Layer, device: Device) -> bool:
    if device.operators is not None and layer.op not in device.operators:
        return False
    rule = layer.devices
    if rule is None:
        return True
    copies = {
        device.name,
        *(f"{device.name}.{copy}" for copy in range(device.count if device.count > 1 else 0)),
    }
    if rule.fix is not None:
        return rule.fix in copies
    if rule.allow is not None and not copies.intersection(rule.allow):
        return False
    return device.name not in rule.forbid and not (
        device.count > 1 and len(copies.intersection(rule.forbid)) == device.count
    )
