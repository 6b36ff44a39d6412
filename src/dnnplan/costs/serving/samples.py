"""Samples of traces: when they came, and how many stages each needs."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import IntArray, Samples, ServedStream, ServingProblem
from dnnplan.instances import InputError, Problem
from dnnplan.instances.sections import Stream
from dnnplan.instances.wording import at, unknown

SAVE = "`dnnplan simulate --save-trace FILE` draws samples and writes them as traces"


def trace_samples(problem: ServingProblem) -> Samples:
    """The samples of an instance that says of every one when it comes and where it leaves.

    Where it leaves: `Arrivals.exits`; else the first exit at which `Arrivals.confidences` reach the threshold of the
    stream; else known without either where all samples of the stream leave at one stage.

    Returns
    -------
    Samples in order of arrival, then of their stream, then of their position in it.

    Raises
    ------
    InputError
        What is missing in each stream.
    """
    workload = problem.instance.workload
    assert workload is not None
    problems: list[Problem] = []
    arrival, stream_of, depth = [], [], []
    for s, (stream, served) in enumerate(zip(workload.streams, problem.streams, strict=True)):
        path = at(at("workload.streams", s), "arrivals")
        times = stream.arrivals.times
        if stream.arrivals.kind != "trace" or not times:
            kind = "empty" if stream.arrivals.kind == "trace" else stream.arrivals.kind
            problems.append(Problem(path, f"{kind}, expected a trace; {SAVE}"))
            continue
        found = _depths(problem, stream, served, path, problems)
        if found is not None:
            arrival.append(np.array(times, dtype=float))
            stream_of.append(np.full(len(times), s, dtype=np.int64))
            depth.append(found)
    if problems:
        raise InputError(problems=problems)
    when, whose, stages = np.concatenate(arrival), np.concatenate(stream_of), np.concatenate(depth)
    order = np.lexsort((whose, when))  # stable: positions in a stream stay in order
    return Samples(arrival=when[order], stream=whose[order], depth=stages[order])


def stages_of_stream(problem: ServingProblem, served: ServedStream) -> list[str]:
    """Names of the stages of a stream's network, without its name: those of its exits."""
    a, b = problem.first[served.model], problem.first[served.model + 1]
    return [name.partition("/")[2] for name in problem.stages[a:b]]


def _depths(
    problem: ServingProblem, stream: Stream, served: ServedStream, path: str, problems: list[Problem]
) -> IntArray | None:
    """Number of stages of each sample of a trace; what is wrong is noted."""
    arrivals, names = stream.arrivals, stages_of_stream(problem, served)
    count = len(arrivals.times)
    if arrivals.exits:
        return _named_depths(arrivals.exits, names, count, at(path, "exits"), problems)
    if arrivals.confidences:
        return _sure_depths(stream, names, at(path, "confidences"), problems)
    certain = np.flatnonzero(served.exits == 1.0)
    if len(certain):
        return np.full(count, certain[0] + 1, dtype=np.int64)
    problems.append(
        Problem(path, f"no exits of its samples, expected `exits`, or `confidences` and thresholds; {SAVE}")
    )
    return None


def _named_depths(
    exits: tuple[str, ...], names: list[str], count: int, path: str, problems: list[Problem]
) -> IntArray | None:
    index = {"": len(names), **{name: k + 1 for k, name in enumerate(names)}}
    if len(exits) != count:
        problems.append(Problem(path, f"{len(exits)} exits of {count} samples, expected one each"))
        return None
    for position, name in enumerate(exits):
        if name not in index:
            problems.append(Problem(at(path, position), unknown("exit of its model", name, names)))
            return None
    return np.array([index[name] for name in exits], dtype=np.int64)


def _sure_depths(stream: Stream, names: list[str], path: str, problems: list[Problem]) -> IntArray | None:
    """The first exit at which the confidence reaches the threshold."""
    rows, count = stream.arrivals.confidences, len(stream.arrivals.times)
    early = len(names) - 1
    if len(rows) != count or any(len(row) != early for row in rows):
        what = f"expected {count} rows of {early} numbers, one for each exit before the last"
        problems.append(Problem(path, what))
        return None
    limits = np.array([float(stream.thresholds.get(name, np.inf)) for name in names[:-1]])
    # The end comes last and is open to all.
    leaves = np.ones((count, early + 1), dtype=bool)
    leaves[:, :-1] = np.array(rows, dtype=float).reshape(count, early) >= limits
    depth: IntArray = np.argmax(leaves, axis=1).astype(np.int64) + 1
    return depth
