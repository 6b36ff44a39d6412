"""Which layers a large neighbourhood search sets free; each function returns about `size` layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dnnplan.costs import Evaluation

Neighbourhood = Callable[[Evaluation, int, np.random.Generator], list[int]]


def time_window(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """The layers that run nearest to a random moment."""
    start, end = np.array(plan.times.start), np.array(plan.times.end)
    moment = rng.uniform(0.0, plan.cost.latency)
    distance = np.maximum(np.maximum(start - moment, moment - end), 0.0)
    return np.lexsort((np.arange(len(start)), distance))[:size].tolist()  # type: ignore[no-any-return]


def device_pair(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """The layers of two random devices, nearest to a random moment."""
    problem = plan.problem
    pair = rng.choice(problem.m, size=min(2, problem.m), replace=False).tolist()
    near = time_window(plan, problem.n, rng)
    return [i for i in near if plan.decisions.place[i] in pair][:size]


def network(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """The layers of one random job, nearest to a random moment."""
    job = int(rng.integers(len(plan.problem.jobs)))
    near = time_window(plan, plan.problem.n, rng)
    return [i for i in near if plan.problem.job_of[i] == job][:size]


def last_finishers(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """Layers drawn with a preference for those that end late, and their neighbours on the device."""
    end = np.array(plan.times.end)
    keys = rng.uniform(size=len(end)) ** (plan.cost.latency / np.maximum(end, 1e-300))
    return np.lexsort((np.arange(len(end)), -keys))[:size].tolist()  # type: ignore[no-any-return]


def critical(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """The layers with least slack near a random moment, found among four times as many."""
    from dnnplan.solvers.local.windows import tails_of

    near = np.array(time_window(plan, 4 * size, rng), dtype=np.int64)
    start, end = np.array(plan.times.start), np.array(plan.times.end)
    position = np.empty(plan.problem.n, dtype=np.int64)
    position[list(plan.problem.topological)] = np.arange(plan.problem.n)
    order = np.lexsort((position, end, start)).astype(np.int64)
    tail = tails_of(plan.problem, order, np.array(plan.decisions.place, dtype=np.int64))
    late = end[near] + tail[near]
    return near[np.argsort(-late, kind="stable")[:size]].tolist()  # type: ignore[no-any-return]


def at_random(plan: Evaluation, size: int, rng: np.random.Generator) -> list[int]:
    """Any layers."""
    n = plan.problem.n
    return sorted(rng.choice(n, size=min(size, n), replace=False).tolist())


NEIGHBOURHOODS: dict[str, Neighbourhood] = {
    "time window": time_window,
    "device pair": device_pair,
    "network": network,
    "late layers": last_finishers,
    "critical path": critical,
    "random": at_random,
}
