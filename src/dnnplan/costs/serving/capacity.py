"""Capacity: samples a second with full batches and exits; load is the rate of arrivals divided by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.costs.serving.view import serving_problem
from dnnplan.instances import InputError, Instance
from dnnplan.instances.sections import Arrivals
from dnnplan.instances.wording import show


def capacity(problem: ServingProblem) -> float:
    """Samples a second of all streams together, in the proportion of their rates, that full batches keep up with.

    On each device a sample takes the sum over its stages of reach x L(stage, B) / B seconds, in the mean over the
    streams; the capacity is 1 / that of the busiest device. Streams without a rate count equally.

    Raises
    ------
    InputError
        Only some of the streams have a rate, or all rates are 0.
    """
    return 1.0 / float(device_seconds(problem).max())


def device_seconds(problem: ServingProblem) -> FloatArray:
    """(D,) seconds that a sample of the mix of streams takes on each device in full batches."""
    share = problem.latency[:, -1] / problem.max_batch
    each = problem.reach * share[None, :]
    mixed = _mix(problem) @ each
    seconds = np.zeros(len(problem.devices))
    np.add.at(seconds, problem.device, mixed)
    return seconds


def load(problem: ServingProblem) -> float:
    """Rate of all arrivals divided by the capacity.

    Raises
    ------
    InputError
        A stream without a rate.
    """
    rates = _rates(problem)
    if rates is None:
        raise InputError("streams: none has a rate, expected the rate of arrivals; `at_load` makes one")
    return float(rates.sum()) / capacity(problem)


def rate_of(arrivals: Arrivals) -> float | None:
    """Samples a second in the long run; None where the arrivals do not say.

    Of ``mmpp``: the mean of the rates, weighted by the time in each state. Of a trace of n samples: n - 1 by its
    length; infinite where all come at once.

    >>> rate_of(Arrivals(kind="mmpp", rates=(0, 50), dwell=(3, 1)))
    12.5
    """
    if arrivals.kind == "trace":
        return _trace_rates([arrivals])[0] if arrivals.times else None
    if arrivals.kind == "mmpp":
        stay = math.fsum(arrivals.dwell)
        states = zip(arrivals.rates, arrivals.dwell, strict=True)
        return math.fsum(rate * dwell for rate, dwell in states) / stay if stay else None
    return None if arrivals.rate is None else float(arrivals.rate)


def at_load(problem: ServingProblem, wanted: float) -> ServingProblem:
    """The problem with the rates of all streams scaled, so that their load is `wanted`.

    Rates of Poisson, gamma, periodic and Markov-modulated arrivals are multiplied (the latter keep the mean stay in
    their states), and the times of traces and the jitter of periodic arrivals divided. Streams without a rate become
    Poisson, all at one rate.

    Raises
    ------
    InputError
        A load that is not positive and finite; a trace with all samples at once; only some streams have a rate.
    """
    if not 0 < wanted < math.inf:
        raise InputError(f"load: {wanted}, expected a positive number")
    total = wanted * capacity(problem)
    streams = problem.streams
    rates = _rates(problem)
    if rates is None:
        arrivals = [Arrivals(kind="poisson", rate=total / len(streams)) for _ in streams]
    else:
        present = float(rates.sum())
        if not 0 < present < math.inf:
            raise InputError(f"rate of the arrivals: {present}, expected a positive number to scale")
        arrivals = [_scaled(stream.arrivals, total / present) for stream in streams]
    workload = problem.instance.workload
    assert workload is not None
    recorded = tuple(
        msgspec.structs.replace(stream, arrivals=new)
        for stream, new in zip(workload.streams, arrivals, strict=True)
    )
    return replace(
        problem,
        streams=tuple(replace(stream, arrivals=new) for stream, new in zip(streams, arrivals, strict=True)),
        instance=msgspec.structs.replace(
            problem.instance, workload=msgspec.structs.replace(workload, streams=recorded)
        ),
    )


def instance_at_load(instance: Instance, wanted: float) -> Instance:
    """The instance with the rates of all streams scaled; see `at_load`."""
    return at_load(serving_problem(instance), wanted).instance


def _rates(problem: ServingProblem) -> FloatArray | None:
    """(S,) samples a second of each stream; None where no stream says."""
    arrivals = [stream.arrivals for stream in problem.streams]
    if all(one.kind == "trace" and one.times for one in arrivals):
        return np.array(_trace_rates(arrivals))
    rates = [rate_of(one) for one in arrivals]
    if all(rate is None for rate in rates):
        return None
    for stream, rate in zip(problem.streams, rates, strict=True):
        if rate is None:
            what = "no rate, expected one for each stream (or for none)"
            raise InputError(f"stream {show(stream.name)}: {what}")
    return np.array(rates, dtype=float)


def _trace_rates(traces: Sequence[Arrivals]) -> list[float]:
    """Samples a second of traces that belong together: N in all, N - 1 by the time from the first to the last."""
    counts = [len(trace.times) for trace in traces]
    span = max(trace.times[-1] for trace in traces) - min(trace.times[0] for trace in traces)
    total = (sum(counts) - 1) / span if span > 0 else math.inf
    return [total * count / sum(counts) for count in counts]


def _mix(problem: ServingProblem) -> FloatArray:
    """(S,) share of each stream in the samples."""
    arrivals = [stream.arrivals for stream in problem.streams]
    if all(one.kind == "trace" for one in arrivals):
        weights = np.array([len(one.times) for one in arrivals], dtype=float)
    else:
        rates = _rates(problem)
        weights = np.ones(len(arrivals)) if rates is None else np.where(np.isinf(rates), 1e300, rates)
    if not weights.sum() > 0:
        raise InputError("rate of the arrivals: 0, expected samples in one stream at least")
    mix: FloatArray = weights / weights.max() / (weights / weights.max()).sum()
    return mix


def _scaled(arrivals: Arrivals, factor: float) -> Arrivals:
    """Arrivals with `factor` times the rate."""
    new = msgspec.structs.replace
    if arrivals.kind == "trace":
        return new(arrivals, times=tuple(time / factor for time in arrivals.times))
    if arrivals.kind == "mmpp":
        return new(arrivals, rates=tuple(rate * factor for rate in arrivals.rates))
    assert arrivals.rate is not None
    return new(arrivals, rate=arrivals.rate * factor, jitter=arrivals.jitter / factor)
