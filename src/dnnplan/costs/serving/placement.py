"""Which device runs which stage, as a change of the instance."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dnnplan.costs.routes import device_copies
from dnnplan.costs.serving.stages import stages_of
from dnnplan.instances import DeviceRule, Instance, InstanceError, Model
from dnnplan.instances.wording import Report, unknown


def placed(instance: Instance, devices: Mapping[str, str]) -> Instance:
    """The instance with stages fixed to devices: all layers of a stage get the rule `fix`.

    Parameters
    ----------
    devices
        Device, or copy of one, by stage: ``{"net/early": "dsp"}``, or ``{"early": "dsp"}`` for the stages of this name
        of all networks. Other stages keep their rules.

    Raises
    ------
    InstanceError
        Names of stages or devices that do not exist.

    Examples
    --------
    >>> from dnnplan.instances import Device, Layer, Model, Platform
    >>> net = Model(name="net", layers=(Layer(name="a", exit="early"), Layer(name="b")))
    >>> two = Instance(models=(net,), platform=Platform(devices=(Device(name="npu"), Device(name="dsp"))))
    >>> placed(two, {"early": "dsp"}).models[0].layers[0].devices.fix
    'dsp'
    """
    report = Report()
    named = instance.platform.devices if instance.platform is not None else ()
    known = {name for device in named for name in (device.name, *device_copies(device))}
    for stage, device in devices.items():
        if device not in known:
            report.add(f"device of {stage}", unknown("device", device, known))
    used: set[str] = set()
    models = tuple(_placed_model(model, devices, used) for model in instance.models)
    stages = {f"{model.name}/{stage.name}" for model in instance.models for stage in stages_of(model)}
    for stage in devices:
        if stage not in used:
            report.add("stages", unknown("stage", stage, stages))
    if report.problems:
        raise InstanceError(problems=report.problems)
    return msgspec.structs.replace(instance, models=models)


def _placed_model(model: Model, devices: Mapping[str, str], used: set[str]) -> Model:
    fix: dict[int, str] = {}
    for stage in stages_of(model):
        for key in (f"{model.name}/{stage.name}", stage.name):
            if key in devices:
                used.add(key)
                fix |= {i: devices[key] for i in stage.layers if i not in fix}
    return msgspec.structs.replace(
        model,
        layers=tuple(
            msgspec.structs.replace(layer, devices=DeviceRule(fix=fix[i])) if i in fix else layer
            for i, layer in enumerate(model.layers)
        ),
    )
