"""Samples of a workload: arrivals of all streams, and how deep each sample goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.problem import IntArray, Samples, ServingProblem
from dnnplan.costs.serving.samples import trace_samples
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.arrivals import draw, mean_rate

MOST_SAMPLES = 20_000_000


def draw_samples(
    problem: ServingProblem, count: int, seed: int = 0, arrivals: Sequence[Arrivals] | None = None
) -> Samples:
    """Draw the first samples of all streams together.

    Parameters
    ----------
    count
        Samples in all; fewer where every stream is a trace that ends before.
    seed
        Arrivals and exits have generators of their own: with other exits, samples come at the same times.
    arrivals
        One process for each stream; None: those of the problem.

    Returns
    -------
    Samples
        In order of arrival. Samples of a stream with recorded exits take those, others leave by `ServedStream.exits`.

    Raises
    ------
    InputError
        `count` is not from 1 to 20 million, a stream has no rate, or recorded exits do not fit.

    Notes
    -----
    Ends at the same time for all streams: no stream runs dry before another, unless it is a trace that ends.
    """
    if not 1 <= count <= MOST_SAMPLES:
        raise InputError(f"samples: {count}, expected 1 to {MOST_SAMPLES}")
    processes = list(arrivals) if arrivals is not None else [stream.arrivals for stream in problem.streams]
    times = _times(processes, count, seed)
    owner = np.repeat(np.arange(len(times)), [len(each) for each in times])
    place = np.concatenate([np.arange(len(each)) for each in times])
    every = np.concatenate(times)
    order = np.lexsort((place, owner, every))[:count]
    stream = owner[order].astype(np.int64)
    chance = np.random.default_rng([seed, 1]).uniform(size=len(order))
    return Samples(
        arrival=every[order], stream=stream, depth=_depths(problem, processes, stream, place[order], chance)
    )


def _times(processes: Sequence[Arrivals], count: int, seed: int) -> list[FloatArray]:
    """Arrivals of each stream, at least those among the first `count` of all streams."""
    parts = _parts(processes, count)
    while True:
        times = [
            draw(process, part, np.random.default_rng([seed, 0, s]))
            for s, (process, part) in enumerate(zip(processes, parts, strict=True))
        ]
        every = np.sort(np.concatenate(times))
        end = every[min(count, len(every)) - 1]
        short = [
            s
            for s, each in enumerate(times)
            if processes[s].kind != "trace" and len(each) < count and each[-1] < end
        ]
        if not short:
            return times
        for s in short:
            parts[s] = min(count, 2 * parts[s])


def _parts(processes: Sequence[Arrivals], count: int) -> list[int]:
    """Samples to draw of each stream, so that there are most probably enough of it among the first `count` of all."""
    rates = np.array([mean_rate(process) or 0.0 for process in processes])
    if len(rates) == 1 or not rates.min() > 0:
        return [count] * len(rates)
    expected = count * rates / rates.sum()
    return [min(count, int(part)) for part in 1.2 * expected + 10 * np.sqrt(expected) + 50]


def _depths(
    problem: ServingProblem,
    processes: Sequence[Arrivals],
    stream: IntArray,
    place: IntArray,
    chance: FloatArray,
) -> IntArray:
    depth = np.ones(len(stream), dtype=np.int64)
    for s, served in enumerate(problem.streams):
        mine = stream == s
        recorded = recorded_depths(problem, s, processes[s])
        if recorded is not None:
            depth[mine] = recorded[place[mine]]
        else:
            edges = np.cumsum(served.exits)[:-1]
            depth[mine] = 1 + np.searchsorted(edges, chance[mine], side="right")
    return depth


def recorded_depths(problem: ServingProblem, s: int, process: Arrivals) -> IntArray | None:
    """(m,) stages that the samples of a trace of stream s need; None where it is not recorded.

    Raises
    ------
    InputError
        Exits or confidences do not fit the samples and the network.
    """
    workload = problem.instance.workload
    if workload is None or process.kind != "trace" or not (process.exits or process.confidences):
        return None
    stream = msgspec.structs.replace(workload.streams[s], arrivals=process)
    alone = replace(
        problem,
        streams=(replace(problem.streams[s], arrivals=process),),
        instance=msgspec.structs.replace(
            problem.instance, workload=msgspec.structs.replace(workload, streams=(stream,))
        ),
    )
    return trace_samples(alone).depth
