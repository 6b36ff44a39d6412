"""Labels of a serving device for deadlines: as few late samples as possible, by their weight.

A sample that will be late is given up before its first stage, and runs after all others. A state has the stages that
the others have run; samples that have left or are given up are gone. A label has a time and the weight that is given
up. Of a class (same network, depth, weight and time from arrival to deadline) those that came first go first among
those that are kept: where one is late in such an order, so is another one in every other order. Importing this module
loads numba.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.serving.late_kernels import late_to_go
from dnnplan.solvers.kernels.serving_labels import (
    BEST,
    CUT,
    ENDED,
    EXPANDED,
    FULL,
    GAP,
    LABELS,
    LOWEST,
    MORE,
    NONE,
    OPEN,
    STATES,
    VALUE,
    WARM,
    Case,
    Store,
    collect,
    cool,
    find,
    next_batch,
    open_from,
    pop,
    push,
    seconds_of,
    start_of,
    waits_until,
    write,
)


class Due(NamedTuple):
    """What deadlines add to a case.

    Parameters
    ----------
    runs
        (Q, n + 1) least seconds in which a stage runs m samples.
    deadline
        (n,) seconds until which each sample has to have left, tolerance included.
    """

    runs: FloatArray
    deadline: FloatArray


@inner
def settle(
    case: Case, store: Store, deadline: FloatArray, hash: int, time: float, cost: float
) -> tuple[int, float]:
    """Give up all samples of `store.child` that cannot be in time any more; hash and cost, infinite if one has started.

    Also notes stages in `store.progress`, and in `store.rest` the weight that has not started and the number of
    samples that have started and not left.
    """
    waiting, running = 0.0, 0.0
    for j in range(store.child.shape[0]):
        p = int(store.child[j] & (WARM - 1))
        depth = case.needs.depth[j]
        if p < depth and max(time, case.needs.release[j]) + case.needs.own[j, p] > deadline[j]:
            if p > 0:
                return hash, np.inf
            hash ^= case.key[j, 0] ^ case.key[j, depth]
            store.child[j] = depth
            cost += case.weight[j]
            p = depth
        store.progress[j] = p
        if p == 0:
            waiting += case.weight[j]
        elif p < depth:
            running += 1.0
    store.rest[0], store.rest[1] = waiting, running
    return hash, cost


@inner
def bound_on_late(case: Case, store: Store, due: Due, time: float) -> float:
    """Least weight that will be late of what is left; infinite if a sample that has started has to be."""
    total = 0.0
    for level in range(case.needs.step.shape[0]):
        late = late_to_go(
            case.needs, due.runs, store.progress, time, due.deadline, level, store.order, store.real
        )
        if late < 0:
            return np.inf
        total += case.needs.step[level] * late
    return total


@inner
def is_beaten(store: Store, state: int, time: float, cost: float) -> bool:
    """Whether a label of a state is free no later at no more cost."""
    other = store.node[state].head
    while other != NONE:
        if store.label[other].time <= time and store.label[other].cost <= cost:
            return True
        other = store.label[other].next
    return False


@inner
def leave_out(store: Store, state: int, time: float, cost: float) -> None:
    """Take labels out of the list of a state that are free no earlier at no less cost."""
    last, other = NONE, store.node[state].head
    while other != NONE:
        if time <= store.label[other].time and cost <= store.label[other].cost:
            store.label[other].dead = 1
            if last == NONE:
                store.node[state].head = store.label[other].next
            else:
                store.label[last].next = store.label[other].next
        else:
            last = other
        other = store.label[other].next


@inner
def enter_late(store: Store, parent: int, hash: int, time: float, cost: float, bound: float, ran: int) -> int:
    """Enter a label for the state of `store.child`."""
    state, slot = find(store, hash)
    if state == NONE:
        state = store.counts[STATES]
        store.counts[STATES] += 1
        store.table[slot], store.node[state].hash, store.node[state].head = state, hash, NONE
        store.code[state, :] = store.child
    leave_out(store, state, time, cost)
    label = store.counts[LABELS]
    store.counts[LABELS] += 1
    write(store, label, parent, state, time, cost, bound, ran)
    return int(label)


@kernel
def add_late(
    case: Case,
    store: Store,
    due: Due,
    parent: int,
    hash: int,
    time: float,
    cost: float,
    ran: int,
) -> int:
    """Add a label for the state of `store.child`; -1: it was left out."""
    hash, cost = settle(case, store, due.deadline, hash, time, cost)
    if cost >= store.values[CUT]:
        return NONE
    waiting, running = store.rest[0], store.rest[1]
    state, _ = find(store, hash)
    if state != NONE and is_beaten(store, state, time, cost):
        return NONE
    bound = cost + bound_on_late(case, store, due, time)
    if parent != NONE:
        bound = max(bound, store.label[parent].bound)
    if bound >= store.values[CUT]:
        return NONE
    label = enter_late(store, parent, hash, time, cost, bound, ran)
    if running == 0.0 and cost + waiting < store.values[VALUE]:
        # All that has not started is late: an answer.
        store.values[VALUE], store.counts[BEST] = cost + waiting, label
        cut = cost + waiting - store.values[GAP] * (cost + waiting)
        store.values[CUT] = min(store.values[CUT], cut)
    return int(label)


@inner
def note_batch(store: Store, label: int, stage: int) -> None:
    """Note that the batch of `store.taken` has led to a label; stage -1: no batch has."""
    groups = store.taken.shape[0]
    store.batch[label, groups] = stage
    for group in range(groups):
        store.batch[label, group] = store.taken[group] if stage != NONE else 0


@inner
def run_late(
    case: Case, store: Store, deadline: FloatArray, label: int, stage: int, size: int, start: float
) -> tuple[int, float]:
    """Write the state after the batch of `store.taken` to `store.child`; hash and end, infinite if one is late."""
    state = store.label[label].state
    hash = store.node[state].hash
    width = case.key.shape[1] >> 1
    hash ^= cool(case, store, state)
    end = start + seconds_of(case, store, stage, size)
    for group in range(store.number.shape[0]):
        for i in range(store.taken[group]):
            j = store.waiting[group, i]
            p = int(store.child[j])
            if end + case.needs.own[j, p + 1] > deadline[j]:
                return int(hash), np.inf
            store.child[j] = p + 1
            hash ^= case.key[j, p]
            if case.keeps and p + 1 < case.needs.depth[j]:
                store.child[j] |= WARM
                hash ^= case.key[j, width + p + 1]
            else:
                hash ^= case.key[j, p + 1]
    return int(hash), end


@inner
def give_up(case: Case, store: Store, due: Due, label: int, horizon: float) -> None:
    """Labels in which the first sample of a class that has not started is given up: the next one is taken instead."""
    state = store.label[label].state
    head = np.full(case.groups, NONE)
    for j in range(store.child.shape[0]):
        if store.code[state, j] == 0 and head[case.group[j]] == NONE:
            head[case.group[j]] = j
    for group in range(case.groups):
        if head[group] == NONE or case.needs.release[head[group]] >= horizon:
            continue
        j = head[group]
        store.child[:] = store.code[state]
        store.child[j] = case.needs.depth[j]
        hash = store.node[state].hash ^ case.key[j, 0] ^ case.key[j, case.needs.depth[j]]
        found = add_late(
            case,
            store,
            due,
            label,
            int(hash),
            store.label[label].time,
            store.label[label].cost + case.weight[j],
            store.label[label].ran + case.needs.depth[j],
        )
        if found != NONE:
            note_batch(store, found, NONE)


@inner
def expand_late(case: Case, store: Store, due: Due, label: int) -> bool:
    """All that can follow a label; False where there is no room for it."""
    state, time = store.label[label].state, store.label[label].time
    horizon = waits_until(case, store.code[state], time)
    if store.counts[LABELS] + case.groups > store.label.shape[0]:
        return False
    if store.counts[STATES] + case.groups > store.node.shape[0]:
        return False
    give_up(case, store, due, label, horizon)
    for stage in range(case.latency.shape[0]):
        if collect(case, store, store.code[state], stage, horizon) == 0:
            continue
        while True:
            size = next_batch(store, case.latency.shape[1] - 1)
            if size == 0:
                break
            start = start_of(case, store, time)
            if store.counts[LABELS] >= store.label.shape[0] or store.counts[STATES] >= store.node.shape[0]:
                return False
            hash, end = run_late(case, store, due.deadline, label, stage, size, start)
            if end == np.inf:
                continue
            ran = store.label[label].ran + size
            found = add_late(case, store, due, label, hash, end, store.label[label].cost, ran)
            if found != NONE:
                note_batch(store, found, stage)
    return True


@kernel
def search_late(case: Case, store: Store, due: Due, most: int) -> int:
    """Expand up to `most` labels, best first; `ENDED` where none is left below the cut."""
    for _ in range(most):
        if store.counts[OPEN] == 0:
            store.values[LOWEST] = store.values[CUT]
            return ENDED
        label = pop(store)
        store.values[LOWEST] = min(store.label[label].bound, store.values[CUT])
        if store.label[label].bound >= store.values[CUT]:
            return ENDED
        if store.label[label].dead:
            continue
        store.counts[EXPANDED] += 1
        first = store.counts[LABELS]
        done = expand_late(case, store, due, label)
        open_from(store, first)
        if not done:
            push(store, label)
            return FULL
    return MORE


@kernel
def expand_each_late(case: Case, store: Store, due: Due, labels: IntArray) -> int:
    """Expand labels without opening what follows; how many of them there was room for."""
    for i in range(labels.shape[0]):
        label = labels[i]
        if store.label[label].dead or store.label[label].bound >= store.values[CUT]:
            continue
        if not expand_late(case, store, due, label):
            return i
    return int(labels.shape[0])
