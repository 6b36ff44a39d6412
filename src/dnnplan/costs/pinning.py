"""Which weights to keep in each device's memory, given where the layers run."""

from __future__ import annotations

from collections.abc import Sequence

from dnnplan.costs.mapping import MappingProblem


def pin_greedily(problem: MappingProblem, place: Sequence[int], *, reserve: float = 0.0) -> list[set[int]]:
    """Pin the weights that save most loading time by byte, while they fit; everything where memory is no limit.

    Parameters
    ----------
    place
        (n,) device of each layer.
    reserve
        Share of each capacity that is left free, for tensors.

    Returns
    -------
    (m,) weights pinned on each device.
    """
    used: list[dict[int, float]] = [{} for _ in range(problem.m)]
    for i, d in enumerate(place):
        w = int(problem.weight_of[i])
        used[d][w] = used[d].get(w, 0.0) + float(problem.load[i, d])
    if problem.execution.memory == "none":
        return [set(weights) for weights in used]
    size = {int(w): float(b) for w, b in zip(problem.weight_of, problem.weight_bytes, strict=True)}
    free_memory = [float(c) * (1 - reserve) for c in problem.capacity]
    free_device = [float(c) * (1 - reserve) for c in problem.weight_capacity]
    pinned: list[set[int]] = [set() for _ in range(problem.m)]
    items = [
        (saved / size[w] if size[w] > 0 else float("inf"), d, w)
        for d in range(problem.m)
        for w, saved in used[d].items()
    ]
    for _, d, w in sorted(items, key=lambda item: (-item[0], item[1], item[2])):
        memory = int(problem.memory_of[d])
        if size[w] <= free_device[d] and size[w] <= free_memory[memory]:
            pinned[d].add(w)
            free_device[d] -= size[w]
            free_memory[memory] -= size[w]
    return pinned
