"""A mapping problem as the compiled local search sees it, and plans on their way in and out."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import Decisions, Evaluation, MappingProblem, decisions_of
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.local_search import Goal
from dnnplan.solvers.kernels.plan_state import Net, State
from dnnplan.solvers.lists.colocation import merged_groups
from dnnplan.solvers.lists.priced import excess_prices

MOST_PRECEDENCES = 200_000
"""Pairs of layers of jobs that wait for each other that the search heeds; more are left to the evaluation."""


def suits(problem: MappingProblem) -> bool:
    """Whether the search can time plans of this problem: one layer at a time on each device, or any number."""
    return bool(np.isin(problem.arrays.lanes, (0, 1)).all()) and problem.n >= 2


def net_of(
    problem: MappingProblem, best: Evaluation | None = None, paid: FloatArray | None = None
) -> tuple[Net, Goal]:
    """The arrays that do not change during a search.

    Parameters
    ----------
    best
        Where products of objectives are linearised.
    paid
        (n, m) prices of layers on devices, as `excess_prices` gives them; None: worked out.
    """
    a, n, m = problem.arrays, problem.n, problem.m
    duration = a.duration.copy()
    groups = [list(group) for group in merged_groups(problem)]
    for group in groups:
        duration[np.array(group)[:, None], np.flatnonzero(~np.isfinite(duration[group]).all(axis=0))] = np.inf
    edges = _edges(problem)
    pred_start, by_reader = _grouped(edges[2], n)
    succ_start, by_source = _grouped(edges[1], n)
    tensor = edges[0]
    size = np.where(tensor >= 0, a.size[tensor] if len(a.size) else 0.0, -1.0)
    row = np.where(tensor >= 0, a.row[tensor] if len(a.row) else -1, -1)
    rows, columns = np.nonzero(np.isfinite(duration))
    followers: list[list[int]] = [[] for _ in range(n)]
    for group in groups:
        for i in group:
            followers[i] = [j for j in group if j != i]
    finite = np.isfinite(a.latency[:m, :m])
    goal, extra, weights, due, price = _goal(problem, best)
    final, final_delay, moved = _finals(problem, goal)
    priced = bool(price.any())
    return (
        Net(
            duration=duration,
            base=_base(problem),
            extra=extra,
            paid=excess_prices(problem) if paid is None else paid,
            pred_start=pred_start,
            pred=edges[1][by_reader],
            pred_size=size[by_reader],
            pred_row=row[by_reader],
            succ_start=succ_start,
            succ=edges[2][by_source],
            succ_size=size[by_source],
            succ_row=row[by_source],
            latency=np.ascontiguousarray(a.latency[:m, :m]),
            per_byte=np.where(finite, a.per_byte[:m, :m], 0.0),
            table=np.ascontiguousarray(a.table[:, :m, :m]),
            unary=a.lanes == 1,
            allowed_start=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64),
            allowed=columns.astype(np.int64),
            group_start=_offsets([len(row) for row in followers]),
            group=np.array([j for row in followers for j in row], dtype=np.int64),
            weight=a.weight,
            room=a.room,
            final=final,
            final_delay=final_delay,
            final_job=problem.job_of[final].astype(np.int64),
            job_weight=weights,
            job_due=due,
            tensor_price=price,
            in_start=a.in_start if priced else np.zeros(1, dtype=np.int64),
            in_tensor=a.in_tensor,
            out_start=_offsets([len(row) for row in problem.outputs])
            if priced
            else np.zeros(1, dtype=np.int64),
            out_tensor=np.array([k for row in problem.outputs for k in row], dtype=np.int64),
            reader_start=problem.reader_start.astype(np.int64) if priced else np.zeros(1, dtype=np.int64),
            reader=problem.reader.astype(np.int64),
            source=a.source,
            size=a.size,
        ),
        goal._replace(by_final=moved),
    )


def _offsets(counts: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _grouped(keys: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Offsets by key, and the stable order that groups by it."""
    counts = np.bincount(keys, minlength=n)
    return _offsets(counts.tolist()), np.argsort(keys, kind="stable").astype(np.int64)


def _edges(problem: MappingProblem) -> tuple[IntArray, IntArray, IntArray]:
    """(tensor or -1, earlier layer, later layer): tensors, then jobs that wait for each other (ends to begins)."""
    edges = problem.edges
    tensor, source, reader = (edges[:, c].astype(np.int64) for c in range(3))
    if not problem.precedences:
        return tensor, source, reader
    has_reader = np.bincount(source, minlength=problem.n) > 0
    has_source = np.bincount(reader, minlength=problem.n) > 0
    waits: list[tuple[int, int]] = []
    for before, after in problem.precedences:
        ends = np.flatnonzero((problem.job_of == before) & ~has_reader).tolist()
        begins = np.flatnonzero((problem.job_of == after) & ~has_source).tolist()
        if len(waits) + len(ends) * len(begins) > MOST_PRECEDENCES:
            break
        waits += [(i, j) for i in ends for j in begins]
    pairs = np.array(waits, dtype=np.int64).reshape(-1, 2)
    return (
        np.concatenate([tensor, np.full(len(pairs), -1, dtype=np.int64)]),
        np.concatenate([source, pairs[:, 0]]),
        np.concatenate([reader, pairs[:, 1]]),
    )


def _base(problem: MappingProblem) -> FloatArray:
    """(n, m) earliest start for the release of the job and inputs from the host."""
    a, n, m = problem.arrays, problem.n, problem.m
    base = np.repeat(a.release[:, None], m, axis=1).astype(float)
    tensors = problem.edge_tensor
    for e in np.flatnonzero(a.source[tensors] < 0).tolist():
        k, i = int(tensors[e]), int(problem.reader[e])
        if a.row[k] >= 0:
            moves = a.table[a.row[k], m, :m]
        else:
            moves = a.latency[m, :m] + np.where(
                np.isfinite(a.latency[m, :m]), a.size[k] * a.per_byte[m, :m], 0.0
            )
        base[i] = np.maximum(base[i], a.ready[k] + moves)
    return np.ascontiguousarray(base.reshape(n, m))


def _finals(problem: MappingProblem, goal: Goal) -> tuple[IntArray, FloatArray, bool]:
    """Layers whose end counts, seconds of their output's way to the host, and whether all layers without readers do."""
    n, m, host = problem.n, problem.m, problem.host
    after = np.zeros((n, m))
    sends = np.zeros(n, dtype=bool)
    if host and problem.execution.staging == "direct":
        for k in np.flatnonzero(problem.output & (problem.source >= 0)).tolist():
            i = int(problem.source[k])
            after[i] = np.maximum(after[i], [problem.move_seconds(k, d, m) for d in range(m)])
            sends[i] = True
    every = bool((problem.arrays.lanes == 0).any())
    if every or goal.by_job:
        sends |= np.bincount(problem.edges[:, 1], minlength=n) == 0
    return np.flatnonzero(sends).astype(np.int64), after, every


def _goal(
    problem: MappingProblem, best: Evaluation | None
) -> tuple[Goal, FloatArray, FloatArray, FloatArray, FloatArray]:
    """What a second costs, (n, m) costs of layers on devices, weight and due date of jobs, and price of bytes.

    Energy counts compute, idle power and, under direct staging, sends; the product of energy and latency is taken
    linearly at the best plan; other objectives count as latency.
    """
    n, m = problem.n, problem.m
    extra, price = np.zeros((n, m)), np.zeros((m + 1, m + 1))
    weights = np.zeros(len(problem.jobs))
    due = np.array([job.release for job in problem.jobs])
    weight, by_job = 0.0, False
    direct = problem.execution.staging == "direct"
    finite = np.isfinite(problem.duration)
    busy = np.where(finite, problem.duration, 0.0)
    spent = np.where(finite, problem.energy - problem.idle_power[None, :] * busy, 0.0)
    for name, share in problem.stages[0]:
        factor = share
        if name in ("energy", "edp"):
            if name == "edp" and best is not None:
                weight += share * best.cost.energy
                factor = share * best.cost.latency
            extra += factor * spent
            weight += factor * float(problem.idle_power.sum())
            if direct:
                price += factor * problem.routes.energy_per_byte[: m + 1, : m + 1]
        elif name == "traffic" and direct:
            price += factor * ~problem.routes.zero_copy[: m + 1, : m + 1]
        elif name == "weighted_completion":
            weights += [factor * job.weight for job in problem.jobs]
            by_job = True
        elif name == "tardiness":
            timely = [job.due is not None for job in problem.jobs]
            weights += [
                factor * job.weight if late else 0.0 for job, late in zip(problem.jobs, timely, strict=True)
            ]
            due = np.array([job.release if job.due is None else job.due for job in problem.jobs])
            by_job = True
        else:
            weight += factor
    scale = max(abs(best.cost.latency) if best is not None else 1.0, 1e-30)
    least = (
        1e-9
        * max(float(np.abs(extra).max(initial=0.0)), float(weights.max(initial=0.0)) * scale, 1e-9)
        / scale
    )
    if not problem.host:
        price[m, :] = 0.0
    return Goal(max(weight, least), 0.0, False, by_job), extra, weights, due.astype(float), price


def state_of(net: Net) -> State:
    """Space for a plan of that problem."""
    n, m = net.duration.shape

    def ints(count: int) -> IntArray:
        return np.zeros(count, dtype=np.int64)

    return State(
        order=np.arange(n, dtype=np.int64),
        position=ints(n),
        place=ints(n),
        before=ints(n),
        after=ints(n),
        first=ints(m),
        last=ints(m),
        end=np.zeros(n),
        tail=np.zeros(n),
        dirty=np.zeros(n, dtype=np.bool_),
        late=np.zeros(n, dtype=np.bool_),
        late_list=ints(n),
        old_layer=ints(n),
        old_end=np.zeros(n),
        move_layer=ints(n + 64),
        move_position=ints(n + 64),
        move_place=ints(n + 64),
        total=np.zeros(1),
        used=np.zeros(m),
        held=np.zeros(m + 1, dtype=np.bool_),
        counts=ints(8),
        random=np.ones(1, dtype=np.int64),
    )


def plan_in(problem: MappingProblem, plan: Evaluation) -> tuple[IntArray, IntArray]:
    """Order (by start) and devices of a plan; calls of several layers are taken apart."""
    place = np.array(plan.decisions.place, dtype=np.int64)
    position = np.empty(problem.n, dtype=np.int64)
    position[list(problem.topological)] = np.arange(problem.n)
    start, end = np.empty(problem.n), np.empty(problem.n)
    for call, layers in enumerate(plan.decisions.calls):
        start[list(layers)], end[list(layers)] = plan.start[call], plan.end[call]
    order: IntArray = np.lexsort((position, end, start)).astype(np.int64)
    return order, place


def plan_out(problem: MappingProblem, order: IntArray, place: IntArray) -> Decisions:
    """The plan of an order and devices."""
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    where = place.tolist()
    for i in order.tolist():
        rows[where[i]].append(i)
    return decisions_of(problem, where, rows)
