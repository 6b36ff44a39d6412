"""Annealing of the calls of a plan on the compiled kernel, and the search for latency with a limit on calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.calls import applies
from dnnplan.formulations.mapping.load import LoadProblem, load_problem
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.placement.calls import HOST, is_limited, limit_of, with_calls
from dnnplan.solvers.placement.dp_linear import linear_order, linear_split
from dnnplan.solvers.placement.placement_search import flat
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.calls import CallArrays

KERNEL = "dnnplan.solvers.kernels.calls:anneal_calls"
COMPILER_SECONDS, LOADING_SECONDS = 25.0, 4.0
MOVES_PER_WORK = 50_000
CHUNK_SECONDS, FIRST_CHUNK, FIRST_CYCLE = 0.5, 500, 100_000
CYCLES = ((2e-2, 1e-4), (5e-3, 1e-5), (8e-2, 3e-4))
"""First and last temperature of cycles in turn, relative to the latency."""


class CallSearch:
    """Annealing of the layers' calls from the best serial split of a linear order and from everything on the host.

    A call of an accelerator waits for all that it reads, reads, computes and writes; the host runs layers one by one.
    """

    summary = (
        "latency with calls: compiled annealing of which layers run together, from the best serial split"
    )
    capabilities = Capabilities(calls=True, objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans and splits, then annealing until the limits (60 s where there are none)."""
        propose_simple_plans(problem, search)
        propose_splits(problem, search)
        if not search.finished():
            anneal_calls_for(problem, search, min(search.remaining, 60.0))


def propose_splits(problem: MappingProblem, search: Search) -> None:
    """Propose everything on the host, and the best serial split."""
    for label in start_labels(load_problem(problem), compiling=worth_compiling(search)):
        decisions = decode_labels(problem, label)
        if decisions is not None and not search.finished():
            search.propose(decisions)


def anneal_calls_for(problem: MappingProblem, search: Search, seconds: float) -> None:
    """Anneal from the splits for some seconds, where the setting is that of the kernel."""
    if problem.n < 2 or not applies(problem) or not worth_compiling(search):
        return
    loads = load_problem(problem)
    starts = [label for label in start_labels(loads) if decode_labels(problem, label) is not None]
    if starts:
        anneal_until(loads, search, starts, seconds)


def start_labels(loads: LoadProblem, *, compiling: bool = True) -> list[IntArray]:
    """Everything on the host, and the best serial split of the linear order, if there are any."""
    problem = loads.problem
    host = problem.host_device
    if host >= 0 and is_limited(problem, host):
        host = -1
    found: list[IntArray] = []
    if host >= 0 and bool(np.isfinite(loads.work[:, host]).all()):
        found.append(np.full(problem.n, HOST, dtype=np.int64))
    place = linear_split(loads, linear_order(loads), host=host, serial=True) if compiling else None
    if place is not None:
        calls = limit_of(problem) or 1
        devices = place[loads.group_of]
        found.append(np.where(devices == host, HOST, label_base(problem, calls)[devices]))
    return found


def label_base(problem: MappingProblem, calls: int) -> IntArray:
    """(m,) first of the `calls` labels of each device, which follow each other; HOST where it is not limited."""
    base = np.full(problem.m, HOST, dtype=np.int64)
    limited = [d for d in range(problem.m) if is_limited(problem, d)]
    base[limited] = np.arange(len(limited)) * calls
    return base


def label_devices(problem: MappingProblem, calls: int) -> IntArray:
    """(L,) device of each label."""
    limited = [d for d in range(problem.m) if is_limited(problem, d)]
    return np.repeat(np.array(limited, dtype=np.int64), calls)


def decode_labels(problem: MappingProblem, label: IntArray) -> Decisions | None:
    """The plan of labels."""
    devices = label_devices(problem, limit_of(problem) or 1)
    place = [int(devices[c]) if c >= 0 else problem.host_device for c in label.tolist()]
    return with_calls(problem, place, label.tolist())


def worth_compiling(search: Search) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def call_arrays(loads: LoadProblem, calls: int) -> CallArrays:
    """A problem as the arrays of the kernel; missing routes cost more than any plan takes."""
    from dnnplan.solvers.kernels.calls import CallArrays

    problem = loads.problem
    m = problem.m
    reads = np.array(
        [
            [
                problem.read_seconds(k, d, max((problem.read_sizes[k, i] for i in row), default=0.0))
                for d in range(m)
            ]
            for k, row in enumerate(problem.readers)
        ]
    ).reshape(len(problem.tensors), m)
    far = 1e3 * (1.0 + float(np.where(np.isfinite(problem.duration), problem.duration, 0.0).sum()))
    near: list[set[int]] = [set() for _ in range(loads.size)]
    group_of = loads.group_of.tolist()
    for _, i, j in problem.edges.tolist():
        if group_of[i] != group_of[j]:
            near[group_of[i]].add(j)
            near[group_of[j]].add(i)
    reader, reader_at = flat(problem.readers)
    made, made_at = flat(problem.outputs)
    layers, layers_at = flat(loads.layers)
    near_flat, near_at = flat([sorted(row) for row in near])
    weight_bytes = np.zeros(len(problem.weights))
    weight_bytes[problem.weight_of] = problem.weight_bytes
    room = np.minimum(problem.weight_capacity, problem.capacity[problem.memory_of])
    return CallArrays(
        duration=np.ascontiguousarray(problem.duration),
        release=problem.release.astype(float),
        device=label_devices(problem, calls),
        host=problem.host_device,
        source=problem.source.astype(np.int64),
        output=problem.output.astype(np.int64),
        receive=np.minimum(reads, far),
        send=np.minimum(np.ascontiguousarray(problem.move[:, :m, m]), far),
        reader=reader,
        reader_at=reader_at,
        made=made,
        made_at=made_at,
        layers=layers,
        layers_at=layers_at,
        group_of=loads.group_of,
        near=near_flat,
        near_at=near_at,
        order=linear_order(loads),
        weight_of=problem.weight_of.astype(np.int64),
        weight_bytes=weight_bytes,
        room=room if problem.execution.memory != "none" else np.full(m, np.inf),
    )


def anneal_until(loads: LoadProblem, search: Search, starts: list[IntArray], seconds: float) -> None:
    """Cycles of cooling, from each start in turn and then from the best, each longer than the one before."""
    from dnnplan.solvers.kernels.calls import anneal_calls

    problem = loads.problem
    arrays = call_arrays(loads, limit_of(problem) or 1)
    until = search.seconds + seconds
    fixed = search.settings.work_limit is not None
    chunk, cycle, done, rounds, number = FIRST_CHUNK, FIRST_CYCLE, 0, 0, 0
    best, value = starts[0], np.inf
    label = starts[0]
    while search.seconds < until and not search.finished():
        hot, cold = CYCLES[number % len(CYCLES)]
        chunk = min(chunk, cycle - done)
        if fixed:
            chunk = int(min(chunk, max(1, search.remaining_work * MOVES_PER_WORK)))
        heat = tuple(hot * (cold / hot) ** (moved / cycle) for moved in (done, done + chunk))
        began = search.seconds
        seed = (search.settings.seed + 7919 * rounds) % 2**32
        found, latency, label = anneal_calls(arrays, label, heat, chunk, seed)
        if latency < value:
            best, value = found, latency
            decisions = decode_labels(problem, found)
            if decisions is not None:
                search.propose(decisions)
        search.work += chunk / MOVES_PER_WORK
        done, rounds = done + chunk, rounds + 1
        if fixed:
            chunk = FIRST_CHUNK
        elif rounds > 1:
            took = max(search.seconds - began, 1e-6)
            chunk = max(100, int(chunk / took * min(CHUNK_SECONDS, max(until - search.seconds, 0.01))))
        if done >= cycle:
            done, number, cycle = 0, number + 1, min(int(1.5 * cycle), 20 * FIRST_CYCLE)
            label = starts[number] if number < len(starts) else best
