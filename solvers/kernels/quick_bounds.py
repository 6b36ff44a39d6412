"""Lower bounds in well under a millisecond: the communication-aware critical path, and the load of devices.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


@inner
def move_seconds(a: Arrays, k: int, origin: int, target: int) -> float:
    """Seconds of tensor k from end to end."""
    if origin == target:
        return 0.0
    if a.row[k] >= 0:
        return float(a.table[a.row[k], origin, target])
    return float(a.latency[origin, target] + a.size[k] * a.per_byte[origin, target])


@kernel
def path_length(  # noqa: C901, PLR0912
    a: Arrays, topological: IntArray, output: BoolArray, host: bool, tail: FloatArray
) -> float:
    """Max over layers of the least of head + time + tail over devices, for direct staging.

    The recursion of `dnnplan.formulations.mapping.bounds.heads_and_tails`. O(E m^2).

    Parameters
    ----------
    output
        (K,) tensors that go to the host, if there is one.
    tail
        (n, m) zeros; least seconds from the end of each layer on each device to the end of the plan go there.
    """
    n, m = a.duration.shape
    head = np.zeros((n, m))
    for q in range(n):
        j = topological[q]
        for b in range(m):
            earliest = a.release[j]
            for e in range(a.in_start[j], a.in_start[j + 1]):
                k = a.in_tensor[e]
                i = a.source[k]
                moment = np.inf
                if i < 0:
                    moment = 0.0
                    if host:
                        moment = a.ready[k] + move_seconds(a, k, m, b)
                else:
                    for d in range(m):
                        moment = min(moment, head[i, d] + a.duration[i, d] + move_seconds(a, k, d, b))
                earliest = max(earliest, moment)
            head[j, b] = earliest
    if host:
        for k in range(output.shape[0]):
            if output[k] and a.source[k] >= 0:
                for d in range(m):
                    tail[a.source[k], d] = max(tail[a.source[k], d], move_seconds(a, k, d, m))
    longest = 0.0
    for q in range(n - 1, -1, -1):
        j = topological[q]
        through = np.inf
        for b in range(m):
            through = min(through, head[j, b] + a.duration[j, b] + tail[j, b])
        longest = max(longest, through)
        for e in range(a.in_start[j], a.in_start[j + 1]):
            k = a.in_tensor[e]
            i = a.source[k]
            if i < 0:
                continue
            for d in range(m):
                after = np.inf
                for b in range(m):
                    after = min(after, move_seconds(a, k, d, b) + a.duration[j, b] + tail[j, b])
                tail[i, d] = max(tail[i, d], after)
    return longest


@kernel
def least_load(times: FloatArray, slots: FloatArray, rounds: int, prices: FloatArray) -> float:
    """Best dual value of R||Cmax that some rounds of multiplicative weights find; (m,) prices go to the last argument.

    For any non-negative prices p, sum_i min_d p_d t[i,d] / sum_d p_d slots[d] bounds the makespan from below (dual of
    the relaxation of Lenstra, Shmoys and Tardos 1990); prices of devices that are asked for more rise (Arora, Hazan and
    Kale 2012).
    """
    n, m = times.shape
    price = np.ones(m)
    load = np.empty(m)
    best = 0.0
    for number in range(rounds):
        load[:] = 0.0
        total = 0.0
        for i in range(n):
            least, chosen = np.inf, -1
            for d in range(m):
                cost = times[i, d] * price[d]
                if cost < least:
                    least, chosen = cost, d
            if chosen >= 0:
                load[chosen] += times[i, chosen] / slots[chosen]
                total += least
        value = total / (price * slots).sum()
        if value > best:
            best = value
            prices[:] = price
        mean = load.sum() / m
        if mean <= 0.0:
            break
        step = 0.5 / (1.0 + number / 10.0)
        for d in range(m):
            price[d] *= np.exp(step * min(1.0, max(-1.0, load[d] / mean - 1.0)))
        price = np.maximum(price / (price.sum() / m), 1e-6)
    return best
