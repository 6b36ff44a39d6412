"""Constraints of serving, one function each.

Symbols: operations o = (i, q), u: stage q of sample i; j samples, with the last operation e(j); r releases; L(q, b) and
tau(q, b) latency and transfer of a batch of b samples, s(q, b) = L(q, b) / b; H the horizon; start(o), end(o);
size(o, b) = 1: o is in a batch of b; same(o, u) = 1: they share a batch; ahead(o, u) = 1: the batch of o ends before
that of u starts; pays(o, j, b) = 1: j waits for o, in a batch of b; late(j).
"""

from __future__ import annotations

from itertools import permutations

import pulp

from dnnplan.formulations.serving.milp.variables import Variables


def batches_have_a_size(v: Variables) -> None:
    """Sum over b of size(o, b) = 1;  sum over u of same(o, u) = sum over b of (b - 1) size(o, b).

    Without it batches could be of any size, and cost what they like.
    """
    for o in v.operations.all:
        sizes = v.operations.sizes(o[1])
        v.model += pulp.lpSum(v.size[o, b] for b in sizes) == 1
        others = [x for pair, x in v.same.items() if o in pair]
        v.model += pulp.lpSum(others) == pulp.lpSum((b - 1) * v.size[o, b] for b in sizes)


def sharing_is_transitive(v: Variables) -> None:
    """same(o, w) + same(w, u) - same(o, u) <= 1.

    Follows from the times: what starts together is not ahead of each other. It makes the relaxation tighter.
    """
    by_stage: dict[int, list[tuple[int, int]]] = {}
    for o in v.operations.all:
        by_stage.setdefault(o[1], []).append(o)
    for ops in by_stage.values():
        for o, u, w in permutations(ops, 3):
            if o < u:
                v.model += v.together(o, w) + v.together(w, u) - v.together(o, u) <= 1


def batches_start_together(v: Variables) -> None:
    """start(o) - start(u) <= H (1 - same(o, u)), both ways.  Without it one batch would run at two times."""
    horizon = v.operations.horizon / v.second
    for (o, u), same in v.same.items():
        v.model += v.start[o] - v.start[u] <= horizon * (1 - same)
        v.model += v.start[u] - v.start[o] <= horizon * (1 - same)


def batches_take_their_time(v: Variables) -> None:
    """end(o) = start(o) + sum over b of L(q, b) size(o, b).  Without it batches would take no time."""
    latency = v.problem.serving.latency / v.second
    for o in v.operations.all:
        lasts = pulp.lpSum(float(latency[o[1], b]) * v.size[o, b] for b in v.operations.sizes(o[1]))
        v.model += v.end[o] == v.start[o] + lasts


def stages_follow_each_other(v: Variables) -> None:
    """start(i, q + 1) >= end(i, q) + sum over b of tau(q, b) size((i, q), b).

    Without it a sample could run its stages at once. That no stage starts before r(i) is in the bounds of `start`.
    """
    transfer = v.problem.serving.transfer / v.second
    for i, q in v.operations.all:
        if (i, q + 1) in v.start:
            moves = pulp.lpSum(
                float(transfer[q, b]) * v.size[(i, q), b] for b in v.operations.sizes(q) if transfer[q, b] > 0
            )
            v.model += v.start[i, q + 1] >= v.end[i, q] + moves


def devices_run_one_batch(v: Variables) -> None:
    """ahead(o, u) + ahead(u, o) + same(o, u) = 1;  end(o) - start(u) <= H (1 - ahead(o, u)).

    For operations of different samples on one device. Without it a device could run two batches at once.
    """
    horizon = v.operations.horizon / v.second
    for (o, u), ahead in v.ahead.items():
        if o < u:
            v.model += ahead + v.ahead[u, o] + v.together(o, u) == 1
        v.model += v.end[o] - v.start[u] <= horizon * (1 - ahead)


def order_is_that_of_stages(v: Variables) -> None:
    """ahead((i, q + 1), u) <= ahead((i, q), u);  ahead(u, (i, q)) <= ahead(u, (i, q + 1)).

    Where they are on one device. Follows from the times; it makes the relaxation tighter.
    """
    for (o, u), ahead in v.ahead.items():
        before, behind = (o[0], o[1] - 1), (u[0], u[1] + 1)
        if (before, u) in v.ahead:
            v.model += ahead <= v.ahead[before, u]
        if (o, behind) in v.ahead:
            v.model += ahead <= v.ahead[o, behind]


def alike_samples_keep_their_order(v: Variables) -> None:
    """ahead((j, q), (i, q)) = 0 for samples i, j that are alike, i the earlier one (`Operations.in_order`).

    Leaves out answers that differ only in who is who.
    """
    for i, j in v.operations.in_order:
        for q in range(int(v.problem.first[i]), int(v.problem.beyond[i])):
            v.model += v.ahead[(j, q), (i, q)] == 0


def samples_wait_for_each_other(v: Variables) -> None:
    """Sum over b of pays(o, j, b) = ahead(o, e(j)) + same(o, e(j));  pays(o, j, b) <= size(o, b).

    For each release r(k) <= r(j):
    end(e(j)) >= r(k) + sum over own o, b of s(q, b) size(o, b) + sum over o, b of pays(o, j, b) s(q, b),
    o among the operations on the device of e(j) of samples that come at r(k) or later: all of these run between r(k)
    and the end of j, one after the other. Follows from the times; without it the relaxation knows nothing of queues
    (`pair_bound`).
    """
    ops, part = v.operations, v.operations.part / v.second
    release = ops.release / v.second
    for j in range(v.problem.n):
        last = ops.last(j)
        own, others = [], []
        for o in ops.all:
            if ops.device(o) != ops.device(last):
                continue
            sizes = ops.sizes(o[1])
            if o[0] == j:
                own += [float(part[o[1], b]) * v.size[o, b] for b in sizes]
                continue
            v.model += pulp.lpSum(v.pays[o, j, b] for b in sizes) == v.ahead[o, last] + v.together(o, last)
            for b in sizes:
                v.model += v.pays[o, j, b] <= v.size[o, b]
                others.append((float(release[o[0]]), float(part[o[1], b]) * v.pays[o, j, b]))
        for time in sorted({float(x) for x in release[: j + 1]}):
            paid = pulp.lpSum(term for came, term in others if came >= time)
            v.model += v.end[last] >= time + pulp.lpSum(own) + paid


def lateness_shows(v: Variables) -> None:
    """end(e(j)) <= d(j) + H late(j).  Without it nobody would be late."""
    horizon = v.operations.horizon / v.second
    for j, late in v.late.items():
        deadline = float(v.operations.deadline[j]) / v.second
        if deadline < horizon:
            v.model += v.end[v.operations.last(j)] <= deadline + (horizon - min(deadline, 0.0)) * late
