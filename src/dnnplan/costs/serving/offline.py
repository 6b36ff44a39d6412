"""The view of serving when all samples are known: what the clairvoyant optimum decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dnnplan.costs.judged import Judged, Terms, keeps_limits, weighted
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.evaluate import sample_weights, serving_measures, serving_times
from dnnplan.costs.serving.problem import IntArray, Samples, ServingProblem
from dnnplan.costs.serving.samples import trace_samples
from dnnplan.costs.serving.view import serving_problem
from dnnplan.instances import Instance, Plan, PlanError, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.plan import Batch

OBJECTIVES = ("mean_latency", "late")
"""What solvers minimise."""
UNITS = {"late": None, "energy": "J"}
"""Units of measures; those of all others are seconds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OfflineServing:
    """Batches of n samples that are all known beforehand.

    An answer is a sequence of (stage, sample ids), in the order in which the batches start.

    Parameters
    ----------
    serving
        Stages, their latencies, and the streams.
    samples
        When each sample comes and how many stages it needs.
    stages
        The objective: ``mean_latency`` or ``late``.
    """

    serving: ServingProblem
    samples: Samples
    stages: tuple[Terms, ...]
    limits: dict[str, float] = field(default_factory=dict)
    sums_at_most: tuple[tuple[Terms, float], ...] = ()
    sense: str = field(default="min", init=False)

    @property
    def instance(self) -> Instance:
        """The instance it is a view of."""
        return self.serving.instance

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the streams."""
        return tuple(stream.name for stream in self.serving.streams)

    @property
    def name(self) -> str:
        """Name of the measure that is minimised."""
        return self.stages[0][0][0]

    @property
    def scale(self) -> float:
        """Weight of the measure in the objective."""
        return self.stages[0][0][1]

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""
        return UNITS.get(name, "s")

    @cached_property
    def weight(self) -> FloatArray:
        """(n,) what a second of latency of each sample costs, or that it is late, in the value of an answer."""
        weights = self.scale * sample_weights(self.serving, self.samples)
        if self.name == "late":
            return weights
        total = float(sample_weights(self.serving, self.samples).sum())
        return weights / total if total > 0 else weights

    @cached_property
    def first(self) -> IntArray:
        """(n,) first stage of each sample."""
        first: IntArray = self.serving.first[
            np.array([stream.model for stream in self.serving.streams], dtype=np.int64)[self.samples.stream]
        ]
        return first

    @cached_property
    def beyond(self) -> IntArray:
        """(n,) one more than the last stage of each sample."""
        beyond: IntArray = self.first + self.samples.depth
        return beyond

    @cached_property
    def deadline(self) -> FloatArray:
        """(n,) seconds until which a sample has to have left; infinite: none."""
        return self.samples.deadline(self.serving)

    def of_samples(self, ids: IntArray) -> OfflineServing:
        """The same of some samples alone, in order of arrival; they are numbered anew."""
        samples = self.samples
        part = Samples(arrival=samples.arrival[ids], stream=samples.stream[ids], depth=samples.depth[ids])
        return replace(self, samples=part)

    def judge(self, answer: Plan | Iterable[tuple[int, Sequence[int]]]) -> Judged:
        """Measure a plan.

        Raises
        ------
        PlanError
            Not every sample runs its stages once and in order, or a batch is too large.
        """
        batches = self._indices(answer) if isinstance(answer, Plan) else answer
        decisions = tuple((int(q), tuple(int(j) for j in members)) for q, members in batches)
        times = serving_times(self.serving, self.samples, decisions)
        measures = serving_measures(self.serving, self.samples, decisions, times)
        return Judged(
            decisions=decisions,
            measures=measures,
            value=weighted(self.stages[0], measures),
            feasible=keeps_limits(measures, self.limits, self.sums_at_most),
        )

    def _indices(self, plan: Plan) -> list[tuple[int, tuple[int, ...]]]:
        index = self.serving.index
        for k, batch in enumerate(plan.batches):
            if batch.stage not in index:
                raise PlanError(f'batches[{k}]: "{batch.stage}" is not a stage')
        return [(index[batch.stage], batch.samples) for batch in plan.batches]

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it, its batches by their starts."""
        start = serving_times(self.serving, self.samples, judged.decisions).start.tolist()
        by_start = sorted(range(len(start)), key=start.__getitem__)
        return Plan(
            problem="serving",
            instance=self.instance.hash(),
            batches=tuple(
                Batch(
                    stage=self.serving.stages[judged.decisions[k][0]],
                    samples=judged.decisions[k][1],
                    start=start[k],
                )
                for k in by_start
            ),
        )


def offline_serving(instance: Instance) -> OfflineServing:
    """The problem of an instance whose streams are traces that say where each sample leaves.

    Raises
    ------
    InputError
        What serving lacks: costs of stages, or a trace.
    UnsupportedError
        Another objective, or a limit.
    """
    serving = serving_problem(instance)
    if serving.objective not in OBJECTIVES:
        known = " or ".join(OBJECTIVES)
        raise UnsupportedError(f"objective '{serving.objective}': the optimum of serving is one of {known}")
    for name in instance.limits.__struct_fields__:
        if name != "extensions" and getattr(instance.limits, name) is not None:
            raise UnsupportedError(f"limit '{name}' is not kept by serving, which has no limits")
    scale = parse_objective(instance.objective)[0][0][1]
    return OfflineServing(
        serving=serving, samples=trace_samples(serving), stages=(((serving.objective, scale),),)
    )
