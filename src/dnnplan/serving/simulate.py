"""`simulate`: samples through a policy, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import IntArray, Samples, ServingProblem
from dnnplan.serving import begin, kernel
from dnnplan.serving.errors import PolicyError
from dnnplan.serving.metrics import WARM_UP, Estimate, mean_of, quantile_of, ratio_of
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.twin import Twin

FAULTS = {
    kernel.STALLED: "samples wait, nothing is left to happen, and it runs none of them",
    kernel.BAD_ACTION: "it answered no action, expected WAIT, RUN, PICK or DROP",
    kernel.BAD_STAGE: "it chose a stage that does not run on the device",
    kernel.BAD_COUNT: "it chose no sample, more than wait, or more than the largest batch",
    kernel.NOT_WAITING: "it picked samples that do not wait there, or one twice",
    kernel.NO_PROGRESS: "it drops or wakes up again and again, without an end",
    kernel.PAST: "it waits until a time that has passed",
}


@dataclass(frozen=True, eq=False)
class BatchLog:
    """Batches in the order in which they started: (m,) stage, size, start and end in seconds, and all their samples."""

    stage: IntArray
    size: IntArray
    start: FloatArray
    end: FloatArray
    members: IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Simulation:
    """What a policy did with samples.

    Parameters
    ----------
    left, dropped
        (n,) seconds at which each sample left, or was dropped; NaN.
    sizes
        (Q, B + 1) batches by stage and size.
    busy
        (D,) seconds of work.
    joules
        Of all batches.
    calls
        Calls of the policy.
    seconds
        That the simulation took.
    batches
        None unless asked for.
    """

    problem: ServingProblem
    samples: Samples
    policy: str
    left: FloatArray
    dropped: FloatArray
    sizes: IntArray
    busy: FloatArray
    joules: float
    calls: int
    seconds: float
    batches: BatchLog | None = None

    @property
    def latency(self) -> FloatArray:
        """(n,) seconds from arrival until the sample left; NaN: dropped."""
        return self.left - self.samples.arrival

    @property
    def horizon(self) -> float:
        """Seconds from the first arrival until the last sample is gone."""
        return float(np.fmax(self.left, self.dropped).max() - self.samples.arrival[0])

    @property
    def energy(self) -> float:
        """Joules of batches, and of devices that idle."""
        return self.joules + float(np.dot(self.problem.idle_power, self.horizon - self.busy))

    @property
    def violated(self) -> NDArray[np.bool_]:
        """(n,) whether a sample was late or dropped."""
        late: NDArray[np.bool_] = ~(self.left <= self.samples.deadline(self.problem) * (1 + 1e-12))
        return late


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is reported of a simulation; seconds, joules, samples a second."""

    policy: str
    mean_latency: Estimate
    p50: Estimate
    p95: Estimate
    p99: Estimate
    slo_violation_rate: Estimate
    drop_rate: Estimate
    goodput: float
    utilisation: float
    energy: float
    energy_per_sample: float
    mean_batch: float
    samples: int
    samples_per_second_simulated: float


def simulate(problem: ServingProblem, policy: Policy, samples: Samples, *, log: bool = False) -> Simulation:
    """Serve samples to the end.

    Parameters
    ----------
    policy
        Compiled policies run in the compiled simulator, others in the plain one, a thousand times slower.
    log
        Whether to keep every batch.

    Raises
    ------
    PolicyError
        The policy did what it may not.
    """
    if policy.is_compiled:
        return _compiled(problem, policy, samples, log=log)
    return plain(problem, policy, samples)


def _compiled(problem: ServingProblem, policy: Policy, samples: Samples, *, log: bool) -> Simulation:
    state = begin.first_state(problem, len(samples), policy.parameters)
    job, record = begin.first_job(problem, samples), begin.first_record(problem, samples, log=log)
    start = time.perf_counter()
    code, device, now = kernel.run(policy.decide, state, job, record)
    seconds = time.perf_counter() - start
    if code != kernel.DONE:
        raise PolicyError(f"policy '{policy.name}' at {now:g} s, {problem.devices[device]}: {FAULTS[code]}")
    batches = None
    if log:
        count, members = int(record.counters[kernel.BATCHES]), int(record.counters[kernel.MEMBERS])
        stage, size, start_, end = (
            row[:count] for row in (record.stage, record.size, record.start, record.end)
        )
        batches = BatchLog(stage, size, start_, end, record.members[:members])
    return Simulation(
        problem=problem,
        samples=samples,
        policy=policy.name,
        left=record.left,
        dropped=record.dropped,
        sizes=record.sizes,
        busy=record.busy,
        joules=float(record.joules[0]),
        calls=int(record.counters[kernel.CALLS]),
        seconds=seconds,
        batches=batches,
    )


def plain(problem: ServingProblem, policy: Policy, samples: Samples) -> Simulation:
    """The same in plain Python, batches always kept; of a compiled policy, its Python function runs.

    Raises
    ------
    PolicyError
        The policy did what it may not.
    """
    state = begin.first_state(problem, len(samples), policy.parameters)
    start = time.perf_counter()
    decide = getattr(policy.decide, "py_func", policy.decide)
    try:
        history = Twin(problem, samples, decide, state).run()
    except PolicyError as error:
        raise PolicyError(f"policy '{policy.name}': {error}") from None
    seconds = time.perf_counter() - start
    sizes = np.zeros((len(problem.stages), problem.max_batch + 1), dtype=np.int64)
    busy = np.zeros(len(problem.devices))
    left, dropped = np.full(len(samples), np.nan), np.full(len(samples), np.nan)
    for times, found in ((left, history.left), (dropped, history.dropped)):
        times[list(found)] = list(found.values())
    for batch in history.batches:
        sizes[batch.stage, len(batch.samples)] += 1
        busy[problem.device[batch.stage]] += batch.end - batch.start
    return Simulation(
        problem=problem,
        samples=samples,
        policy=policy.name,
        left=left,
        dropped=dropped,
        sizes=sizes,
        busy=busy,
        joules=history.joules,
        calls=history.calls,
        seconds=seconds,
        batches=BatchLog(
            np.array([batch.stage for batch in history.batches], dtype=np.int64),
            np.array([len(batch.samples) for batch in history.batches], dtype=np.int64),
            np.array([batch.start for batch in history.batches]),
            np.array([batch.end for batch in history.batches]),
            np.array([sample for batch in history.batches for sample in batch.samples], dtype=np.int64),
        ),
    )


def counted_from(samples: Samples) -> int:
    """The first sample that counts: those before find the system empty; 0 for fewer than 50 samples."""
    return int(WARM_UP * len(samples)) if len(samples) >= 50 else 0


def figures(done: Simulation) -> Figures:
    """Figures of a simulation; samples of the first two hundredths count only for speed, energy and utilisation."""
    skip = counted_from(done.samples)
    latency = done.latency[skip:]
    served = latency[np.isfinite(latency)]
    violated, gone = done.violated[skip:], np.isfinite(done.dropped[skip:])
    span = float(np.fmax(done.left, done.dropped).max() - done.samples.arrival[skip])
    batches = done.sizes.sum()
    members = float((done.sizes * np.arange(done.sizes.shape[1])).sum())
    horizon = max(done.horizon, 1e-300)
    return Figures(
        policy=done.policy,
        mean_latency=mean_of(served),
        p50=quantile_of(served, 0.5),
        p95=quantile_of(served, 0.95),
        p99=quantile_of(served, 0.99),
        slo_violation_rate=ratio_of(violated),
        drop_rate=ratio_of(gone),
        goodput=float((~violated).sum()) / max(span, 1e-300),
        utilisation=float(done.busy.mean()) / horizon,
        energy=done.energy,
        energy_per_sample=done.energy / len(done.samples),
        mean_batch=members / max(int(batches), 1),
        samples=len(done.samples),
        samples_per_second_simulated=len(done.samples) / max(done.seconds, 1e-9),
    )
