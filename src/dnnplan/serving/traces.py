"""Samples as recorded traces, and what a policy did with them as a plan: for exact solvers, `check`, and replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.instances import Instance, Plan
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.plan import Batch
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.simulate import Simulation


def with_arrivals(problem: ServingProblem, arrivals: Sequence[Arrivals]) -> ServingProblem:
    """A problem, and its instance, with other arrivals: one process for each stream."""
    workload = problem.instance.workload
    assert workload is not None
    streams = tuple(
        msgspec.structs.replace(stream, arrivals=process)
        for stream, process in zip(workload.streams, arrivals, strict=True)
    )
    instance = msgspec.structs.replace(
        problem.instance, workload=msgspec.structs.replace(workload, streams=streams)
    )
    served = tuple(
        replace(stream, arrivals=process) for stream, process in zip(problem.streams, arrivals, strict=True)
    )
    return replace(problem, instance=instance, streams=served)


def recorded(problem: ServingProblem, samples: Samples) -> Instance:
    """The instance of a problem with these samples as its traces: nothing is left to chance.

    Raises
    ------
    UnsupportedError
        A stream has no sample: a trace of none is no trace.
    """
    traces = []
    for s, stream in enumerate(problem.streams):
        mine = samples.stream == s
        if not mine.any():
            raise UnsupportedError(
                f"stream '{stream.name}' has no sample, expected at least one; draw more samples"
            )
        first = int(problem.first[stream.model])
        names = [problem.stages[first + depth - 1].split("/", 1)[1] for depth in samples.depth[mine].tolist()]
        traces.append(Arrivals(kind="trace", times=tuple(samples.arrival[mine].tolist()), exits=tuple(names)))
    return with_arrivals(problem, traces).instance


def plan_of(done: Simulation) -> Plan:
    """What a policy did, as a plan for the instance that `recorded` makes of its samples.

    Raises
    ------
    UnsupportedError
        The simulation kept no batches, or the policy dropped samples: a plan serves all.
    """
    log = done.batches
    if log is None:
        raise UnsupportedError("the simulation kept no batches, expected one with log=True")
    if dropped := int(np.isfinite(done.dropped).sum()):
        raise UnsupportedError(
            f"policy '{done.policy}' dropped {dropped} samples, expected a plan that serves all"
        )
    ends = np.cumsum(log.size)
    return Plan(
        problem="serving",
        batches=tuple(
            Batch(
                stage=done.problem.stages[stage],
                samples=tuple(sorted(log.members[end - size : end].tolist())),
                start=start,
            )
            for stage, size, start, end in zip(
                log.stage.tolist(), log.size.tolist(), log.start.tolist(), ends.tolist(), strict=True
            )
        ),
    )
