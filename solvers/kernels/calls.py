"""Simulated annealing over calls: which layers run together on which device, for the latency of host staging.

Importing this module loads numba. A unit is a call (its label) or a layer that the host runs by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

TIE = 0.01
"""Weight of the mean end of the units beside the latency: it tells plans of equal latency apart."""


class CallArrays(NamedTuple):
    """What latency depends on; lists of lists are offsets (`*_at`) into flat lists.

    `device` is that of each label; host units have label -1 and run on device `host`. `near` are the layers that share
    a tensor with a group, `order` the groups along a linear order.
    """

    duration: FloatArray
    release: FloatArray
    device: IntArray
    host: int
    source: IntArray
    output: IntArray
    receive: FloatArray
    send: FloatArray
    reader: IntArray
    reader_at: IntArray
    made: IntArray
    made_at: IntArray
    layers: IntArray
    layers_at: IntArray
    group_of: IntArray
    near: IntArray
    near_at: IntArray
    order: IntArray
    weight_of: IntArray
    weight_bytes: FloatArray
    room: FloatArray


class Scratch(NamedTuple):
    """Arrays that the evaluation fills anew each time, by unit, but `chain` (next layer of a call) by layer."""

    seconds: FloatArray
    ready: FloatArray
    waiting: IntArray
    mark: IntArray
    head: IntArray
    queue: IntArray
    free: FloatArray
    chain: IntArray


def measure(  # noqa: C901, PLR0912, PLR0915
    a: CallArrays, label: IntArray, s: Scratch
) -> tuple[float, float]:
    """(guiding cost, latency) of the calls that the labels make; infinite if they wait for each other."""
    n, labels = label.shape[0], a.device.shape[0]
    s.seconds[:] = 0.0
    s.ready[:] = 0.0
    s.waiting[:] = 0
    s.mark[:] = -1
    s.head[:] = -1
    s.free[:] = 0.0
    for i in range(n):
        u = label[i] if label[i] >= 0 else labels + i
        d = a.device[label[i]] if label[i] >= 0 else a.host
        s.seconds[u] += a.duration[i, d]
        s.ready[u] = max(s.ready[u], a.release[i])
        s.chain[i] = s.head[u]
        s.head[u] = i
    for k in range(a.source.shape[0]):
        i = a.source[k]
        u, home = -1, a.host
        if i >= 0:
            u = label[i] if label[i] >= 0 else labels + i
            home = a.device[label[i]] if label[i] >= 0 else a.host
        written = a.output[k] == 1
        for e in range(a.reader_at[k], a.reader_at[k + 1]):
            j = a.reader[e]
            v = label[j] if label[j] >= 0 else labels + j
            if v == u:
                continue
            if u >= 0:
                s.waiting[v] += 1
            d = a.device[label[j]] if label[j] >= 0 else a.host
            if d != home:
                written = True
                if s.mark[v] != k:
                    s.mark[v] = k
                    s.seconds[v] += a.receive[k, d]
        if written and u >= 0:
            s.seconds[u] += a.send[k, home]
    tail, done, units = 0, 0, 0
    for u in range(labels + n):
        if s.head[u] >= 0:
            units += 1
            if s.waiting[u] == 0:
                s.queue[tail] = u
                tail += 1
    latency, total = 0.0, 0.0
    while done < tail:
        # Host units at once; of the calls that are ready, the first one.
        best = done
        if s.queue[done] < labels:
            for q in range(done + 1, tail):
                if s.queue[q] >= labels:
                    best = q
                    break
                if s.ready[s.queue[q]] < s.ready[s.queue[best]]:
                    best = q
        u = s.queue[best]
        s.queue[best] = s.queue[done]
        s.queue[done] = u
        done += 1
        start = s.ready[u]
        if u < labels:
            start = max(start, s.free[a.device[u]])
        end = start + s.seconds[u]
        if u < labels:
            s.free[a.device[u]] = end
        latency = max(latency, end)
        total += end
        i = s.head[u]
        while i >= 0:
            for f in range(a.made_at[i], a.made_at[i + 1]):
                k = a.made[f]
                for e in range(a.reader_at[k], a.reader_at[k + 1]):
                    j = a.reader[e]
                    v = label[j] if label[j] >= 0 else labels + j
                    if v != u:
                        s.ready[v] = max(s.ready[v], end)
                        s.waiting[v] -= 1
                        if s.waiting[v] == 0:
                            s.queue[tail] = v
                            tail += 1
            i = s.chain[i]
    if done < units:
        return np.inf, np.inf
    return latency + TIE * total / max(units, 1), latency


judge = inner(measure)


def relabel(a: CallArrays, g: int, new: int, label: IntArray, held: IntArray, used: FloatArray) -> None:
    """Give all layers of group g a label (-1: the host)."""
    for e in range(a.layers_at[g], a.layers_at[g + 1]):
        i = a.layers[e]
        old, w = label[i], a.weight_of[i]
        if old >= 0:
            d = a.device[old]
            held[w, d] -= 1
            if held[w, d] == 0:
                used[d] -= a.weight_bytes[w]
        if new >= 0:
            d = a.device[new]
            if held[w, d] == 0:
                used[d] += a.weight_bytes[w]
            held[w, d] += 1
        label[i] = new


put = inner(relabel)


def runs_on(a: CallArrays, g: int, new: int) -> bool:
    """Whether all layers of group g can run on the device of a label."""
    d = a.device[new] if new >= 0 else a.host
    runs = True
    for e in range(a.layers_at[g], a.layers_at[g + 1]):
        runs = runs and np.isfinite(a.duration[a.layers[e], d])
    return bool(runs)


can_run = inner(runs_on)


def label_of(a: CallArrays, g: int, label: IntArray) -> int:
    """The label of a group."""
    return int(label[a.layers[a.layers_at[g]]])


home_of = inner(label_of)


def choose_label(a: CallArrays, g: int, label: IntArray, count: IntArray) -> int:
    """A label for group g: that of a layer it shares a tensor with, an empty call, any, or the host."""
    kind = np.random.random()  # noqa: NPY002
    begin, end = a.near_at[g], a.near_at[g + 1]
    labels = a.device.shape[0]
    if kind < 0.6 and end > begin:
        return int(label[a.near[begin + np.random.randint(end - begin)]])  # noqa: NPY002
    if kind < 0.75:
        turn = np.random.randint(labels)  # noqa: NPY002
        for step in range(labels):
            c = (turn + step) % labels
            if count[c] == 0:
                return int(c)
    if kind < 0.9:
        return int(np.random.randint(labels))  # noqa: NPY002
    return -1


aim = inner(choose_label)


def choose_block(
    a: CallArrays,
    g: int,
    limit: int,
    label: IntArray,
    place_in_order: IntArray,
    block: IntArray,
    seen: IntArray,
    mark: int,
) -> int:
    """Up to `limit` groups at g: a stretch of the order, or groups of the same label breadth first; how many."""
    size = a.order.shape[0]
    if np.random.random() < 0.5:  # noqa: NPY002
        begin = place_in_order[g]
        filled = 0
        for p in range(begin, min(size, begin + limit)):
            block[filled] = a.order[p]
            filled += 1
        return filled
    block[0] = g
    seen[g] = mark
    filled, done = 1, 0
    home = home_of(a, g, label)
    while done < filled < limit:
        h = block[done]
        begin, end = a.near_at[h], a.near_at[h + 1]
        if end > begin:
            turn = np.random.randint(end - begin)  # noqa: NPY002
            for step in range(end - begin):
                i = a.near[begin + (turn + step) % (end - begin)]
                other = a.group_of[i]
                if seen[other] != mark and label[i] == home and filled < limit:
                    seen[other] = mark
                    block[filled] = other
                    filled += 1
        done += 1
    return filled


pick = inner(choose_block)


@kernel
def anneal_calls(  # noqa: C901, PLR0912, PLR0915
    a: CallArrays, label: IntArray, heat: tuple[float, float], iterations: int, seed: int
) -> tuple[IntArray, float, IntArray]:
    """Groups, blocks and stretches of the order change their call while cooling.

    Returns (best labels, their latency, last labels); `heat` is relative to the latency of the start.
    """
    np.random.seed(seed)  # noqa: NPY002
    n, m = a.duration.shape
    size, labels = a.order.shape[0], a.device.shape[0]
    label = label.copy()
    held = np.zeros((a.weight_bytes.shape[0], m), dtype=np.int64)
    used = np.zeros(m)
    count = np.zeros(labels, dtype=np.int64)
    for i in range(n):
        if label[i] >= 0:
            count[label[i]] += 1
            d = a.device[label[i]]
            if held[a.weight_of[i], d] == 0:
                used[d] += a.weight_bytes[a.weight_of[i]]
            held[a.weight_of[i], d] += 1
    s = Scratch(
        np.zeros(labels + n),
        np.zeros(labels + n),
        np.zeros(labels + n, dtype=np.int64),
        np.zeros(labels + n, dtype=np.int64),
        np.zeros(labels + n, dtype=np.int64),
        np.zeros(labels + n, dtype=np.int64),
        np.zeros(m),
        np.zeros(n, dtype=np.int64),
    )
    place_in_order = np.zeros(size, dtype=np.int64)
    for p in range(size):
        place_in_order[a.order[p]] = p
    now, best_value = judge(a, label, s)
    best = label.copy()
    block = np.empty(size, dtype=np.int64)
    back = np.empty(size, dtype=np.int64)
    seen = np.full(size, -1, dtype=np.int64)
    temperature = heat[0] * best_value
    cooling = (heat[1] / heat[0]) ** (1.0 / max(iterations, 1))
    for step in range(iterations):
        temperature *= cooling
        g = np.random.randint(size)  # noqa: NPY002
        moved = 1
        block[0] = g
        target = aim(a, g, label, count)
        kind = np.random.random()  # noqa: NPY002
        if kind > 0.5:
            reach = int(2.0 * np.exp(np.random.random() * np.log(max(size / 4.0, 2.0))))  # noqa: NPY002
            moved = pick(a, g, min(size, reach), label, place_in_order, block, seen, step)
        changes, fits = False, True
        for b in range(moved):
            back[b] = home_of(a, block[b], label)
            if back[b] != target:
                changes = True
            if not can_run(a, block[b], target):
                fits = False
        if not changes or not fits:
            continue
        for b in range(moved):
            put(a, block[b], target, label, held, used)
        if target >= 0 and used[a.device[target]] > a.room[a.device[target]]:
            fits = False
        value, latency = np.inf, np.inf
        if fits:
            value, latency = judge(a, label, s)
        if value <= now or np.random.random() < np.exp((now - value) / temperature):  # noqa: NPY002
            now = value
            for b in range(moved):
                width = a.layers_at[block[b] + 1] - a.layers_at[block[b]]
                if back[b] >= 0:
                    count[back[b]] -= width
                if target >= 0:
                    count[target] += width
            if latency < best_value:
                best_value = latency
                best[:] = label
            continue
        for b in range(moved):
            put(a, block[b], back[b], label, held, used)
    return best, best_value, label
