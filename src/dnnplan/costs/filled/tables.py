"""Filled tables: medians and errors of layers on devices, instances at quantiles and in draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.routes import FloatArray, IntArray, device_copies
from dnnplan.instances import Instance, InstanceError, Platform, Problem
from dnnplan.instances.errors import InputError
from dnnplan.instances.fields import LARGEST, Record


class Flag(Record, omit_defaults=False, kw_only=True):
    """A cost to be doubted: of a layer of a model on a device, and why."""

    model: str
    layer: str
    device: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelCosts:
    """Seconds of the L layers of one model on m devices, copies taken one by one.

    Parameters
    ----------
    layers, devices
        Names, in the order of the instance.
    seconds
        (L, m) medians; infinite: cannot run.
    spread, common
        (L, m) standard deviations of logarithms: of each layer on its own, and of the factor that layers share. 0
        where seconds are the instance's own.
    hardware
        (m,) number of the hardware: copies of one device with one source err alike.
    """

    layers: tuple[str, ...]
    devices: tuple[str, ...]
    seconds: FloatArray
    spread: FloatArray
    common: FloatArray
    hardware: IntArray

    def at(self, quantile: float | None) -> FloatArray:
        """(L, m) seconds at a quantile of each layer: ``seconds * exp(z_q * sqrt(spread^2 + common^2))``.

        That is the quantile of the product of both factors, since their logarithms are independent and normal.
        """
        if quantile is None:
            return self.seconds
        return self._scaled(standard_normal(quantile) * np.hypot(self.spread, self.common))

    def drawn(self, random: np.random.Generator) -> FloatArray:
        """(L, m) seconds with errors drawn: ``seconds * exp(common * z + spread * x)``.

        One z for each hardware, one x for each layer and hardware (ours).
        """
        count = int(self.hardware.max(initial=-1)) + 1
        shared = random.standard_normal(count)[self.hardware]
        single = random.standard_normal((len(self.layers), count))[:, self.hardware]
        return self._scaled(self.common * shared[None, :] + self.spread * single)

    def _scaled(self, logarithm: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            product: FloatArray = self.seconds * np.exp(logarithm)
        return np.where(np.isfinite(self.seconds), np.minimum(product, LARGEST), np.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class Filled:
    """An instance whose latency tables have been filled, and what is known of their errors.

    Parameters
    ----------
    instance
        With tables at the quantile that was asked for.
    given
        As it was before.
    models
        Medians and errors by the name of the model.
    quantile
        None: medians.
    flags
        Costs to be doubted.
    sourced, kept
        How many (layer, device) pairs have their seconds from a source, and how many would but for an entry in the
        instance's own latency tables: these win.
    """

    instance: Instance
    given: Instance
    models: Mapping[str, ModelCosts]
    quantile: float | None
    flags: tuple[Flag, ...] = ()
    sourced: int = 0
    kept: int = 0

    def at(self, quantile: float | None) -> Instance:
        """The instance with tables at a quantile of each layer, or at the medians.

        Raises
        ------
        InputError
            The quantile is not between 0 and 1.
        """
        return self._with({name: costs.at(quantile) for name, costs in self.models.items()})

    def drawn(self, seed: int, number: int) -> Instance:
        """The instance with errors drawn; `number` counts the draws of a seed, each of which is its own."""
        random = np.random.default_rng((seed, number))
        return self._with({name: costs.drawn(random) for name, costs in self.models.items()})

    def _with(self, seconds: Mapping[str, FloatArray]) -> Instance:
        platform = require_platform(self.given)
        latency = dict(self.given.costs.latency)
        for name, times in seconds.items():
            latency[name] = _rows(self.models[name].layers, platform, times)
        return replace(self.given, costs=replace(self.given.costs, latency=latency))


def standard_normal(quantile: float) -> float:
    """z_q, the quantile of the standard normal distribution.

    >>> standard_normal(0.5), round(standard_normal(0.9), 4)
    (0.0, 1.2816)
    """
    if not 0 < quantile < 1:
        raise InputError(f"quantile {quantile}, expected a number between 0 and 1")
    return NormalDist().inv_cdf(quantile)


def require_platform(instance: Instance) -> Platform:
    """The platform of an instance that costs can be filled for."""
    if instance.platform is None or not instance.platform.devices or not instance.models:
        missing = "models" if instance.platform is not None and instance.platform.devices else "platform"
        raise InstanceError(
            problems=[Problem(missing, "missing, expected devices and models to fill costs for")]
        )
    return instance.platform


def _rows(layers: tuple[str, ...], platform: Platform, seconds: FloatArray) -> dict[str, dict[str, float]]:
    """Rows of a table; one entry for all copies of a device where they agree."""
    rows: dict[str, dict[str, float]] = {layer: {} for layer in layers}
    column = 0
    for device in platform.devices:
        copies = device_copies(device)
        for layer, times in zip(layers, seconds[:, column : column + len(copies)].tolist(), strict=True):
            entries = zip(copies, times, strict=True)
            if len(set(times)) == 1:
                entries = zip((device.name,), times[:1], strict=True)
            rows[layer] |= {name: time for name, time in entries if math.isfinite(time)}
        column += len(copies)
    return rows
