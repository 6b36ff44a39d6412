"""What every analytic model can do, models in JSON, and tables of costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from dnnplan.costs.analytic.fpga import Fpga
from dnnplan.costs.analytic.mcu import Mcu
from dnnplan.costs.analytic.record import DeviceModel
from dnnplan.costs.analytic.roofline import RefinedRoofline, Roofline
from dnnplan.costs.analytic.systolic import ComposedArray, SystolicArray
from dnnplan.costs.analytic.work import Batch, Work, work_of
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Model
from dnnplan.instances.errors import InputError
from dnnplan.instances.prepared import prepared
from dnnplan.instances.validation.complete import structural_problems
from dnnplan.instances.wording import show, unknown


class LatencyModel(Protocol):
    """How long layers take on a device."""

    def latency(self, work: Work, batch: Batch = 1) -> FloatArray:
        """Seconds of each layer: (L,) for one batch size, (L, B) for an array of them; infinite: cannot run."""
        ...


AnalyticModel = Roofline | RefinedRoofline | SystolicArray | ComposedArray | Fpga | Mcu

KINDS: dict[str, type[AnalyticModel]] = {
    "roofline": Roofline,
    "refined-roofline": RefinedRoofline,
    "systolic": SystolicArray,
    "composed": ComposedArray,
    "fpga": Fpga,
    "mcu": Mcu,
}
"""Models by the `kind` of their record."""


def model_from(record: Mapping[str, Any]) -> AnalyticModel:
    """The model that a record (an object of JSON) describes.

    Raises
    ------
    InputError
        No or an unknown `kind`; keys that the model does not have, values of a wrong type or range: all at once.

    Examples
    --------
    >>> model_from({"kind": "systolic", "rows": 32, "columns": 32, "dataflow": "ws"}).columns
    32
    """
    if not isinstance(record, Mapping):
        raise InputError(f"{show(record)}, expected an object with a `kind`")
    rest = dict(record)
    name = rest.pop("kind", None)
    if not isinstance(name, str):
        raise InputError(f"kind: {show(name)}, expected one of {', '.join(KINDS)}")
    if name not in KINDS:
        raise InputError(f"kind: {unknown('kind of model', name, KINDS)}")
    problems = structural_problems(rest, KINDS[name])
    if problems:
        raise InputError(problems=problems)
    try:
        return msgspec.convert(dict(record), prepared(KINDS[name]))
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise InputError(str(error)) from None


def to_record(model: DeviceModel) -> dict[str, Any]:
    """The record of a model, without values that are the default; `model_from` reads it.

    >>> to_record(SystolicArray(32, 32))
    {'kind': 'systolic', 'rows': 32, 'columns': 32}
    """
    record: dict[str, Any] = msgspec.to_builtins(model)
    return record


def cost_tables(
    model: Model, devices: Mapping[str, LatencyModel], batch: int = 1
) -> dict[str, dict[str, float]]:
    """Latency of the layers of a model on devices: the rows for `Instance.costs.latency[model.name]`.

    Parameters
    ----------
    devices
        The model of each device, by the name of the device.
    batch
        Samples that run together: the batch of the task, since tables hold for one.

    Returns
    -------
    layer -> device -> seconds. A device that cannot run a layer has no entry in its row, as
    `dnnplan.instances.cost_tables` has it.
    """
    work = work_of(model)
    seconds = {name: device.latency(work, batch).tolist() for name, device in devices.items()}
    return {
        layer: {name: times[i] for name, times in seconds.items() if math.isfinite(times[i])}
        for i, layer in enumerate(work.names)
    }
