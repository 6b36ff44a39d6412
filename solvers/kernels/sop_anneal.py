"""Kicks, descents and annealed acceptance: iterated local search of paths under precedences.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.solvers.kernels.plan_state import MODULUS, kernel
from dnnplan.solvers.kernels.sop_exchange import descend
from dnnplan.solvers.kernels.sop_path import (
    FROM,
    TO,
    Net,
    Path,
    chance,
    draw,
    exchange,
    first_after,
    keep,
    length,
    note,
    push,
    take_back,
)

ATTEMPTS = 50
"""Draws of a kick until one is allowed."""


@kernel
def swap_parts(net: Net, s: Path, longest: int) -> float:
    """A random exchange of two short neighbouring parts; what it adds to the cost.

    The double bridge of Martin, Otto and Felten (1991) on a stretch of the path, where precedences allow it.
    """
    n = s.order.shape[0]
    for _ in range(ATTEMPTS):
        h = draw(s, n - 3)
        i = h + 1 + draw(s, longest)
        j = i + 1 + draw(s, longest)
        if i >= n - 2:
            continue
        limit = n - 1
        for p in range(h + 1, i + 1):
            limit = min(limit, first_after(net, s, p))
        j = min(j, limit - 1)
        if j <= i:
            continue
        a, b, z, x, w, y = (
            s.order[h],
            s.order[h + 1],
            s.order[i],
            s.order[i + 1],
            s.order[j],
            s.order[j + 1],
        )
        exchange(s, h, i, j)
        new = net.cost[a, x] + net.cost[w, b] + net.cost[z, y]
        return float(new - net.cost[a, b] - net.cost[z, x] - net.cost[w, y])
    return 0.0


@kernel
def turn(net: Net, s: Path, longest: int) -> float:
    """Turn a random short part around, as far as nothing in it has to come before something in it; what that adds.

    Where costs are nearly symmetric (2-opt); exchanges alone need three steps more for it. O(longest).
    """
    n = s.order.shape[0]
    for _ in range(ATTEMPTS):
        p = 1 + draw(s, n - 2)
        most = min(n - 2, p + 1 + draw(s, longest))
        q, limit = p, first_after(net, s, p)
        while q < most and q + 1 < limit:
            q += 1
            limit = min(limit, first_after(net, s, q))
        if p == q:
            continue
        old, new = 0.0, 0.0
        for k in range(p - 1, q + 1):
            old += net.cost[s.order[k], s.order[k + 1]]
        a, y = p, q
        while a < y:
            s.order[a], s.order[y] = s.order[y], s.order[a]
            a, y = a + 1, y - 1
        for k in range(p - 1, q + 1):
            s.place[s.order[k]] = k
            push(s, s.order[k])
            new += net.cost[s.order[k], s.order[k + 1]]
        note(s, p, q)
        return float(new - old)
    return 0.0


@kernel
def gather(net: Net, s: Path, p: int, q: int, early: bool) -> int:
    """List places p to q anew: the last node goes first with all that has to precede it, or the first one goes last with
    all that has to follow it. Both groups keep their order, so that precedences are kept. Returns how many are listed.
    """
    v = s.order[q] if early else s.order[p]
    count = 0
    for together in (early, not early):
        for k in range(p, q + 1):
            u = s.order[k]
            bound = u == v or (net.before[u, v] if early else net.before[v, u])
            if bound == together:
                s.moved[count] = u
                count += 1
    return count


@kernel
def pull(net: Net, s: Path, longest: int) -> float:
    """Move a random node ahead with its predecessors, or back with its successors; what that adds to the cost.

    Where precedences are many, a node can hardly move alone, and parts of a path hardly change places: this goes where
    exchanges do not. O(longest).
    """
    n = s.order.shape[0]
    for _ in range(ATTEMPTS):
        early = draw(s, 2) == 0
        p = 1 + draw(s, n - 2)
        q = p + 1 + draw(s, longest)
        if q > n - 2:
            continue
        # What has to stay on this side of the node at the far end does not move anyway.
        while early and p < q and net.before[s.order[p], s.order[q]]:
            p += 1
        while not early and p < q and net.before[s.order[p], s.order[q]]:
            q -= 1
        if p == q:
            continue
        old, new = net.cost[s.order[p - 1], s.order[p]], 0.0
        count = gather(net, s, p, q, early)
        u = s.order[p - 1]
        for k in range(count):
            old += net.cost[s.order[p + k], s.order[p + k + 1]]
            v = s.moved[k]
            if s.place[v] != s.place[u] + 1:
                push(s, u)
                push(s, v)
            new += net.cost[u, v]
            u = v
        new += net.cost[u, s.order[q + 1]]
        push(s, u)
        for k in range(count):
            s.order[p + k] = s.moved[k]
            s.place[s.moved[k]] = p + k
        push(s, s.order[q + 1])
        note(s, p, q)
        return float(new - old)
    return 0.0


@kernel
def anneal(
    net: Net,
    s: Path,
    best: IntArray,
    value: float,
    steps: int,
    heat: tuple[float, float],
    kicks: tuple[float, float, int],
) -> float:
    """Some steps from the path in `s`, which is left where they end; a path below `value` goes to `best`.

    A step is a kick and a descent around it. It is kept if it costs at most a random amount more, which cools down
    geometrically between the two heats (Kirkpatrick, Gelatt and Vecchi 1983; on local optima: Martin, Otto and Felten
    1991).

    Parameters
    ----------
    kicks
        Share of pulls among the kicks, and the most nodes that a kick moves by.

    Returns
    -------
    Cost of the best path, `value` if none is better.
    """
    share, turns, longest = kicks
    s.counts[FROM], s.counts[TO] = 0, s.order.shape[0] - 1
    descend(net, s)
    keep(s)
    current = length(net, s.order)
    warmth = heat[0]
    ratio = (heat[1] / heat[0]) ** (1.0 / max(steps, 1))
    for step in range(steps + 1):
        if current < value - net.slack:
            value = length(net, s.order)
            current = value
            best[:] = s.order
        if step == steps:
            break
        warmth *= ratio
        kind = chance(s)
        if kind < share:
            added = pull(net, s, longest)
        elif kind < share + turns:
            added = turn(net, s, longest)
        else:
            added = swap_parts(net, s, longest)
        added -= descend(net, s)
        if added <= -warmth * np.log(chance(s)):
            current += added
            keep(s)
        else:
            take_back(s)
    return value


@kernel
def seed_path(s: Path, seed: int) -> None:
    """Start the random numbers, and look at every node at the next descent."""
    s.random[0] = 1 + (seed * 7919 + 12345) % (MODULUS - 1)
    for _ in range(8):
        draw(s, 2)
    for v in range(s.order.shape[0]):
        push(s, v)
