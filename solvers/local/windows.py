"""Large neighbourhood search over windows of a schedule: each sub-problem is as small as its window."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.mapping.window import Schedule, Window, build_window
from dnnplan.solvers.search import Search

SMALLEST, FIRST, LARGEST = 8, 24, 120
"""Free layers in a window: at least, at first, at most."""
WIDEST = 4
"""Layers in a window by free ones, where only some kind of them is free."""
SUB_SECONDS, SUB_WORK, DEFAULT_SECONDS = 1.5, 0.3, 60.0
TICKS = 2e6
"""Ticks in a plan: rounding is to the nearest, and plans are evaluated anew."""
STEP = 1e-4
"""By how much a plan must be better, of its length."""
Kind = Callable[[MappingProblem, Schedule, list[int], np.random.Generator], list[int]]


def suits_windows(problem: MappingProblem) -> bool:
    """Whether windows time plans exactly: latency, direct staging, overlap, one layer at a time, memory unlimited."""
    execution = problem.execution
    return (
        problem.stages[0] == (("latency", 1.0),)
        and execution.staging == "direct"
        and execution.overlap
        and execution.contention == "none"
        and execution.memory == "none"
        and (not problem.host or execution.weights == "resident")
        and problem.host_device < 0
        and not problem.precedences
        and not problem.colocate
        and problem.n >= 2 * SMALLEST
        and bool((problem.slots == 1).all())
    )


def schedule_of(problem: MappingProblem, search: Search) -> Schedule:
    """The incumbent in time, and its tails."""
    assert search.best is not None
    place = np.array(search.best.decisions.place, dtype=np.int64)
    end, start = np.array(search.best.end), np.array(search.best.start)
    rank = np.empty(problem.n, dtype=np.int64)
    rank[list(problem.topological)] = np.arange(problem.n)
    order: IntArray = np.lexsort((rank, end, start)).astype(np.int64)
    position = np.empty(problem.n, dtype=np.int64)
    position[order] = np.arange(problem.n)
    tail = tails_of(problem, order, place)
    return Schedule(order, position, place, end, tail, search.best.cost.latency)


def tails_of(problem: MappingProblem, order: IntArray, place: IntArray) -> FloatArray:
    """(n,) seconds from the end of each layer to the end of the plan, at least."""
    tail = np.zeros(problem.n)
    where = place.tolist()
    behind = [0.0] * problem.m
    for i in order[::-1].tolist():
        d = where[i]
        longest = behind[d]
        for k in problem.outputs[i]:
            for j in problem.readers[k]:
                b = where[j]
                way = problem.move_seconds(k, d, b) if b != d else 0.0
                longest = max(longest, way + problem.duration[j, b] + tail[j])
            if problem.output[k] and problem.host:
                longest = max(longest, problem.move_seconds(k, d, problem.m))
        tail[i] = longest
        behind[d] = longest + problem.duration[i, d]
    return tail


def all_free(
    problem: MappingProblem, plan: Schedule, inside: list[int], rng: np.random.Generator
) -> list[int]:
    """Every layer of the window."""
    return inside


def two_devices(
    problem: MappingProblem, plan: Schedule, inside: list[int], rng: np.random.Generator
) -> list[int]:
    """The layers of two random devices."""
    pair = rng.choice(problem.m, size=min(2, problem.m), replace=False).tolist()
    return [i for i in inside if plan.place[i] in pair]


def one_network(
    problem: MappingProblem, plan: Schedule, inside: list[int], rng: np.random.Generator
) -> list[int]:
    """The layers of the job of a random layer."""
    job = problem.job_of[inside[int(rng.integers(len(inside)))]]
    return [i for i in inside if problem.job_of[i] == job]


def critical(
    problem: MappingProblem, plan: Schedule, inside: list[int], rng: np.random.Generator
) -> list[int]:
    """The layers with least slack."""
    slack = [plan.latency - plan.end[i] - plan.tail[i] for i in inside]
    count = max(SMALLEST, len(inside) // WIDEST)
    chosen = set(np.argsort(slack, kind="stable")[:count].tolist())
    return [i for q, i in enumerate(inside) if q in chosen]


def at_random(
    problem: MappingProblem, plan: Schedule, inside: list[int], rng: np.random.Generator
) -> list[int]:
    """Some layers, whatever they are."""
    count = max(SMALLEST, len(inside) // WIDEST)
    chosen = set(rng.choice(len(inside), size=min(count, len(inside)), replace=False).tolist())
    return [i for q, i in enumerate(inside) if q in chosen]


KINDS: dict[str, tuple[Kind, int]] = {
    "time window": (all_free, 1),
    "device pair": (two_devices, 2),
    "network": (one_network, WIDEST),
    "critical path": (critical, WIDEST),
    "random": (at_random, WIDEST),
}
"""What is free in a window, and layers in it by free ones."""


class Bandit:
    """Which kind comes next: the one with the best success per unit of effort, each now and then at random.

    Thompson-like choices need no clock: gains and efforts are sums that fade, and a share of choices is uniform.
    """

    FADE, UNIFORM = 0.95, 0.25

    def __init__(self, names: list[str], rng: np.random.Generator) -> None:
        self.names, self.rng = names, rng
        self.gain = dict.fromkeys(names, 1.0)
        self.effort = dict.fromkeys(names, 1.0)

    def choose(self) -> str:
        """The next kind."""
        if self.rng.random() < self.UNIFORM:
            return self.names[int(self.rng.integers(len(self.names)))]
        return max(self.names, key=lambda name: self.gain[name] / self.effort[name])

    def learn(self, name: str, gain: float, effort: float) -> None:
        """What a choice brought, and what it took."""
        self.gain[name] = self.FADE * self.gain[name] + gain
        self.effort[name] = self.FADE * self.effort[name] + effort


def improve_windows(
    problem: MappingProblem,
    search: Search,
    *,
    until: float = math.inf,
    work: float = math.inf,
    workers: int = 1,
) -> None:
    """Improve the incumbent, window after window, until that second of the search, or for that much work.

    Without any limit it ends after a minute. The number of free layers adapts for each kind: up when windows
    are exhausted, down when they are not.
    """
    rng = np.random.default_rng(search.settings.seed + len(search.history))
    bandit = Bandit(list(KINDS), rng)
    sizes = dict.fromkeys(KINDS, float(FIRST))
    limit = search.work + work
    if math.isinf(min(until, search.remaining, search.remaining_work, work)):
        until = search.seconds + DEFAULT_SECONDS
    known, plan = None, None
    tick = search.best.cost.latency / TICKS if search.best is not None else 1.0
    while (
        search.best is not None and search.seconds < until and search.work < limit and not search.finished()
    ):
        if plan is None or search.best is not known:
            known, plan = search.best, schedule_of(problem, search)
        name = bandit.choose()
        kind, wide = KINDS[name]
        span = min(problem.n, int(sizes[name]) * wide)
        first = int(rng.integers(-span // 2, problem.n - span // 2))
        first = min(max(first, 0), problem.n - span)
        inside = plan.order[first : first + span].tolist()
        free = kind(problem, plan, inside, rng)
        if len(free) < 2:
            bandit.learn(name, 0.0, 0.05)
            continue
        window = build_window(problem, plan, first, first + span - 1, free[: LARGEST * 2], tick)
        effort, exhausted, value = solve_window(problem, search, plan, window, workers)
        if exhausted and len(window.free) == problem.n:
            return  # nothing better exists
        fixed = math.isfinite(search.remaining_work)
        bandit.learn(name, max(0.0, 1.0 - value / plan.latency), effort if fixed else max(effort, 0.01))
        top = min(LARGEST, problem.n / wide)
        sizes[name] = min(sizes[name] * 1.08, top) if exhausted else max(sizes[name] * 0.9, SMALLEST)


def solve_window(
    problem: MappingProblem, search: Search, plan: Schedule, window: Window, workers: int
) -> tuple[float, bool, float]:
    """Effort, whether the window was exhausted, and the length of the best plan found in it."""
    from ortools.sat.python import cp_model

    goal = plan.latency * (1 - STEP) - window.origin
    window.model.add(window.length <= int(goal / window.tick))
    solver = cp_model.CpSolver()
    parameters = solver.parameters
    fixed = math.isfinite(search.remaining_work)
    if fixed:
        parameters.max_deterministic_time = min(SUB_WORK, search.remaining_work)
    else:
        parameters.max_time_in_seconds = max(0.01, min(SUB_SECONDS, search.remaining))
    parameters.num_workers = workers
    parameters.random_seed = search.settings.seed
    parameters.cp_model_probing_level = 0
    parameters.catch_sigint_signal = False
    status = solver.solve(window.model)
    effort = float(solver.response_proto.deterministic_time)
    search.work += effort
    seconds = effort if fixed else float(solver.wall_time)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        before = search.value
        search.propose(decisions_in(problem, plan, window, solver.value))
        value = (
            search.best.cost.latency if search.best is not None and search.value != before else plan.latency
        )
        return seconds, status == cp_model.OPTIMAL, value
    return seconds, status == cp_model.INFEASIBLE, plan.latency


def decisions_in(
    problem: MappingProblem, plan: Schedule, window: Window, value: Callable[[object], int]
) -> Decisions:
    """The plan with the window as the solver left it."""
    place = plan.place.copy()
    for i, row in window.x.items():
        place[i] = next(d for d, x in row.items() if value(x))
    position = {i: q for q, i in enumerate(window.inside)}
    rank = {i: r for r, i in enumerate(problem.topological)} if len(position) < problem.n else None
    begin = {i: value(window.start[i]) for i in window.inside}
    finish = {i: value(window.end[i]) for i in window.inside}
    tie = rank if rank is not None else {i: r for r, i in enumerate(problem.topological)}
    inside = sorted(window.inside, key=lambda i: (begin[i], finish[i], tie[i]))
    first = int(plan.position[window.inside].min())
    order = [*plan.order[:first].tolist(), *inside, *plan.order[first + len(inside) :].tolist()]
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    for i in order:
        rows[place[i]].append(i)
    return decisions_of(problem, place.tolist(), rows)
