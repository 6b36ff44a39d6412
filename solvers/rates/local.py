"""Local search on list schedules: jobs late at a cycle slightly shorter than the best are brought into time."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.periodic import CyclicPlan, PeriodicProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.rates.search import DECODES_PER_WORK, Phase, RateSearch

TARGET = 2e-3
"""By how much the cycle that is aimed for is shorter than the best, relatively."""
HOT, COLD = 3e-3, 1e-4
"""Temperatures, relative to the cycle."""
ROUND, CHUNK = 20_000, 2_000
"""Steps of the first cooling, each of which lasts half as long again as the one before; and between looks at limits."""
MOST_TWINS = 64
"""Jobs of a task up to which a layer is moved in all of them at once."""
Lists = tuple[IntArray, IntArray]
"""(n + 1,) offsets and flat lists."""
WIDENINGS = (1.05, 1.2, 1.5, 2.0, 4.0, 16.0, 256.0)


def list_schedules(search: RateSearch) -> None:
    """The urgent first, each layer where it ends first: at the shortest cycle, of some, that this holds for."""
    problem, decoder = search.periodic, search.decoder
    assert problem is not None
    free = np.full(problem.mapping.n, -1, dtype=np.int64)
    low = search.bound or 0.0
    for factor in WIDENINGS:
        if search.finished():
            return
        high = max(low, 1e-12) * factor
        order = decoder.urgency(high)
        plan = decoder.shortest(order, free, low, high)
        search.decoded()
        if plan is not None and search.offer(plan):
            return


def anneal(search: RateSearch, phase: Phase) -> None:
    """Simulated annealing of placement and order until the end of a phase, where its compiled loop is worth loading.

    The cost of a state is the sum of what layers are late by in its list schedule at the target. A state without
    lateness is a plan: it is tightened, and the target becomes shorter.
    """
    if search.cyclic is None or search.periodic is None or search.periodic.mapping.n < 2:
        return
    if not search.decoder.fast:
        return
    steps, taken, chunk = ROUND, 0, 0
    readers, twins = _readers(search.periodic), _twins(search.periodic)
    state = _incumbent(search)
    while not search.over(phase):
        assert search.value is not None
        cycle = max(search.value * (1 - TARGET), search.bound or 0.0)
        size = min(CHUNK, steps - taken)
        if math.isfinite(phase.work):
            size = max(1, min(size, int((phase.work - search.work) * DECODES_PER_WORK)))
        progress = (taken / steps, min(1.0, (taken + size) / steps))
        state, start, late, done = _chunk(search, (readers, twins), state, cycle, progress, size, chunk)
        chunk, taken = chunk + 1, taken + size
        search.work += max(done, 1) / DECODES_PER_WORK
        if late <= 0:
            plan = CyclicPlan(cycle=cycle, place=tuple(state[1].tolist()), start=tuple(start.tolist()))
            if not search.offer(plan):
                state = _incumbent(search)
        if taken >= steps:
            steps, taken, state = steps + steps // 2, 0, _incumbent(search)


def _chunk(
    search: RateSearch,
    data: tuple[Lists, Lists],
    state: tuple[IntArray, IntArray],
    cycle: float,
    progress: tuple[float, float],
    size: int,
    number: int,
) -> tuple[tuple[IntArray, IntArray], FloatArray, float, int]:
    """Some steps of a round; `progress` of its cooling from 0 to 1 at begin and end."""
    from dnnplan.solvers.kernels.modulo_annealing import anneal_modulo

    decoder = search.decoder
    hot, cold = (cycle * HOT * (COLD / HOT) ** moment for moment in progress)
    order, place, start, late, done = anneal_modulo(
        decoder.at(cycle),
        data,
        state,
        (decoder.after, decoder.due(cycle)),
        float(cycle),
        (hot, cold),
        size,
        (search.settings.seed + number) % 2**32,
    )
    return (order, place), start, float(late), int(done)


def _incumbent(search: RateSearch) -> tuple[IntArray, IntArray]:
    """Order by start, and placement, of the best plan."""
    plan = search.cyclic
    assert plan is not None
    order = np.lexsort((search.decoder.rank, np.array(plan.start))).astype(np.int64)
    return order, np.array(plan.place, dtype=np.int64)


def _readers(problem: PeriodicProblem) -> Lists:
    """The layers that read from each layer."""
    rows: list[list[int]] = [[] for _ in range(problem.mapping.n)]
    for _, i, j in problem.mapping.edges.tolist():
        rows[i].append(j)
    return _flat(rows)


def _twins(problem: PeriodicProblem) -> Lists:
    """The same layer in all jobs of its task."""
    view = problem.mapping
    by_key: dict[tuple[str, int], list[int]] = {}
    for job, layers in enumerate(problem.layers_of_job):
        for position, i in enumerate(layers):
            by_key.setdefault((view.jobs[job].task, position), []).append(i)
    rows: list[list[int]] = [[] for _ in range(view.n)]
    for group in by_key.values():
        for i in group:
            rows[i] = group if len(group) <= MOST_TWINS else [i]
    return _flat(rows)


def _flat(rows: list[list[int]]) -> Lists:
    first = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return first, np.array([j for row in rows for j in row], dtype=np.int64)
