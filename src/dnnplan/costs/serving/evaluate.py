"""When the batches of a serving plan run, and what comes of it (docs/cost-model.md, 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.instances import PlanError

Batches = Sequence[tuple[int, Sequence[int]]]
"""(stage, sample ids) of each batch, in the order in which they start."""
LATE = 1e-12
"""Relative time by which a sample may miss its deadline: sums in another order differ in the last digits."""
MEASURES = ("mean_latency", "late", "p50", "p95", "p99", "energy", "makespan")


@dataclass(frozen=True, eq=False, kw_only=True)
class ServingTimes:
    """Earliest times of a plan.

    Parameters
    ----------
    start, end
        (K,) seconds of each batch.
    completion
        (n,) seconds at which each sample leaves: the end of its last stage.
    busy
        (D,) seconds that each device works.
    """

    start: FloatArray
    end: FloatArray
    completion: FloatArray
    busy: FloatArray


def serving_times(problem: ServingProblem, samples: Samples, batches: Batches) -> ServingTimes:
    """Let every batch start as early as it can, in the order that is given.

    A batch starts when its device has ended the batch before, its samples have come, and their stage before has
    ended (and what it computed has been transferred). It takes latency[q, b], and switch[q] for each of its samples
    that was not in the batch which the device ran right before. O(members of all batches).

    Raises
    ------
    PlanError
        A batch that is empty or too large, a sample that does not exist or does not run this stage next, or samples
        that are left over.

    Examples
    --------
    >>> from dnnplan.costs.serving.samples import trace_samples
    >>> from dnnplan.costs.serving.view import serving_problem
    >>> from dnnplan.instances import Costs, Instance, Layer, Model, Task, Tensor, Workload
    >>> from dnnplan.instances.sections import Arrivals, Stream
    >>> layers, tensor = (Layer(name="a", exit="early"), Layer(name="b")), Tensor(source="a", name="x", targets=("b",))
    >>> trace = Arrivals(kind="trace", times=(0, 1, 2), exits=("", "early", ""))
    >>> instance = Instance(
    ...     models=(Model(name="net", layers=layers, tensors=(tensor,)),),
    ...     tasks=(Task(name="see", model="net"),),
    ...     costs=Costs(batch_latency={"early": {"1": 2, "2": 3}, "final": {"1": 3, "2": 4}}),
    ...     workload=Workload(streams=(Stream(name="camera", task="see", arrivals=trace),)),
    ... )
    >>> problem = serving_problem(instance)
    >>> times = serving_times(problem, trace_samples(problem), [(0, (0,)), (0, (1, 2)), (1, (0, 2))])
    >>> times.start.tolist(), times.completion.tolist()
    ([0.0, 2.0, 5.0], [9.0, 5.0, 9.0])
    """
    first = problem.first[[problem.streams[s].model for s in samples.stream.tolist()]]
    following = first.tolist()
    beyond = (first + samples.depth).tolist()
    ready = samples.arrival.tolist()
    free = [0.0] * len(problem.devices)
    busy = [0.0] * len(problem.devices)
    before: list[set[int]] = [set() for _ in problem.devices]
    latency, transfer, switch = problem.latency.tolist(), problem.transfer.tolist(), problem.switch.tolist()
    starts, ends = [], []
    completion = np.full(len(samples), np.nan)
    for k, (q, members) in enumerate(batches):
        _require_batch(problem, k, q, members, following, beyond)
        d, size, here = int(problem.device[q]), len(members), set(members)
        if len(here) < size:
            raise PlanError(f"batches[{k}]: a sample is in the batch twice")
        start = max(free[d], *(ready[j] for j in members))
        seconds = latency[q][size] + (switch[q] * len(here - before[d]) if switch[q] else 0.0)
        end = start + seconds
        free[d], before[d] = end, here
        busy[d] += seconds
        starts.append(start)
        ends.append(end)
        for j in members:
            following[j] = q + 1
            ready[j] = end + transfer[q][size]
            if q + 1 == beyond[j]:
                completion[j] = end
    if np.isnan(completion).any():
        j = int(np.flatnonzero(np.isnan(completion))[0])
        raise PlanError(f"batches: sample {j} stops before stage {problem.stages[following[j]]}")
    return ServingTimes(
        start=np.array(starts), end=np.array(ends), completion=completion, busy=np.array(busy, dtype=float)
    )


def _require_batch(
    problem: ServingProblem,
    k: int,
    q: int,
    members: Sequence[int],
    following: list[int],
    beyond: list[int],
) -> None:
    if not 0 < len(members) <= problem.max_batch:
        raise PlanError(f"batches[{k}]: {len(members)} samples, expected 1 to {problem.max_batch}")
    for j in members:
        if not 0 <= j < len(following):
            raise PlanError(f"batches[{k}]: sample {j}, expected 0 to {len(following) - 1}")
        if following[j] >= beyond[j]:
            raise PlanError(f"batches[{k}]: sample {j} runs {problem.stages[q]}, but has left")
        if following[j] != q:
            expected = problem.stages[following[j]]
            raise PlanError(f"batches[{k}]: sample {j} runs {problem.stages[q]}, expected {expected} next")


def sample_weights(problem: ServingProblem, samples: Samples) -> FloatArray:
    """(n,) weight of the stream of each sample."""
    weights: FloatArray = np.array([stream.weight for stream in problem.streams], dtype=float)[samples.stream]
    return weights


def serving_measures(
    problem: ServingProblem, samples: Samples, batches: Batches, times: ServingTimes
) -> dict[str, float]:
    """Figures of a plan.

    Returns
    -------
    ``mean_latency`` (seconds from arrival to completion, mean over the samples by the weights of their streams),
    ``late`` (sum of the weights of samples after their deadline), ``p50``, ``p95``, ``p99`` (seconds, quantiles of the
    latencies), ``energy`` (joules: of batches, and of idle devices from the first arrival to the end) and ``makespan``
    (seconds at which the last batch ends).
    """
    if not len(samples):
        return dict.fromkeys(MEASURES, 0.0)
    latency = times.completion - samples.arrival
    weights = sample_weights(problem, samples)
    late = ~(times.completion <= samples.deadline(problem) * (1 + LATE))
    total = float(weights.sum())
    makespan = float(times.end.max())
    p50, p95, p99 = np.quantile(latency, (0.5, 0.95, 0.99)).tolist()
    work = sum(float(problem.energy[q, len(members)]) for q, members in batches)
    idle = float(np.dot(problem.idle_power, makespan - float(samples.arrival[0]) - times.busy))
    return {
        "mean_latency": float(np.dot(weights, latency)) / total if total > 0 else 0.0,
        "late": float(weights[late].sum()),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "energy": work + idle,
        "makespan": makespan,
    }
