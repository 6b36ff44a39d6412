"""Local search on sequences of batches: moves, and the earliest times of a sequence.

Importing this module loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.plan_state import chance, draw

BATCHES = 0
"""Entry of `Sequence.state`: the number of batches."""
NOW, BEST = 0, 1
"""Entries of `Sequence.value`: cost of the sequence, and of the best one."""


class Given(NamedTuple):
    """What does not change: n samples, Q stages, D devices.

    Parameters
    ----------
    release, weight, deadline
        (n,)
    first, beyond
        (n,) first stage, and one more than the last.
    device, latency, transfer, switch
        (Q,), (Q, B + 1), (Q, B + 1), (Q,)
    second, late
        Cost of a second of latency, and of being late, by unit of weight.
    """

    release: FloatArray
    weight: FloatArray
    deadline: FloatArray
    first: IntArray
    beyond: IntArray
    device: IntArray
    latency: FloatArray
    transfer: FloatArray
    switch: FloatArray
    second: float
    late: float


class Sequence(NamedTuple):
    """Batches in the order of their starts, the best ones so far, and scratch space; K is the number of operations.

    Parameters
    ----------
    stage, size, member
        (K + 1,), (K + 1,), (K + 1, B)
    best_stage, best_size, best_member
        The same of the best sequence; old_...: of the one before a move.
    """

    stage: IntArray
    size: IntArray
    member: IntArray
    old_stage: IntArray
    old_size: IntArray
    old_member: IntArray
    best_stage: IntArray
    best_size: IntArray
    best_member: IntArray
    following: IntArray
    ready: FloatArray
    free: FloatArray
    ran: IntArray
    random: IntArray
    state: IntArray
    value: FloatArray


@kernel
def cost_of(g: Given, s: Sequence) -> float:
    """Cost of the sequence with earliest starts; infinite where a stage comes before the one in front of it."""
    n = g.release.shape[0]
    for j in range(n):
        s.following[j], s.ready[j], s.ran[j] = g.first[j], g.release[j], -1
    for d in range(s.free.shape[0]):
        s.free[d], s.ran[n + d] = 0.0, -1
    total = 0.0
    # `ran`: number of the last batch of each sample, and behind the samples of each device.
    for k in range(s.state[BATCHES]):
        q, size = s.stage[k], s.size[k]
        d = g.device[q]
        start, back = s.free[d], 0
        before = s.ran[n + d]
        for i in range(size):
            j = s.member[k, i]
            if s.following[j] != q:
                return np.inf
            start = max(start, s.ready[j])
            if before < 0 or s.ran[j] != before:
                back += 1
        end = start + g.latency[q, size] + g.switch[q] * back
        s.free[d] = end
        s.ran[n + d] = k
        for i in range(size):
            j = s.member[k, i]
            s.following[j] = q + 1
            s.ready[j] = end + g.transfer[q, size]
            s.ran[j] = k
            if q + 1 == g.beyond[j]:
                total += g.second * g.weight[j] * (end - g.release[j])
                if end > g.deadline[j]:
                    total += g.late * g.weight[j]
    return total


@inner
def remove_batch(s: Sequence, k: int) -> None:
    """Take a batch out of the sequence."""
    for x in range(k, s.state[BATCHES] - 1):
        s.stage[x], s.size[x] = s.stage[x + 1], s.size[x + 1]
        s.member[x, :] = s.member[x + 1, :]
    s.state[BATCHES] -= 1


@inner
def insert_batch(s: Sequence, k: int, stage: int) -> None:
    """Put an empty batch at place k."""
    for x in range(s.state[BATCHES], k, -1):
        s.stage[x], s.size[x] = s.stage[x - 1], s.size[x - 1]
        s.member[x, :] = s.member[x - 1, :]
    s.stage[k], s.size[k] = stage, 0
    s.state[BATCHES] += 1


@inner
def add_member(s: Sequence, k: int, j: int) -> None:
    """Add a sample to a batch."""
    s.member[k, s.size[k]] = j
    s.size[k] += 1


@inner
def take_member(s: Sequence, k: int, i: int) -> int:
    """Take the sample in place i out of a batch; a batch that gets empty stays."""
    j = s.member[k, i]
    s.size[k] -= 1
    s.member[k, i] = s.member[k, s.size[k]]
    return int(j)


@inner
def nearby(s: Sequence, k: int, reach: int) -> int:
    """Another place of a batch, at most `reach` places away."""
    low, high = max(0, k - reach), min(s.state[BATCHES] - 1, k + reach)
    return low + draw(s, high - low + 1)


@inner
def same_stage(s: Sequence, k: int, reach: int) -> int:
    """A batch of the same stage near batch k, from a random place on; -1: there is none."""
    low, high = max(0, k - reach), min(s.state[BATCHES] - 1, k + reach)
    span = high - low + 1
    begin = draw(s, span)
    for x in range(span):
        other = low + (begin + x) % span
        if other != k and s.stage[other] == s.stage[k]:
            return int(other)
    return -1


@inner
def move(g: Given, s: Sequence, reach: int) -> bool:
    """A random change: a batch goes elsewhere, two merge, a sample goes to another batch, or to one of its own."""
    kind, k = draw(s, 4), draw(s, s.state[BATCHES])
    if kind == 0:
        to = nearby(s, k, reach)
        stage, size = s.stage[k], s.size[k]
        members = s.member[k, :].copy()
        remove_batch(s, k)
        insert_batch(s, to, stage)
        s.size[to] = size
        s.member[to, :] = members
        return bool(to != k)
    if kind == 3:
        if s.size[k] == 1:
            return False
        j = take_member(s, k, draw(s, s.size[k]))
        stage = s.stage[k]
        to = nearby(s, k, reach)
        insert_batch(s, to, stage)
        add_member(s, to, j)
        return True
    other = same_stage(s, k, reach)
    if other < 0 or s.size[other] >= g.latency.shape[1] - 1:
        return False
    if kind == 1:
        if s.size[other] + s.size[k] > g.latency.shape[1] - 1:
            return False
        while s.size[k] > 0:
            add_member(s, other, take_member(s, k, s.size[k] - 1))
    else:
        add_member(s, other, take_member(s, k, draw(s, s.size[k])))
    if s.size[k] == 0:
        remove_batch(s, k)
    return True


@inner
def copy(
    s: Sequence,
    count: int,
    from_stage: IntArray,
    from_size: IntArray,
    from_member: IntArray,
    to_stage: IntArray,
    to_size: IntArray,
    to_member: IntArray,
) -> None:
    """Copy a sequence of batches."""
    for k in range(count):
        to_stage[k], to_size[k] = from_stage[k], from_size[k]
        for i in range(from_size[k]):
            to_member[k, i] = from_member[k, i]


@kernel
def anneal(g: Given, s: Sequence, moves: int, heat: float, reach: int) -> int:
    """Random moves, kept if they cost less than a random amount of mean `heat` more; batches of the best sequence.

    Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) at one temperature. 0: nothing better was found.
    O(operations) for each move.
    """
    best = 0
    if s.state[BATCHES] < 2:
        return best
    for _ in range(moves):
        count = s.state[BATCHES]
        copy(s, count, s.stage, s.size, s.member, s.old_stage, s.old_size, s.old_member)
        if move(g, s, reach):
            value = cost_of(g, s)
            limit = s.value[NOW] - heat * np.log(max(chance(s), 1e-12))
            if value <= limit:
                s.value[NOW] = value
                if value < s.value[BEST] - 1e-12 * abs(s.value[BEST]):
                    s.value[BEST] = value
                    best = s.state[BATCHES]
                    copy(s, best, s.stage, s.size, s.member, s.best_stage, s.best_size, s.best_member)
                continue
        s.state[BATCHES] = count
        copy(s, count, s.old_stage, s.old_size, s.old_member, s.stage, s.size, s.member)
    return int(best)
