"""Three ways in which a systolic array takes a batch: plain, fluid, and fluid with stackable units."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dnnplan.costs.analytic import (
    AnalyticModel,
    ComposedArray,
    SystolicArray,
    composed,
    model_from,
    to_record,
)
from dnnplan.instances import Device, InputError, Instance
from dnnplan.instances.wording import show, unknown


def plain(array: SystolicArray) -> SystolicArray:
    """Samples of a batch one after the other in each layer; its weights are loaded once."""
    return msgspec.structs.replace(array, fold_batch=False)


def fluid(array: SystolicArray) -> SystolicArray:
    """Samples of a batch and their pixels share the rows of the array.

    Our reading of Fluid Batching (Kouris et al., arXiv 2209.13443), of whose equations only the abstract was at hand.
    """
    return msgspec.structs.replace(array, fold_batch=True)


def stackable(array: SystolicArray) -> ComposedArray:
    """As `fluid`, and the array takes for each layer and batch the best shape of its units.

    Vector units are those of the array as it is. Changing the shape takes no time; see `composed`.
    """
    lanes = array.columns if array.lanes is None else array.lanes
    return composed(msgspec.structs.replace(array, fold_batch=True, lanes=lanes))


VARIANTS: dict[str, Callable[[SystolicArray], AnalyticModel]] = {
    "plain": plain,
    "fluid": fluid,
    "stackable": stackable,
}
"""By name."""


def with_npu(instance: Instance, variant: str, *, bandwidth: bool = True) -> Instance:
    """The instance with all its systolic arrays in one variant: ``plain``, ``fluid`` or ``stackable``.

    Parameters
    ----------
    bandwidth
        False: moving weights and tensors takes no time, so that only computing is compared.

    Raises
    ------
    InputError
        Another variant, or no device with the analytic model of a systolic array.
    """
    if variant not in VARIANTS:
        raise InputError(unknown("variant", variant, VARIANTS))
    platform = instance.platform
    devices = () if platform is None else platform.devices
    changed = tuple(_changed(device, variant, bandwidth) for device in devices)
    if platform is None or not any(map(_array_of, devices)):
        names = ", ".join(show(device.name) for device in devices) or "none"
        raise InputError(f"devices {names}: no analytic model of a systolic array, expected one to change")
    return msgspec.structs.replace(instance, platform=msgspec.structs.replace(platform, devices=changed))


def _changed(device: Device, variant: str, bandwidth: bool) -> Device:
    array = _array_of(device)
    if array is None:
        return device
    if not bandwidth:
        array = msgspec.structs.replace(array, bandwidth=None)
    return msgspec.structs.replace(device, analytic=to_record(VARIANTS[variant](array)))


def _array_of(device: Device) -> SystolicArray | None:
    """The array of a device; of one that is composed, in its middle shape."""
    if device.analytic is None:
        return None
    model = model_from(device.analytic)
    if isinstance(model, ComposedArray):
        arrays = model.arrays()
        return arrays[len(arrays) // 2]
    return model if isinstance(model, SystolicArray) else None
