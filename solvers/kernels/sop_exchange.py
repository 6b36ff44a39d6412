"""Path-preserving 3-exchange under precedences: two neighbouring parts of a path change places.

``.. a | b .. z | x .. w | y ..`` becomes ``.. a | x .. w | b .. z | y ..``: three steps are new, none is reversed, so that
costs may be asymmetric. Allowed if nothing in ``b .. z`` has to come before anything in ``x .. w``. Gambardella and Dorigo
(2000, section 4) test that in constant time by labels that grow with the parts; here the same is read from the places of
direct successors and predecessors: a part that begins at b may move up to the first node that has to follow one of it.

An exchange takes three nodes (a, z, w) to other followers. Its gain is the sum of three gains, so that from one of the
three on all partial sums are positive (Lin and Kernighan 1973): each role is tried for the node around which something has
changed, along lists of near nodes that end where the partial sum does. Importing this module loads numba.
"""

from __future__ import annotations

from dnnplan.solvers.kernels.plan_state import kernel
from dnnplan.solvers.kernels.sop_path import Net, Path, exchange, first_after, last_ahead, pop


@kernel
def from_first(net: Net, s: Path, h: int) -> float:
    """Make the best exchange whose left part begins behind place h; its gain, 0: there is none. O(N + K^2)."""
    a, b = s.order[h], s.order[h + 1]
    best, at_i, at_j, known = net.slack, -1, -1, h
    for k in range(net.near.shape[1]):
        x = net.near[a, k]
        if x < 0 or net.cost[a, b] - net.cost[a, x] <= net.slack:
            break
        i = s.place[x] - 1
        if i <= h:
            continue
        while known < i:
            known += 1
            limit = first_after(net, s, known)
            s.reach[known] = limit if known == h + 1 else min(limit, s.reach[known - 1])
        if s.reach[i] <= i + 1:
            continue
        z = s.order[i]
        gain = net.cost[a, b] - net.cost[a, x] + net.cost[z, x]
        for m in range(net.near.shape[1]):
            y = net.near[z, m]
            if y < 0 or gain - net.cost[z, y] <= best:
                break
            j = s.place[y] - 1
            if i < j < s.reach[i]:
                w = s.order[j]
                total = gain - net.cost[z, y] + net.cost[w, y] - net.cost[w, b]
                if total > best:
                    best, at_i, at_j = total, i, j
    if at_i < 0:
        return 0.0
    exchange(s, h, at_i, at_j)
    return float(best)


@kernel
def from_middle(net: Net, s: Path, i: int) -> float:
    """Make the best exchange whose left part ends at place i; its gain, 0: there is none. O(N + K^2)."""
    z, x = s.order[i], s.order[i + 1]
    best, at_h, at_j, known = net.slack, -1, -1, i + 1
    for k in range(net.near.shape[1]):
        y = net.near[z, k]
        if y < 0 or net.cost[z, x] - net.cost[z, y] <= net.slack:
            break
        j = s.place[y] - 1
        if j <= i:
            continue
        w = s.order[j]
        gain = net.cost[z, x] - net.cost[z, y] + net.cost[w, y]
        for m in range(net.near.shape[1]):
            b = net.near[w, m]
            if b < 0 or gain - net.cost[w, b] <= best:
                break
            h = s.place[b] - 1
            if h < 0 or h >= i:
                continue
            while known > h + 1:
                known -= 1
                limit = first_after(net, s, known)
                s.reach[known] = limit if known == i else min(limit, s.reach[known + 1])
            if s.reach[h + 1] <= j:
                continue
            a = s.order[h]
            total = gain - net.cost[w, b] + net.cost[a, b] - net.cost[a, x]
            if total > best:
                best, at_h, at_j = total, h, j
    if at_h < 0:
        return 0.0
    exchange(s, at_h, i, at_j)
    return float(best)


@kernel
def from_last(net: Net, s: Path, j: int) -> float:
    """Make the best exchange whose right part ends at place j; its gain, 0: there is none. O(N + K^2)."""
    w, y = s.order[j], s.order[j + 1]
    best, at_h, at_i, known = net.slack, -1, -1, j + 1
    for k in range(net.near.shape[1]):
        b = net.near[w, k]
        if b < 0 or net.cost[w, y] - net.cost[w, b] <= net.slack:
            break
        h = s.place[b] - 1
        if h < 0 or h >= j:
            continue
        a = s.order[h]
        gain = net.cost[w, y] - net.cost[w, b] + net.cost[a, b]
        for m in range(net.near.shape[1]):
            x = net.near[a, m]
            if x < 0 or gain - net.cost[a, x] <= best:
                break
            i = s.place[x] - 1
            if i <= h or i >= j:
                continue
            while known > i + 1:
                known -= 1
                limit = last_ahead(net, s, known)
                s.reach[known] = limit if known == j else max(limit, s.reach[known + 1])
            if s.reach[i + 1] > h:
                continue
            z = s.order[i]
            total = gain - net.cost[a, x] + net.cost[z, x] - net.cost[z, y]
            if total > best:
                best, at_h, at_i = total, h, i
    if at_h < 0:
        return 0.0
    exchange(s, at_h, at_i, j)
    return float(best)


@kernel
def descend(net: Net, s: Path) -> float:
    """Exchanges around all nodes on the stack until none gains; what they gained in all."""
    total = 0.0
    while s.counts[0] > 0:
        v = pop(s)
        gain = 1.0
        while gain > 0.0 and s.place[v] < s.order.shape[0] - 1:
            gain = from_first(net, s, s.place[v])
            if gain == 0.0:
                gain = from_middle(net, s, s.place[v])
            if gain == 0.0:
                gain = from_last(net, s, s.place[v])
            total += gain
    return total
