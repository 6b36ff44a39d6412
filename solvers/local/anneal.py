"""Simulated annealing on compiled list schedules."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import MappingProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.lists.heft import decode_list, rank_order
from dnnplan.solvers.local.host_search import host_search_is_ready, search_host, searches_host
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

KERNEL = "dnnplan.solvers.kernels.annealing:anneal"
COMPILER_SECONDS, LOADING_SECONDS = 12.0, 3.0
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
DECODES_PER_WORK = 10_000
FIRST_CHUNK, CHUNK, FIRST_CYCLE = 100, 1_000, 20_000
"""Steps in the first chunk, in a chunk under a work limit, and in the first cycle of cooling."""
CHUNK_SECONDS = 0.5
HOT, COLD = 6e-4, 1e-5
"""Temperatures relative to the cost: a step uphill of 0.06 % is likely at first, of 0.001 % at the end."""


class Anneal:
    """Restarted annealing of order and devices from the best plan so far; the compiled decoder is the judge.

    Host staging without overlap has kernels of its own (`dnnplan.solvers.local.host_search`), which time plans as they
    execute. Elsewhere transfers under host staging, without overlap or with contention are plain delays; each
    improvement is evaluated as it will execute before it counts.
    """

    summary = "simulated annealing of order and devices on compiled list schedules"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Simple plans, then annealing until the limits (at most 60 s of work where there is none)."""
        propose_simple_plans(problem, search)
        if not worth_compiling(search):
            return
        unlimited = np.isinf(search.remaining) and np.isinf(search.remaining_work)
        seconds = 60.0 if unlimited else search.remaining
        anneal_for(problem, search, seconds)


def worth_compiling(search: Search) -> bool:
    """Whether the time left allows for loading the compiled search, or for compiling it, once a machine."""
    if searches_host(search.problem):
        return host_search_is_ready(search)
    return worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS)


def anneal_for(problem: MappingProblem, search: Search, seconds: float, work: float = float("inf")) -> None:
    """Anneal from the incumbent for some seconds, in cycles of cooling, each twice as long as the one before.

    A cycle is cut into chunks, between which limits and `stop` are looked at. Chunks last about half a second; under a
    work limit they have a fixed number of steps, so that the run depends on the seed alone, and ends after that much
    `work`.
    """
    if search.best is None or problem.n < 2:
        return
    if searches_host(problem):
        search_host(problem, search, seconds)
        return
    readers, costs = reader_lists(problem), layer_costs(problem)
    until = search.seconds + seconds
    fixed = search.settings.work_limit is not None
    chunk, cycle, done, round_number = FIRST_CHUNK, FIRST_CYCLE, 0, 0
    limit = search.work + work
    while search.seconds < until and search.work < limit and not search.finished():
        if fixed:
            left = min(search.remaining_work, limit - search.work)
            chunk = int(min(CHUNK, max(1, left * DECODES_PER_WORK)))
        began = search.seconds
        if done == 0:
            state = start_of(problem, search)
        progress = (done / cycle, min(1.0, (done + chunk) / cycle))
        state = anneal_chunk(problem, search, (readers, costs), state, chunk, progress, round_number)
        search.work += chunk / DECODES_PER_WORK
        took = max(search.seconds - began, 1e-6)
        done += chunk
        round_number += 1
        if done >= cycle:
            cycle, done = 2 * cycle, 0
        if not fixed and round_number > 1:
            # The first chunk may have waited for the compiler and says nothing of the speed.
            chunk = max(1, int(chunk / took * min(CHUNK_SECONDS, until - search.seconds)))


def anneal_chunk(
    problem: MappingProblem,
    search: Search,
    data: tuple[tuple[IntArray, IntArray], tuple[FloatArray, float]],
    state: tuple[IntArray, IntArray],
    iterations: int,
    progress: tuple[float, float],
    round_number: int,
) -> tuple[IntArray, IntArray]:
    """Some steps of a cycle from an order and a placement; `progress` of the cooling from 0 to 1 at begin and end.

    Proposes the best plan on the way, and returns where it ended.
    """
    from dnnplan.solvers.kernels.annealing import anneal

    readers, (extra, weight) = data
    value = max(abs(search.value or 0.0), 1e-30)
    hot, cold = (value * HOT * (COLD / HOT) ** moment for moment in progress)
    seed = (search.settings.seed + round_number) % 2**32
    best_order, best_place, _, order, place = anneal(
        problem.arrays, readers, *state, extra, weight, (hot, cold), iterations, seed
    )
    decisions = decode_list(problem, problem.arrays, best_order, forced=best_place)
    if decisions is not None:
        search.propose(decisions)
    return order, place


def start_of(problem: MappingProblem, search: Search) -> tuple[IntArray, IntArray]:
    """Order (by start) and placement of the incumbent."""
    assert search.best is not None
    place = np.array(search.best.decisions.place, dtype=np.int64)
    if search.best.decisions.call_names != list(problem.layers):
        return rank_order(problem, problem.arrays), place
    position = np.empty(problem.n, dtype=np.int64)
    position[list(problem.topological)] = np.arange(problem.n)
    start, end = np.array(search.best.times.start), np.array(search.best.times.end)
    order: IntArray = np.lexsort((position, end, start)).astype(np.int64)
    return order, place


def reader_lists(problem: MappingProblem) -> tuple[IntArray, IntArray]:
    """The layers that read from each layer, as offsets and a flat list."""
    rows: list[list[int]] = [[] for _ in range(problem.n)]
    for _, i, j in problem.edges.tolist():
        rows[i].append(j)
    first = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return first, np.array([j for row in rows for j in row], dtype=np.int64)


def layer_costs(problem: MappingProblem) -> tuple[FloatArray, float]:
    """((n, m) cost of a layer on a device, cost of a second of makespan) for the terms that the decoder sees.

    Energy counts compute and idle power, not transfers; objectives other than latency and energy count as latency.
    """
    extra = np.zeros((problem.n, problem.m))
    weight = 0.0
    for name, factor in problem.stages[0]:
        if name in ("energy", "edp"):
            finite = np.isfinite(problem.duration)
            busy = np.where(finite, problem.duration, 0.0)
            extra += factor * np.where(finite, problem.energy - problem.idle_power[None, :] * busy, 0.0)
            weight += factor * float(problem.idle_power.sum())
        else:
            weight += factor
    return extra, max(weight, 1e-12)
