"""Seconds of every layer on every device, from the kernels that were timed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dnnplan.deploy.calibrate.attribution import Attribution, attribute
from dnnplan.deploy.calibrate.networks import Network
from dnnplan.deploy.calibrate.timing import Timing, Timings

Condition = Literal["alone", "together"]
QUICK = 0.1
"""Quantile of runs that nothing disturbed."""
LEAST, MOST = 0.8, 1.3
"""What a run may take relative to its kernels with a profile; beyond it the machine was not quiet."""


@dataclass(frozen=True)
class LayerTimes:
    """Seconds by model, layer and device.

    Attributes
    ----------
    alone, together
        With the other devices idle and busy.
    """

    alone: dict[str, dict[str, dict[str, float]]]
    together: dict[str, dict[str, dict[str, float]]]

    def at(self, share: Mapping[str, float]) -> dict[str, dict[str, dict[str, float]]]:
        """Times where the other devices are busy for a share of the time in which a device is.

        A static slow-down, as in HaX-CoNN, but measured for each layer instead of modelled.
        """
        return {
            model: {
                layer: {
                    device: seconds + share[device] * max(0.0, self.together[model][layer][device] - seconds)
                    for device, seconds in row.items()
                }
                for layer, row in rows.items()
            }
            for model, rows in self.alone.items()
        }


def layer_times(
    networks: Iterable[Network],
    timings: Mapping[tuple[str, str], Timings],
    layers: Mapping[str, Iterable[str]],
) -> LayerTimes:
    """Attribute all kernels; layers that no kernel is left of, since it was fused into another's, take no time.

    Changes of layout at the ends of a network are no part of a layer: passes of the plan say what they take. Seconds
    are means over the rounds.

    Parameters
    ----------
    layers
        All layers of each model.
    """
    devices = list(dict.fromkeys(device for _, device in timings))
    tables: dict[str, dict[str, dict[str, dict[str, float]]]] = {
        condition: {
            model: {name: dict.fromkeys(devices, 0.0) for name in names} for model, names in layers.items()
        }
        for condition in ("alone", "together")
    }
    for network in networks:
        for device in devices:
            rounds = timings[network.name, device].rounds
            for one in rounds:
                where = attribute(network, one.optimised, [kernel.node for kernel in one.alone.kernels])
                for condition, timing in (("alone", one.alone), ("together", one.together)):
                    rows = tables[condition][network.model]
                    for layer, seconds in _by_layer(timing, where).items():
                        rows[layer][device] += seconds / len(rounds)
    return LayerTimes(tables["alone"], tables["together"])


def _by_layer(timing: Timing, where: Attribution) -> dict[str, float]:
    """Seconds of the layers of one network: medians of kernels, scaled to what a run without a profile takes."""
    scale = run_scale(timing)
    found: dict[str, float] = {}
    unknown = 0.0
    for kernel in timing.kernels:
        seconds = scale * float(np.median(kernel.seconds))
        if kernel.node in where.layer:
            found[where.layer[kernel.node]] = found.get(where.layer[kernel.node], 0.0) + seconds
        elif kernel.node in where.unknown:
            unknown += seconds
    total = sum(found.values())
    if unknown and total:
        return {layer: seconds * (1 + unknown / total) for layer, seconds in found.items()}
    return found


def run_scale(timing: Timing) -> float:
    """A run without a profile relative to its kernels: what passes between kernels, and what the profiler adds."""
    kernels = np.sum([kernel.seconds for kernel in timing.kernels], axis=0)
    quick = float(np.quantile(kernels, QUICK))
    return float(np.clip(np.quantile(timing.whole, QUICK) / quick, LEAST, MOST)) if quick > 0 else 1.0
