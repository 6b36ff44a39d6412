"""Steps of the compiled local search: each changes a plan through the journal of `sequences`, and times nothing."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import bare, kernel
from dnnplan.solvers.kernels.plan_state import Net, State, draw
from dnnplan.solvers.kernels.sequences import move

LONGEST_BLOCK = 16
"""Layers in a block that moves along a chain."""


@kernel
def window(net: Net, s: State, i: int) -> tuple[int, int]:
    """First and last index in the order that layer i can have."""
    low, high = 0, s.order.shape[0] - 1
    for e in range(net.pred_start[i], net.pred_start[i + 1]):
        low = max(low, s.position[net.pred[e]] + 1)
    for e in range(net.succ_start[i], net.succ_start[i + 1]):
        high = min(high, s.position[net.succ[e]] - 1)
    return low, high


@bare
def other_device(net: Net, s: State, i: int) -> int:
    """A device for layer i: that of a random neighbour in the graph, any that can run it, or the cheaper of two."""
    start, size = net.allowed_start[i], net.allowed_start[i + 1] - net.allowed_start[i]
    if draw(s, 3) == 0:
        inward = net.pred_start[i + 1] - net.pred_start[i]
        outward = net.succ_start[i + 1] - net.succ_start[i]
        if inward + outward > 0:
            e = draw(s, inward + outward)
            if e < inward:
                d = s.place[net.pred[net.pred_start[i] + e]]
            else:
                d = s.place[net.succ[net.succ_start[i] + e - inward]]
            if net.duration[i, d] < np.inf:
                return int(d)
    d = net.allowed[start + draw(s, size)]
    if draw(s, 2) == 0:
        b = net.allowed[start + draw(s, size)]
        if net.paid[i, b] < net.paid[i, d]:
            d = b
    return int(d)


@bare
def move_layer(net: Net, s: State, i: int) -> None:
    """To another device, at its index or near it."""
    d = other_device(net, s, i)
    new = s.position[i]
    if draw(s, 2) == 0:
        low, high = window(net, s, i)
        reach = 4 * s.first.shape[0]
        new = min(max(new + draw(s, 2 * reach + 1) - reach, low), high)
    if d != s.place[i] or new != s.position[i]:
        move(net, s, i, new, d)


@bare
def shift_layer(net: Net, s: State, i: int) -> None:
    """Past one or some layers of its device, backwards or forwards; where a reader blocks, the other one moves."""
    d = s.place[i]
    jumps = 1
    while jumps < 8 and draw(s, 2) == 0:
        jumps += 1
    backwards = draw(s, 2) == 0
    j = i
    for _ in range(jumps):
        x = s.before[j] if backwards else s.after[j]
        if x < 0:
            break
        j = x
    if j == i:
        return
    low, high = window(net, s, i)
    goal = s.position[j]
    if low <= goal <= high:
        move(net, s, i, goal, d)
        return
    low, high = window(net, s, j)
    goal = s.position[i]
    if low <= goal <= high:
        move(net, s, j, goal, d)
        return
    low, high = window(net, s, i)
    goal = min(max(s.position[j], low), high)
    if goal != s.position[i]:
        move(net, s, i, goal, d)


@bare
def swap_layers(net: Net, s: State, i: int) -> None:
    """Devices and indices of two layers that stand near each other in the order."""
    n = s.order.shape[0]
    reach = 4 * s.first.shape[0]
    q = s.position[i] + draw(s, 2 * reach + 1) - reach
    if q < 0 or q >= n:
        return
    j = s.order[q]
    a, b = s.place[i], s.place[j]
    if a == b or net.duration[i, b] == np.inf or net.duration[j, a] == np.inf:
        return
    old = s.position[i]
    low, high = window(net, s, i)
    if move(net, s, i, min(max(q, low), high), b):
        low, high = window(net, s, j)
        if s.place[j] == b:
            move(net, s, j, min(max(old, low), high), a)


@bare
def move_block(net: Net, s: State, i: int) -> None:
    """A chain of layers along tensors to one device: i, one of its readers (or producers), one of that one's, ..."""
    d = other_device(net, s, i)
    length = 2 + draw(s, LONGEST_BLOCK - 1)
    a = s.place[i]
    forwards = draw(s, 2) == 0
    whole = draw(s, 2) == 0
    j = i
    for _ in range(length):
        if whole and s.place[j] != a:
            break
        if s.place[j] != d and net.duration[j, d] < np.inf and not move(net, s, j, s.position[j], d):
            break
        if forwards:
            degree = net.succ_start[j + 1] - net.succ_start[j]
            if degree == 0:
                break
            j = net.succ[net.succ_start[j] + draw(s, degree)]
        else:
            degree = net.pred_start[j + 1] - net.pred_start[j]
            if degree == 0:
                break
            j = net.pred[net.pred_start[j] + draw(s, degree)]


@bare
def pull_neighbours(net: Net, s: State, i: int) -> None:
    """Layer i with all its producers, or all its readers, to one device."""
    d = other_device(net, s, i)
    if s.place[i] != d:
        move(net, s, i, s.position[i], d)
    if draw(s, 2) == 0:
        for e in range(net.pred_start[i], net.pred_start[i + 1]):
            j = net.pred[e]
            if s.place[j] != d and net.duration[j, d] < np.inf and not move(net, s, j, s.position[j], d):
                return
    else:
        for e in range(net.succ_start[i], net.succ_start[i + 1]):
            j = net.succ[e]
            if s.place[j] != d and net.duration[j, d] < np.inf and not move(net, s, j, s.position[j], d):
                return
