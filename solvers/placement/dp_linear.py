"""Contiguous splits of one topological order: dynamic programming over its segments."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.routes import IntArray
from dnnplan.formulations.mapping.load.groups import LoadProblem, load_problem
from dnnplan.solvers.cancellation import halt_flag
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.placement.placement_search import load_arrays
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search
from dnnplan.solvers.start import propose_simple_plans

KERNEL = "dnnplan.solvers.kernels.segments:split"
COMPILER_SECONDS, LOADING_SECONDS = 20.0, 4.0
MOST_STEPS = 4e9
"""Segments x device counts up to which the programme is worth its time."""


class DpLinear:
    """The best split of a topological order of the groups into one segment a device, for the largest load.

    DPL of Tarnawski et al. (NeurIPS 2020, section 5.2): the dynamic programme over ideals, on the ideals of one linear
    order. Backward layers follow the forward layers that they share a device with. O(G^2 (degree + device counts)).
    """

    summary = "max-load: best split of one topological order into a segment a device (DPL)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the one split, or simple plans where there is none (layers that are fixed to devices)."""
        if search.finished():
            return
        place = None
        if worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
            loads = load_problem(problem)
            place = linear_split(loads, linear_order(loads))
        if place is None or not search.propose(placed(loads, place)):
            propose_simple_plans(problem, search)


def linear_split(
    loads: LoadProblem, order: IntArray, *, host: int = -1, serial: bool = False
) -> IntArray | None:
    """(G,) device of each group of the best split of `order`; None if there is none, or it would take too long.

    Parameters
    ----------
    host
        A device that takes any number of single groups instead of one segment; -1: none.
    serial
        Whether the sum of the loads counts instead of the largest.
    """
    from dnnplan.solvers.kernels.segments import split

    classes = [[d for d in members if d != host] for members in loads.classes]
    classes = [members for members in classes if members]
    states = math.prod(len(c) + 1 for c in classes)
    if loads.size == 0 or not states * float(loads.size) ** 2 <= MOST_STEPS:
        return None
    radix = np.concatenate([[1], np.cumprod([len(c) + 1 for c in classes])]).astype(np.int64)
    devices = np.array([c[0] for c in classes], dtype=np.int64)
    value, begin, last = split(load_arrays(loads), order, devices, radix, host, serial, halt_flag())
    state, i = states - 1, loads.size
    if not math.isfinite(value[i, state]):
        return None
    place = np.zeros(loads.size, dtype=np.int64)
    while i > 0:
        c, j = int(last[i, state]), int(begin[i, state])
        place[order[j:i]] = classes[c].pop(0) if c < len(classes) else host
        i, state = j, state - (int(radix[c]) if c < len(classes) else 0)
    return place


def linear_order(loads: LoadProblem) -> IntArray:
    """A topological order of the groups by their forward layers, each as late as its readers allow.

    A depth-first walk from the last groups backwards, so that weights and branches come right before what needs them.
    Layers with the attribute `backward` follow their group. Where colocation makes a cycle of groups, the one with the
    latest first layer is taken next.
    """
    producers: list[set[int]] = [set() for _ in range(loads.size)]
    waiting = np.zeros(loads.size, dtype=np.int64)
    for source, reader in forward_edges(loads):
        producers[reader].add(source)
    for row in producers:
        for g in row:
            waiting[g] += 1
    stack = [g for g in range(loads.size) if waiting[g] == 0]
    placed_already = np.zeros(loads.size, dtype=bool)
    left = list(range(loads.size))
    order: list[int] = []
    while len(order) < loads.size:
        if not stack:
            while placed_already[left[-1]]:
                left.pop()
            stack.append(left[-1])
        g = stack.pop()
        if placed_already[g]:
            continue
        placed_already[g] = True
        order.append(g)
        for h in sorted(producers[g]):
            waiting[h] -= 1
            if waiting[h] == 0:
                stack.append(h)
    return np.array(order[::-1], dtype=np.int64)


def forward_edges(loads: LoadProblem) -> list[tuple[int, int]]:
    """(writing, reading) groups of the tensors between forward layers, without repetition."""
    problem = loads.problem
    forward = _forward(problem)
    pairs = {
        (int(loads.group_of[i]), int(loads.group_of[j]))
        for _, i, j in problem.edges.tolist()
        if forward[i] and forward[j]
    }
    return sorted((g, h) for g, h in pairs if g != h)


def _forward(problem: MappingProblem) -> list[bool]:
    """Whether each layer is of the forward pass: those not marked `backward`."""
    models = {task.name: task.model for task in problem.instance.tasks}
    marked = {
        (model.name, layer.name)
        for model in problem.instance.models
        for layer in model.layers
        if layer.attributes.get("backward")
    }
    if not marked:
        return [True] * problem.n
    rows = []
    for key, job in zip(problem.layers, problem.job_of.tolist(), strict=True):
        task = problem.jobs[job].task
        rows.append((models.get(task, task), key.split("/", 2)[2]) not in marked)
    return rows


def placed(loads: LoadProblem, place: IntArray) -> Decisions:
    """The plan of a placement of groups; each device runs its layers in topological order."""
    problem = loads.problem
    devices = place[loads.group_of].tolist()
    rows: list[list[int]] = [[] for _ in range(problem.m)]
    for i in problem.topological:
        rows[devices[i]].append(i)
    return decisions_of(problem, devices, rows)
