"""Reasons why no plan can exist that are known without search."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.mapping import MappingProblem


def reason_for_infeasibility(problem: MappingProblem) -> str | None:
    """Why there is no plan, in words; None if nothing simple forbids one."""
    return _nowhere_to_run(problem) or _memory_too_small(problem) or _weights_too_large(problem)


def _nowhere_to_run(problem: MappingProblem) -> str | None:
    stuck = np.flatnonzero(~np.isfinite(problem.duration).any(axis=1))
    if len(stuck) == 0:
        return None
    shown = ", ".join(problem.layers[i] for i in stuck[:5]) + (", ..." if len(stuck) > 5 else "")
    what = "layer" if len(stuck) == 1 else "layers"
    return f"no device can run {what} {shown}: operators, device rules or cost tables exclude all of them"


def least_bytes(problem: MappingProblem, layer: int, device: int) -> float:
    """Bytes that a layer needs in a device's memory while it runs, whatever else is decided.

    Workspace, the tensors it writes, the tensors it reads unless they need no copy there, and its weights
    (pinned or streamed, they are there while it runs).
    """
    total = float(problem.workspace[layer] + problem.weight_bytes[layer])
    total += sum(float(problem.size[k]) for k in problem.outputs[layer])
    host_copy = problem.execution.staging == "host"
    for k in problem.inputs[layer]:
        source = int(problem.source[k])
        if source < 0:
            if problem.host and not problem.routes.zero_copy[problem.m, device]:
                total += problem.read_sizes[k, layer] if host_copy else float(problem.size[k])
        else:
            total += min(float(problem.size[k]), problem.read_sizes[k, layer])
    return total


def _memory_too_small(problem: MappingProblem) -> str | None:
    if problem.execution.memory != "live":
        return None
    for i in range(problem.n):
        needs = [
            (least_bytes(problem, i, d), float(problem.capacity[problem.memory_of[d]]), d)
            for d in problem.allowed[i]
        ]
        if all(need > capacity for need, capacity, _ in needs):
            need, capacity, d = min(needs, key=lambda entry: entry[0] - entry[1])
            name = problem.memory_names[problem.memory_of[d]]
            return (
                f"layer {problem.layers[i]} needs at least {need:.0f} bytes (workspace, weights and tensors), more "
                f"than every device that can run it has; the closest is {problem.devices[d]} with {capacity:.0f} "
                f"bytes in {name}"
            )
    return None


def _weights_too_large(problem: MappingProblem) -> str | None:
    """Weights that must be pinned, and fit nowhere alone or not all together."""
    everything_pinned = not problem.host or problem.execution.weights == "resident"
    if problem.execution.memory == "none" or not everything_pinned:
        return None
    total: dict[int, float] = {}
    for i in range(problem.n):
        need = float(problem.weight_bytes[i])
        total[int(problem.weight_of[i])] = need
        room = [
            min(float(problem.weight_capacity[d]), float(problem.capacity[problem.memory_of[d]]))
            for d in problem.allowed[i]
        ]
        if all(need > r for r in room):
            return (
                f"the weights of layer {problem.layers[i]} ({need:.0f} bytes) must be pinned, and no device that "
                f"can run it has room for more than {max(room):.0f} bytes"
            )
    by_memory = np.zeros(len(problem.memory_names))
    np.add.at(by_memory, problem.memory_of, problem.weight_capacity)
    room_for_all = float(np.minimum(by_memory, problem.capacity).sum())
    if sum(total.values()) > room_for_all:
        needed = sum(total.values())
        return (
            f"all weights must be pinned: {needed:.0f} bytes, and all memories hold {room_for_all:.0f} bytes"
        )
    return None
