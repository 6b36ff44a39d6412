"""What a generated instance should be like, apart from the shape of its networks."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dnnplan.instances.errors import InputError
from dnnplan.instances.fields import Record
from dnnplan.instances.platform import Execution
from dnnplan.instances.prepared import prepared


class Recipe(Record, kw_only=True):
    """Parameters of costs, platform and rules.

    Parameters
    ----------
    devices
        Number of devices.
    ccr
        Communication-to-computation ratio: mean time to transfer a tensor between two layers over one link,
        divided by the mean compute time over all layers and devices (Topcuoglu et al. 2002, section 6.1).
    heterogeneity, spread
        How far devices differ. ``beta``: times are uniform in w (1 ± heterogeneity / 2), 0 to 2 excluded
        (Topcuoglu et al. 2002). ``range``: w times a factor uniform in [1, heterogeneity], at least 1 (the
        range-based method of Ali et al. 2000).
    costs
        ``tables``: every (layer, device) pair has its own time (unrelated devices). ``flops``: layers have
        FLOP and devices rates (related devices).
    mean_compute
        Mean compute time in seconds; None: 1 ms, or 100 s with `integer`.
    integer
        Durations and transfer times are whole seconds (tables only; links carry one byte a second).
    per_edge
        A tensor for each pair of layers; otherwise one for each layer, read by all that need it.
    execution
        How plans execute.
    host
        Whether inputs start and outputs end at a host memory; None: where the execution needs one.
    shared_channel
        All links are one channel.
    memory_tightness
        Share of all weights that fits the memories of all devices together; None: memory is not limited.
        With live memory, room for the tensors of one job after the other on one device comes on top.
    weight_ratio
        Mean time to load the weights of a layer, divided by the mean compute time.
    restrict
        Probability that a layer cannot run on a device (one device always remains).
    fixed
        Probability that a layer is fixed to one device.
    colocate
        Pairs of neighbouring layers, in each model, that must share a device.
    """

    devices: int = 4
    ccr: float = 1.0
    heterogeneity: float = 1.0
    spread: Literal["beta", "range"] = "beta"
    costs: Literal["tables", "flops"] = "tables"
    mean_compute: float | None = None
    integer: bool = False
    per_edge: bool = False
    execution: Execution = Execution()
    host: bool | None = None
    shared_channel: bool = False
    memory_tightness: float | None = None
    weight_ratio: float = 1.0
    restrict: float = 0.0
    fixed: float = 0.0
    colocate: int = 0

    @property
    def has_host(self) -> bool:
        """Whether the platform has a host memory."""
        if self.host is not None:
            return self.host
        return self.execution.staging == "host" or self.execution.weights != "resident"

    @property
    def mean_seconds(self) -> float:
        """Mean compute time in seconds."""
        if self.mean_compute is not None:
            return self.mean_compute
        return 100.0 if self.integer else 1e-3


def make_recipe(options: dict[str, Any]) -> Recipe:
    """A checked recipe from keyword arguments.

    Raises
    ------
    InputError
        An option is unknown, out of range, or contradicts another.
    """
    unknown = sorted(set(options) - set(Recipe.__struct_fields__))
    if unknown:
        known = ", ".join(Recipe.__struct_fields__)
        raise InputError(f"{unknown[0]}: no such generator option; known: {known}")
    plain = {k: msgspec.to_builtins(v) for k, v in options.items()}
    try:
        recipe = msgspec.convert(plain, prepared(Recipe))
    except msgspec.ValidationError as error:
        raise InputError(f"generator options: {error}") from None
    for failed, message in _rules(recipe):
        if failed:
            raise InputError(message)
    return recipe


def _rules(r: Recipe) -> list[tuple[bool, str]]:
    """(broken?, message) of every rule."""
    low, high = (0.0, 2.0) if r.spread == "beta" else (1.0, 1e6)
    tight = r.memory_tightness
    all_pinned = r.execution.weights == "resident" and r.execution.memory != "none"
    needs_host = r.execution.staging == "host" or r.execution.weights != "resident"
    return [
        (r.devices < 1, f"devices: {r.devices}, expected >= 1"),
        (not 0 <= r.ccr < 1e6, f"ccr: {r.ccr}, expected 0 to 1e6"),
        (
            not low <= r.heterogeneity < high,
            f"heterogeneity: {r.heterogeneity}, expected {low:g} <= x < {high:g} with spread {r.spread!r}",
        ),
        (not 0 < r.mean_seconds < 1e6, f"mean_compute: {r.mean_compute}, expected > 0 and < 1e6 seconds"),
        (r.integer and r.costs == "flops", "integer: whole seconds need costs='tables', got 'flops'"),
        (tight is not None and tight < 0, f"memory_tightness: {tight}, expected >= 0"),
        (
            tight is not None and tight < 1 and all_pinned,
            f"memory_tightness: {tight}, expected >= 1 for resident weights; or stream with weights='choice'",
        ),
        (
            r.host is False and needs_host,
            "host: False, but host staging and streamed weights need a host memory",
        ),
        (not 0 <= r.weight_ratio < 1e6, f"weight_ratio: {r.weight_ratio}, expected 0 to 1e6"),
        (not 0 <= r.restrict <= 1, f"restrict: {r.restrict}, expected 0 to 1"),
        (not 0 <= r.fixed <= 1, f"fixed: {r.fixed}, expected 0 to 1"),
        (r.colocate < 0, f"colocate: {r.colocate}, expected >= 0"),
    ]
