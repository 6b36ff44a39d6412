"""The view of serving: stages of early-exit networks, what batches of them cost, and who sends samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance
from dnnplan.instances.sections import Arrivals

IntArray = NDArray[np.int64]
OBJECTIVES = ("mean_latency", "late", "energy")


@dataclass(frozen=True, eq=False, kw_only=True)
class ServedStream:
    """One source of samples.

    Parameters
    ----------
    model
        Index of the network that its samples pass through.
    slo
        Seconds after its arrival until a sample has to have left; infinite: none.
    weight
        Of its samples in the objective.
    exits
        Probability to leave at each stage of the network, adding up to 1.
    """

    name: str
    model: int
    slo: float
    weight: float
    exits: FloatArray
    arrivals: Arrivals


@dataclass(frozen=True, eq=False, kw_only=True)
class ServingProblem:
    """Samples pass through the stages of networks in batches, on D devices that run one batch at a time.

    Q stages in all, those of a network one after the other; B is the largest batch.

    Parameters
    ----------
    stages
        (Q,) ``model/exit``: the name of the exit that ends the stage.
    model
        (Q,) index of the network of each stage.
    first
        (M + 1,) stages of network m are first[m] ... first[m + 1] - 1.
    device
        (Q,) index of the device that runs each stage.
    latency, energy
        (Q, B + 1) seconds and joules of a batch of b samples; column 0 is 0.
    transfer
        (Q, B + 1) seconds after a batch until its samples can start the next stage.
    switch
        (Q,) seconds that a batch takes longer for each of its samples that was not in the batch which the device ran
        right before: parked activations come back from memory.
    idle_power
        (D,) watts.
    objective
        ``mean_latency`` (weighted mean over the samples), ``late`` (weighted number of samples after their deadline) or
        ``energy``.
    """

    instance: Instance
    stages: tuple[str, ...]
    devices: tuple[str, ...]
    model: IntArray
    first: IntArray
    device: IntArray
    latency: FloatArray
    energy: FloatArray
    transfer: FloatArray
    switch: FloatArray
    idle_power: FloatArray
    streams: tuple[ServedStream, ...]
    objective: str = "mean_latency"

    @property
    def max_batch(self) -> int:
        """B, the most samples that run together."""
        return int(self.latency.shape[1]) - 1

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each stage by name."""
        return {name: q for q, name in enumerate(self.stages)}

    @cached_property
    def leaves(self) -> FloatArray:
        """(S, Q) probability to leave at the end of a stage, of a sample that runs it; 0 for other networks' stages."""
        table = np.zeros((len(self.streams), len(self.stages)))
        for s, stream in enumerate(self.streams):
            left = 1.0
            for k, share in enumerate(stream.exits):
                q = int(self.first[stream.model]) + k
                table[s, q] = (
                    1.0
                    if q + 1 == self.first[stream.model + 1]
                    else min(share / left, 1.0)
                    if left > 0
                    else 1.0
                )
                left = max(left - share, 0.0)
        return table

    @cached_property
    def reach(self) -> FloatArray:
        """(S, Q) probability that a sample of a stream runs a stage."""
        table = np.zeros((len(self.streams), len(self.stages)))
        for s, stream in enumerate(self.streams):
            a, b = self.first[stream.model], self.first[stream.model + 1]
            table[s, a:b] = np.maximum(1.0 - np.concatenate([[0.0], np.cumsum(stream.exits)[:-1]]), 0.0)
        return table


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Samples as they came, or will come, in order of arrival; all arrays (n,).

    Parameters
    ----------
    arrival
        Seconds, not decreasing.
    stream
        Index of the stream.
    depth
        Number of stages that a sample needs, from 1.
    """

    arrival: FloatArray
    stream: IntArray
    depth: IntArray

    def __len__(self) -> int:
        return len(self.arrival)

    def deadline(self, problem: ServingProblem) -> FloatArray:
        """(n,) seconds; infinite: none."""
        slo = np.array([stream.slo for stream in problem.streams])
        deadline: FloatArray = self.arrival + slo[self.stream]
        return deadline
