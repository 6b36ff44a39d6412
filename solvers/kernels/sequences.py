"""Complete plans as a total order and a device for each layer: change them, and time only what changes.

The order is topological and is the order of calls on each device. A layer starts when its inputs have arrived and the
layer before it on its device has ended (append scheduling, semi-active). Times are kept as heads (ends) and tails
(least seconds after the end), so that a change is timed from its place on, and given up as soon as some layer shows
that the limit will be missed.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import bare, inner, kernel
from dnnplan.solvers.kernels.plan_state import (
    CHANGES,
    DIRTY,
    LATE,
    LOWEST,
    MOVED,
    Net,
    State,
    end_of,
    priced,
    tail_of,
    tensor_cost,
)


@bare
def mark(s: State, i: int) -> None:
    """Layer i is to be timed again."""
    if not s.dirty[i]:
        s.dirty[i] = True
        s.counts[DIRTY] += 1


@bare
def mark_late(s: State, i: int) -> None:
    """The tail of layer i is to be computed again."""
    if not s.late[i]:
        s.late[i] = True
        s.late_list[s.counts[LATE]] = i
        s.counts[LATE] += 1


@bare
def unlink(s: State, i: int) -> None:
    """Take layer i out of the order of its device."""
    a = s.place[i]
    p, x = s.before[i], s.after[i]
    if p >= 0:
        s.after[p] = x
        mark_late(s, p)
    else:
        s.first[a] = x
    if x >= 0:
        s.before[x] = p
        mark(s, x)
    else:
        s.last[a] = p


@bare
def link(s: State, i: int) -> None:
    """Put layer i into the order of its device, where its index says."""
    d = s.place[i]
    q = s.position[i] - 1
    while q >= 0 and s.place[s.order[q]] != d:
        q -= 1
    p = s.order[q] if q >= 0 else -1
    x = s.after[p] if p >= 0 else s.first[d]
    s.before[i], s.after[i] = p, x
    if p >= 0:
        s.after[p] = i
        mark_late(s, p)
    else:
        s.first[d] = i
    if x >= 0:
        s.before[x] = i
        mark(s, x)
    else:
        s.last[d] = i


@bare
def shift(s: State, i: int, new: int) -> None:
    """Put layer i at index `new` of the order; what lies between moves up."""
    q = s.position[i]
    step = 1 if new > q else -1
    while q != new:
        j = s.order[q + step]
        s.order[q] = j
        s.position[j] = q
        q += step
    s.order[new] = i
    s.position[i] = new


@bare
def put_on(net: Net, s: State, i: int, d: int) -> None:
    """Layer i is on another device from now on."""
    a = s.place[i]
    s.total[0] += net.extra[i, d] - net.extra[i, a]
    s.used[a] -= net.weight[i]
    s.used[d] += net.weight[i]
    if net.in_start.shape[0] > 1:
        s.total[0] -= priced(net, s, i)
        s.place[i] = d
        s.total[0] += priced(net, s, i)
    s.place[i] = d
    for e in range(net.succ_start[i], net.succ_start[i + 1]):
        mark(s, net.succ[e])
    for e in range(net.pred_start[i], net.pred_start[i + 1]):
        mark_late(s, net.pred[e])


@bare
def relocate(net: Net, s: State, i: int, new: int, d: int) -> None:
    """Put layer i at index `new` of the order and on device d; mark what that touches. No journal."""
    old = s.position[i]
    unlink(s, i)
    shift(s, i, new)
    if s.place[i] != d:
        put_on(net, s, i, d)
    link(s, i)
    mark(s, i)
    mark_late(s, i)
    s.counts[LOWEST] = min(s.counts[LOWEST], min(old, new))


@kernel
def move(net: Net, s: State, i: int, new: int, d: int) -> bool:
    """`relocate` with journal; layers that must share the device follow. False: no space in the journal."""
    followers = net.group_start[i + 1] - net.group_start[i] if s.place[i] != d else 0
    if s.counts[MOVED] + 1 + followers > s.move_layer.shape[0]:
        return False
    note(s, i)
    relocate(net, s, i, new, d)
    for e in range(net.group_start[i], net.group_start[i] + followers):
        j = net.group[e]
        if s.place[j] != d:
            note(s, j)
            relocate(net, s, j, s.position[j], d)
    return True


@bare
def note(s: State, i: int) -> None:
    """Remember where layer i is."""
    c = s.counts[MOVED]
    s.move_layer[c] = i
    s.move_position[c] = s.position[i]
    s.move_place[c] = s.place[i]
    s.counts[MOVED] = c + 1


@kernel
def fits(net: Net, s: State) -> bool:
    """Whether what is pinned fits every device."""
    return bool((s.used <= net.room).all())


@kernel
def settle(net: Net, s: State, limit: float) -> bool:
    """Time everything that is marked; False, with times as they come, once a layer shows a makespan above the limit.

    Behind the last layer that was moved, end + tail is what the makespan will be at least: tails there are unchanged.
    """
    edge = 0
    for c in range(s.counts[MOVED]):
        edge = max(edge, s.position[s.move_layer[c]])
        edge = max(edge, s.move_position[c])
    q = s.counts[LOWEST]
    good = True
    while s.counts[DIRTY] > 0:
        i = s.order[q]
        q += 1
        if not s.dirty[i]:
            continue
        s.dirty[i] = False
        s.counts[DIRTY] -= 1
        if not good:
            continue
        end = end_of(net, s, i)
        if end == s.end[i]:
            continue
        c = s.counts[CHANGES]
        s.old_layer[c] = i
        s.old_end[c] = s.end[i]
        s.counts[CHANGES] = c + 1
        s.end[i] = end
        if end > limit or (q - 1 > edge and end + s.tail[i] > limit):
            good = False
            continue
        x = s.after[i]
        if x >= 0 and net.unary[s.place[i]]:
            mark(s, x)
        for e in range(net.succ_start[i], net.succ_start[i + 1]):
            mark(s, net.succ[e])
    s.counts[LOWEST] = s.order.shape[0]
    return good


@bare
def keep(net: Net, s: State) -> None:
    """Keep the change: bring the tails up to date and forget the journals."""
    q = -1
    for c in range(s.counts[LATE]):
        q = max(q, s.position[s.late_list[c]])
    waiting = s.counts[LATE]
    while waiting > 0:
        i = s.order[q]
        q -= 1
        if not s.late[i]:
            continue
        s.late[i] = False
        waiting -= 1
        tail = tail_of(net, s, i)
        if tail == s.tail[i]:
            continue
        s.tail[i] = tail
        p = s.before[i]
        if p >= 0 and not s.late[p]:
            s.late[p] = True
            waiting += 1
        for e in range(net.pred_start[i], net.pred_start[i + 1]):
            p = net.pred[e]
            if not s.late[p]:
                s.late[p] = True
                waiting += 1
    s.counts[LATE] = s.counts[CHANGES] = s.counts[MOVED] = 0


@kernel
def take_back(net: Net, s: State, total: float) -> None:
    """Undo the moves and times since the journals were empty."""
    for c in range(s.counts[MOVED] - 1, -1, -1):
        relocate(net, s, s.move_layer[c], s.move_position[c], s.move_place[c])
    q = s.counts[LOWEST]
    while s.counts[DIRTY] > 0:
        i = s.order[q]
        q += 1
        if s.dirty[i]:
            s.dirty[i] = False
            s.counts[DIRTY] -= 1
    for c in range(s.counts[CHANGES] - 1, -1, -1):
        s.end[s.old_layer[c]] = s.old_end[c]
    for c in range(s.counts[LATE]):
        s.late[s.late_list[c]] = False
    s.counts[LOWEST] = s.order.shape[0]
    s.counts[LATE] = s.counts[CHANGES] = s.counts[MOVED] = 0
    s.total[0] = total


@kernel
def rebuild(net: Net, s: State) -> None:
    """All of the state from order and place."""
    n = s.order.shape[0]
    s.first[:] = -1
    s.last[:] = -1
    s.used[:] = 0.0
    s.dirty[:] = False
    s.late[:] = False
    s.held[:] = False
    s.counts[:] = 0
    s.counts[LOWEST] = n
    total = 0.0
    for q in range(n):
        i = s.order[q]
        d = s.place[i]
        s.position[i] = q
        s.before[i] = s.last[d]
        s.after[i] = -1
        if s.last[d] >= 0:
            s.after[s.last[d]] = i
        else:
            s.first[d] = i
        s.last[d] = i
        s.used[d] += net.weight[i]
        total += net.extra[i, d]
        s.end[i] = end_of(net, s, i)
    for k in range(net.reader_start.shape[0] - 1):
        total += tensor_cost(net, s, k)
    for q in range(n - 1, -1, -1):
        s.tail[s.order[q]] = tail_of(net, s, s.order[q])
    s.total[0] = total


@inner
def sort_by_start(net: Net, s: State) -> None:
    """Order the layers by start, which changes no time: what runs together then stands together."""
    n = s.order.shape[0]
    key = np.empty(n)
    for q in range(n):
        i = s.order[q]
        moment = s.end[i] - net.duration[i, s.place[i]]
        if s.before[i] >= 0:
            moment = max(moment, key[s.position[s.before[i]]])
        for e in range(net.pred_start[i], net.pred_start[i + 1]):
            moment = max(moment, key[s.position[net.pred[e]]])
        key[q] = moment
    old = s.order.copy()
    rank = np.argsort(key, kind="mergesort")
    for q in range(n):
        i = old[rank[q]]
        s.order[q] = i
        s.position[i] = q
