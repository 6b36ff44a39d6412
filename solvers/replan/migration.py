"""What it costs to get from one plan to another: weights that are to be where they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.instances.fields import Record

DEFAULT_WEIGHT = 0.01
"""Of a second of migration beside the value of the plan: it pays off within a hundred runs."""


class Move(Record, omit_defaults=False, kw_only=True):
    """Weights that have to be brought to a device.

    Parameters
    ----------
    weights
        ``model/layer``.
    source, target
        Where they come from, and the device; source None: from outside of the platform.
    bytes, seconds
        What is moved, and how long the fastest route takes for it.
    """

    weights: str
    source: str | None
    target: str
    bytes: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Migration:
    """Seconds that pinned weights take to where they are not yet, by the fastest route from where they are.

    They are on the host, if there is one, and where the old plan pinned them. What is nowhere (the only device that had
    them is lost, or the network is new, without a host) comes from outside, at the pace of the fastest link into the
    device; ours. Moves count one after the other.

    Parameters
    ----------
    seconds, bytes
        (weights, m) what it takes for the weights to be on a device; 0 where they are, and over zero-copy routes.
    origin
        (weights, m) end they come from, m: the host, -1: outside.
    """

    view: MappingProblem
    weight: float
    seconds: FloatArray
    bytes: FloatArray
    origin: Any

    def of(self, pinned: Sequence[set[int]]) -> float:
        """Seconds until all of that is where it has to be."""
        return float(sum(self.seconds[sorted(pins), d].sum() for d, pins in enumerate(pinned) if pins))

    def cost(self, pinned: Sequence[set[int]]) -> float:
        """The same as it counts in the objective."""
        return self.weight * self.of(pinned) if self.weight else 0.0

    def moves(self, pinned: Sequence[set[int]]) -> tuple[Move, ...]:
        """What is moved, in the order of devices and weights."""
        ends = self.view.ends
        return tuple(
            Move(
                weights=self.view.weights[w],
                source=None if self.origin[w, d] < 0 else ends[int(self.origin[w, d])],
                target=self.view.devices[d],
                bytes=float(self.bytes[w, d]),
                seconds=float(self.seconds[w, d]),
            )
            for d, pins in enumerate(pinned)
            for w in sorted(pins)
            if self.bytes[w, d] > 0
        )

    def by_layer(self) -> FloatArray:
        """(n, m) what a layer on a device adds to the objective; layers that have the same weights share it."""
        if not self.weight or not self.pins:
            return np.zeros((self.view.n, self.view.m))
        of = self.view.weight_of
        sharers = np.bincount(of, minlength=len(self.view.weights))
        added: FloatArray = self.weight * self.seconds[of] / sharers[of][:, None]
        return added

    @property
    def pins(self) -> bool:
        """Whether there are plans that pin weights."""
        return not self.view.host or self.view.execution.weights != "streamed"

    @property
    def is_exact_by_layer(self) -> bool:
        """Whether the sum over layers is what migration costs."""
        must = not self.view.host or self.view.execution.weights != "choice"
        return not self.weight or (must and len(self.view.weights) == self.view.n)

    def least(self) -> float:
        """What every plan pays for migration, in the objective: weights that must be pinned and are nowhere useful."""
        if not self.weight or (self.view.host and self.view.execution.weights != "resident"):
            return 0.0
        able = np.full((len(self.view.weights), self.view.m), np.inf)
        allowed = np.where(np.isfinite(self.view.duration), 0.0, np.inf)
        np.minimum.at(able, self.view.weight_of, allowed)
        least = (able + self.seconds).min(axis=1)
        return self.weight * float(least[np.isfinite(least)].sum())


def migration_to(view: MappingProblem, held: Mapping[str, Sequence[str]], weight: float) -> Migration:
    """What it costs to have weights on the devices of a view.

    Parameters
    ----------
    held
        Devices that have the weights now, by name; lost devices may be among them.
    weight
        Of a second of migration in the objective.
    """
    m, routes = view.m, view.routes
    device_of = {name: d for d, name in enumerate(view.devices)}
    here = np.zeros((len(view.weights), m + 1), dtype=bool)
    for w, name in enumerate(view.weights):
        for device in held.get(name, ()):
            if device in device_of:
                here[w, device_of[device]] = True
    has = here.copy()
    has[:, m] = view.host
    size = view.weight_bytes[view.first_of_weight]
    latency, per_byte = routes.latency[: m + 1, :m], routes.per_byte[: m + 1, :m]
    # (weights, ends, m) seconds from each end that has them.
    times = latency[None, :, :] + size[:, None, None] * per_byte[None, :, :]
    fastest = np.where(has[:, :, None], times, np.inf)
    origin = fastest.argmin(axis=1)
    seconds = np.take_along_axis(fastest, origin[:, None, :], axis=1)[:, 0, :]
    free = np.take_along_axis(
        np.broadcast_to(routes.zero_copy[None, : m + 1, :m], times.shape), origin[:, None, :], axis=1
    )[:, 0, :]
    outside = ~np.isfinite(seconds)
    if outside.any():
        links = times[:, : m + 1 if view.host else m, :].copy()
        links[:, np.arange(m), np.arange(m)] = np.inf
        best = links.min(axis=1)
        seconds = np.where(outside, np.where(np.isfinite(best), best, 0.0), seconds)
    moved = np.where(free & ~outside, 0.0, np.repeat(size[:, None], m, axis=1))
    idle = here[:, :m] | (size == 0)[:, None]
    return Migration(
        view=view,
        weight=weight,
        seconds=np.where(idle, 0.0, seconds),
        bytes=np.where(idle, 0.0, moved),
        origin=np.where(outside, -1, origin),
    )
