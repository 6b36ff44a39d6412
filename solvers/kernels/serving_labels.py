"""Labels of a serving device: the states that batches lead to, best first, with the least cost of what is left.

A state says how many stages each sample has run; a label is a way to get there, with its time and cost. Samples of one
class (same network, depth and weight) can trade places once both have come, so that those that came first go first at
every stage. Importing this module loads numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.serving.bounds_kernels import Needs, pairs_to_go, shares_to_go

LABELS, STATES, OPEN, EXPANDED, BEST = 0, 1, 2, 3, 4
"""Entries of `Store.counts`: labels, states, open labels, expanded labels, and the complete label of least cost."""
VALUE, CUT, LOWEST, BASE, GAP = 0, 1, 2, 3, 4
"""Entries of `Store.values`: least cost of a complete label, cost from which labels are left out, bound on all costs,
cost of the arrivals, and gap: the cut is that much below the least cost."""
MORE, ENDED, FULL = 0, 1, 2
NONE = -1
SAME = 1e-12
"""Relative difference of costs that counts as none."""


class Case(NamedTuple):
    """n samples and Q stages of one device.

    Parameters
    ----------
    needs
        What bounds know of the samples.
    latency
        (Q, B + 1) seconds, not decreasing with the size of a batch.
    switch
        (Q,) seconds for each sample that was not in the batch before.
    keeps
        Whether any of them is not 0: then states also know who was in the last batch (its samples are warm).
    weight, group
        (n,) cost of a second, and number of the class.
    groups
        Number of classes.
    key
        (n, 2 P + 2) random numbers: the hash of a state is the exclusive or of its samples' keys (Zobrist 1970).
    """

    needs: Needs
    latency: FloatArray
    switch: FloatArray
    keeps: bool
    weight: FloatArray
    group: IntArray
    groups: int
    key: IntArray


LABEL = np.dtype(
    [
        ("time", np.float64),
        ("cost", np.float64),
        ("bound", np.float64),
        ("parent", np.int32),
        ("state", np.int32),
        ("next", np.int32),
        ("ran", np.int32),
        ("dead", np.int64),
    ]
)
"""A label: when the device is free, cost of what is complete, bound on the cost of all; label before, its state, next
label of the state, operations that have run, and whether another label is as good. One place in memory for each."""
NODE = np.dtype(
    [
        ("hash", np.int64),
        ("left", np.float64),
        ("last", np.float64),
        ("pairs", np.float64),
        ("head", np.int64),
    ]
)
"""A state: its hash, weight that is not complete, last arrival of that, bound of `pairs_to_go`, and first label."""


class Store(NamedTuple):
    """Labels, states and scratch space.

    Parameters
    ----------
    label, node
        (C,) and (S,) records: see `LABEL` and `NODE`.
    open
        (C,) heap of labels.
    batch
        (C, 2 groups + 1) samples of each class in the batch before the label, and its stage, -1 for none; only where
        it does not follow from the two states, else (0, 2 groups + 1).
    code
        (S, n) stages that each sample has run; plus `WARM` for samples of the last batch.
    table
        States by hash, open addressing; -1: empty.
    counts, values
        See the constants of this module.
    """

    label: Any
    node: Any
    open: IntArray
    batch: IntArray
    code: NDArray[np.uint8]
    table: IntArray
    counts: IntArray
    values: FloatArray
    progress: IntArray
    child: NDArray[np.uint8]
    waiting: IntArray
    number: IntArray
    taken: IntArray
    order: IntArray
    real: FloatArray
    known: FloatArray
    rest: FloatArray


WARM = np.uint8(128)


@inner
def before(store: Store, a: int, b: int) -> bool:
    """Whether label a comes before label b: by bound, then the one that has run more."""
    if store.label[a].bound != store.label[b].bound:
        return bool(store.label[a].bound < store.label[b].bound)
    return bool(store.label[a].ran > store.label[b].ran)


@kernel
def push(store: Store, label: int) -> None:
    """Open a label."""
    i = store.counts[OPEN]
    store.counts[OPEN] += 1
    while i > 0:
        parent = (i - 1) >> 1
        if not before(store, label, store.open[parent]):
            break
        store.open[i] = store.open[parent]
        i = parent
    store.open[i] = label


@inner
def open_from(store: Store, first: int) -> None:
    """Open all labels from a number on."""
    for label in range(first, store.counts[LABELS]):
        push(store, label)


@inner
def pop(store: Store) -> int:
    """The open label that comes first."""
    top = store.open[0]
    store.counts[OPEN] -= 1
    size = store.counts[OPEN]
    if size > 0:
        label = store.open[size]
        i = 0
        while True:
            child = 2 * i + 1
            if child >= size:
                break
            if child + 1 < size and before(store, store.open[child + 1], store.open[child]):
                child += 1
            if not before(store, store.open[child], label):
                break
            store.open[i] = store.open[child]
            i = child
        store.open[i] = label
    return int(top)


@inner
def find(store: Store, hash: int) -> tuple[int, int]:
    """State of `store.child`, -1 if it is new, and its place in the table."""
    mask = store.table.shape[0] - 1
    slot = hash & mask
    while store.table[slot] != NONE:
        state = store.table[slot]
        if store.node[state].hash == hash:
            same = True
            for j in range(store.child.shape[0]):
                if store.code[state, j] != store.child[j]:
                    same = False
                    break
            if same:
                return int(state), int(slot)
        slot = (slot + 1) & mask
    return NONE, int(slot)


@inner
def lead(earlier: float, later: float, last: float) -> float:
    """Seconds that a label surely gains on one that is free later, in the same state: none before the last arrival."""
    return max(0.0, later - max(earlier, last))


@inner
def beats(store: Store, a: int, time: float, cost: float, left: float, last: float) -> bool:
    """Whether label a is at least as good as one of the same state with another time and cost.

    Where a is free later, it repeats what follows the other with that delay, which costs the weight that is left; where
    it is free earlier and nothing comes any more, it gains the same.
    """
    gain = lead(store.label[a].time, time, last) - max(0.0, store.label[a].time - time)
    return bool(store.label[a].cost - gain * left <= cost + SAME * abs(cost))


@inner
def beaten_by(store: Store, a: int, time: float, cost: float, left: float, last: float) -> bool:
    """The other way round."""
    gain = lead(time, store.label[a].time, last) - max(0.0, time - store.label[a].time)
    return bool(cost - gain * left <= store.label[a].cost)


@inner
def new_state(case: Case, store: Store, hash: int, slot: int) -> int:
    """Note the state of `store.child`, of which `store.progress` has the stages, and what is left of it."""
    state = store.counts[STATES]
    store.counts[STATES] += 1
    store.table[slot], store.node[state].hash, store.node[state].head = state, hash, NONE
    store.code[state, :] = store.child
    left, last, total = 0.0, 0.0, 0.0
    for j in range(store.child.shape[0]):
        if store.progress[j] < case.needs.depth[j]:
            left += case.weight[j]
            last = case.needs.release[j]
    for level in range(case.needs.step.shape[0]):
        total += case.needs.step[level] * pairs_to_go(
            case.needs, store.progress, level, store.order, store.real[0], store.known
        )
    store.node[state].left, store.node[state].last, store.node[state].pairs = left, last, total
    return int(state)


@inner
def shares_of_rest(case: Case, store: Store, time: float) -> float:
    """A bound on the cost of all that is left at a time, from the stages in `store.progress`."""
    total = 0.0
    for level in range(case.needs.step.shape[0]):
        total += case.needs.step[level] * shares_to_go(
            case.needs, store.progress, time, level, store.real[0], store.real[1]
        )
    return total


@inner
def found_better(store: Store, label: int) -> None:
    """A complete label of less cost than all before: cut what is not better by the gap."""
    store.values[VALUE], store.counts[BEST] = store.label[label].cost, label
    cut = store.values[VALUE] - store.values[GAP] * (store.values[VALUE] - store.values[BASE])
    store.values[CUT] = min(store.values[CUT], cut)


@inner
def leave_out_worse(store: Store, state: int, time: float, cost: float) -> None:
    """Take labels out of the list of a state that one with this time and cost beats."""
    last, other = NONE, store.node[state].head
    while other != NONE:
        if beaten_by(store, other, time, cost, store.node[state].left, store.node[state].last):
            store.label[other].dead = 1
            if last == NONE:
                store.node[state].head = store.label[other].next
            else:
                store.label[last].next = store.label[other].next
        else:
            last = other
        other = store.label[other].next


@inner
def write(
    store: Store, label: int, parent: int, state: int, time: float, cost: float, bound: float, ran: int
) -> None:
    """Fill in a label, the first of its state."""
    store.label[label].time, store.label[label].cost, store.label[label].bound = time, cost, bound
    store.label[label].parent, store.label[label].state, store.label[label].ran = parent, state, ran
    store.label[label].next, store.label[label].dead = store.node[state].head, 0
    store.node[state].head = label


@kernel
def add(case: Case, store: Store, parent: int, hash: int, time: float, cost: float, ran: int) -> int:
    """Add a label for the state of `store.child`, unless another one is as good or it is cut; -1: it was left out."""
    state, slot = find(store, hash)
    if state != NONE:
        if cost + store.node[state].left * time + store.node[state].pairs >= store.values[CUT]:
            return NONE
        other = store.node[state].head
        while other != NONE:
            if beats(store, other, time, cost, store.node[state].left, store.node[state].last):
                return NONE
            other = store.label[other].next
    for j in range(store.child.shape[0]):
        store.progress[j] = store.child[j] & (WARM - 1)
    bound = cost + shares_of_rest(case, store, time)
    if bound >= store.values[CUT]:
        return NONE
    if state == NONE:
        state = new_state(case, store, hash, slot)
    bound = max(bound, cost + store.node[state].left * time + store.node[state].pairs)
    if parent != NONE:
        bound = max(bound, store.label[parent].bound)
    if bound >= store.values[CUT]:
        return NONE
    leave_out_worse(store, state, time, cost)
    label = store.counts[LABELS]
    store.counts[LABELS] += 1
    write(store, label, parent, state, time, cost, bound, ran)
    if store.node[state].left == 0.0:
        found_better(store, label)
    return int(label)


@inner
def waits_until(case: Case, code: NDArray[np.uint8], time: float) -> float:
    """Seconds before which a batch has to start: until then a sample could run its next stage alone in between.

    To run it then is at least as good: whatever follows takes no longer without it. Infinite where it matters which
    samples were in the batch before.
    """
    until = np.inf
    if case.keeps:
        return until
    for j in range(code.shape[0]):
        if case.needs.release[j] >= until:
            break
        p = code[j]
        if p < case.needs.depth[j]:
            begin = max(time, case.needs.release[j])
            until = min(until, begin + case.latency[case.needs.first[j] + p, 1])
    return until


@kernel
def collect(case: Case, store: Store, code: NDArray[np.uint8], stage: int, horizon: float) -> int:
    """Samples that can run a stage next, by class, those of the last batch apart; how many there are.

    Those that come at `horizon` or later are left out.
    """
    found = 0
    for group in range(store.number.shape[0]):
        store.number[group] = 0
        store.taken[group] = 0
    for j in range(code.shape[0]):
        if case.needs.release[j] >= horizon:
            break
        p = code[j] & (WARM - 1)
        if p < case.needs.depth[j] and case.needs.first[j] + p == stage:
            group = 2 * case.group[j] + (1 if code[j] & WARM else 0)
            store.waiting[group, store.number[group]] = j
            store.number[group] += 1
            found += 1
    return found


@inner
def next_batch(store: Store, largest: int) -> int:
    """Count `store.taken`, samples of each class, up by one; the size of the batch, 0 after the last one."""
    size = 0
    for group in range(store.number.shape[0]):
        size += store.taken[group]
    for group in range(store.number.shape[0]):
        if store.taken[group] < store.number[group] and size < largest:
            store.taken[group] += 1
            return int(size + 1)
        size -= store.taken[group]
        store.taken[group] = 0
    return 0


@inner
def start_of(case: Case, store: Store, time: float) -> float:
    """When the batch of `store.taken` can start: its last sample has come."""
    start = time
    for group in range(store.number.shape[0]):
        if store.taken[group] > 0:
            start = max(start, case.needs.release[store.waiting[group, store.taken[group] - 1]])
    return start


@inner
def cool(case: Case, store: Store, state: int) -> int:
    """Copy a state to `store.child` with no sample in the batch right before; by what its hash changes."""
    width = case.key.shape[1] >> 1
    change = 0
    for j in range(store.child.shape[0]):
        code = store.code[state, j]
        if code & WARM:
            p = code & (WARM - 1)
            change ^= case.key[j, width + p] ^ case.key[j, p]
            code = p
        store.child[j] = code
    return change


@inner
def seconds_of(case: Case, store: Store, stage: int, size: int) -> float:
    """Seconds of the batch of `store.taken`; samples in groups of even number come back from memory."""
    found = case.latency[stage, size]
    if case.keeps:
        for group in range(0, store.number.shape[0], 2):
            found += case.switch[stage] * store.taken[group]
    return float(found)


@inner
def run_batch(
    case: Case, store: Store, label: int, stage: int, size: int, start: float
) -> tuple[int, float, float]:
    """Write the state after the batch of `store.taken` to `store.child`; its hash, time and cost."""
    state = store.label[label].state
    hash, cost = store.node[state].hash, store.label[label].cost
    width = case.key.shape[1] >> 1
    hash ^= cool(case, store, state)
    end = start + seconds_of(case, store, stage, size)
    for group in range(store.number.shape[0]):
        for i in range(store.taken[group]):
            j = store.waiting[group, i]
            p = int(store.child[j])
            store.child[j] = p + 1
            hash ^= case.key[j, p]
            if p + 1 == case.needs.depth[j]:
                cost += case.weight[j] * end
                hash ^= case.key[j, p + 1]
            elif case.keeps:
                store.child[j] |= WARM
                hash ^= case.key[j, width + p + 1]
            else:
                hash ^= case.key[j, p + 1]
    return int(hash), end, cost


@inner
def expand(case: Case, store: Store, label: int) -> bool:
    """All batches that can follow a label; False where there is no room for them."""
    state, time = store.label[label].state, store.label[label].time
    horizon = waits_until(case, store.code[state], time)
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
            hash, end, cost = run_batch(case, store, label, stage, size, start)
            add(case, store, label, hash, end, cost, store.label[label].ran + size)
    return True


@kernel
def search(case: Case, store: Store, most: int) -> int:
    """Expand up to `most` labels, best first (A*); `ENDED` where none is left below the cut."""
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
        done = expand(case, store, label)
        open_from(store, first)
        if not done:
            push(store, label)
            return FULL
    return MORE


@kernel
def expand_each(case: Case, store: Store, labels: IntArray) -> int:
    """Expand labels without opening what follows; how many of them there was room for."""
    for i in range(labels.shape[0]):
        label = labels[i]
        if store.label[label].dead or store.label[label].bound >= store.values[CUT]:
            continue
        if not expand(case, store, label):
            return i
    return int(labels.shape[0])


@kernel
def rehash(store: Store) -> None:
    """Enter all states into an empty table."""
    mask = store.table.shape[0] - 1
    for state in range(store.counts[STATES]):
        slot = store.node[state].hash & mask
        while store.table[slot] != NONE:
            slot = (slot + 1) & mask
        store.table[slot] = state
