"""Finding a cycle in a directed graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from dnnplan.instances.wording import Report, show

Node = TypeVar("Node", bound=Hashable)


def find_cycle(successors: Mapping[Node, Sequence[Node]]) -> list[Node]:
    """One cycle, as its nodes in the direction of the arcs; empty where there is none. O(nodes + arcs).

    >>> find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]})
    ['b', 'c']
    >>> find_cycle({"a": ["b"], "b": []})
    []
    """
    degree = dict.fromkeys(successors, 0)
    for targets in successors.values():
        for target in targets:
            degree[target] = degree.get(target, 0) + 1
    ready = deque(node for node, count in degree.items() if count == 0)
    left = len(degree)
    while ready:
        node = ready.popleft()
        left -= 1
        for target in successors.get(node, ()):
            degree[target] -= 1
            if degree[target] == 0:
                ready.append(target)
    if not left:
        return []
    return _cycle_within(successors, {node for node, count in degree.items() if count > 0}, degree)


def _cycle_within(
    successors: Mapping[Node, Sequence[Node]], stuck: set[Node], order: Mapping[Node, int]
) -> list[Node]:
    """Walk backwards among nodes that each have a predecessor left, until one comes up again."""
    predecessor: dict[Node, Node] = {}
    for node in order:
        if node in stuck:
            for target in successors.get(node, ()):
                predecessor.setdefault(target, node)
    position: dict[Node, int] = {}
    walk: list[Node] = []
    node = next(node for node in order if node in stuck)
    while node not in position:
        position[node] = len(walk)
        walk.append(node)
        node = predecessor[node]
    cycle = walk[position[node] :][::-1]
    # Start with the node that is defined first, so that the message does not depend on the walk.
    rank = {node: index for index, node in enumerate(order)}
    first = min(range(len(cycle)), key=lambda index: rank[cycle[index]])
    return cycle[first:] + cycle[:first]


def report_cycle(successors: Mapping[str, Sequence[str]], path: str, report: Report) -> None:
    """Report a cycle among names, if there is one; of a long one the beginning is shown."""
    cycle = find_cycle(successors)
    if cycle:
        shown = [show(name) for name in cycle[:8]] + (["..."] if len(cycle) > 8 else []) + [show(cycle[0])]
        report.add(path, f"cycle {' -> '.join(shown)}, expected an acyclic order")
