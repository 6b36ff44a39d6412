"""Which nodes run as one layer.

Runtimes compile an elementwise or normalisation tail into the kernel that makes its input, so that the
intermediate value never leaves the registers. The rules here are theirs:

1. a **tail** (batch normalisation, activation, arithmetic with constants, reshaping, transposition) joins
   the group that makes its only varying input, where nothing else reads that input;
2. so does a **closed** set of elementwise nodes, e.g. ``x * sigmoid(x)``: every path from `x` leads through
   it to one value;
3. a **view** that no group could take (its input is a graph input, or read elsewhere too) joins its only
   reader;
4. with `residual`, an elementwise node with several varying inputs joins the one that is computed last.

In each case the joined group makes one value, read (if at all) outside by whoever read it before, so no
cycle can arise. Reductions over an axis (Softmax, LayerNormalization, LRN) and sums of two branches start
layers of their own.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from dnnplan.instances.formats.onnx.elementwise import ACTIVATIONS, BINARY, UNARY, VIEWS
from dnnplan.instances.formats.onnx.values import Graph, Node

_ELEMENTWISE = frozenset({*ACTIVATIONS, *UNARY, *BINARY, "Sum", "Mean", "Max", "Min", "Cast", "CastLike"})
_TAILS = _ELEMENTWISE | VIEWS | {"BatchNormalization", "Transpose"}
_CLOSED_SIZE = 16
"""Largest set of nodes that rule 2 looks at; the longest common one, GELU by tanh, has 8."""


@dataclass(slots=True)
class Group:
    """Nodes that run as one layer, in topological order."""

    nodes: list[Node] = field(default_factory=list)


class Readers:
    """Who makes and who reads each varying value."""

    def __init__(self, graph: Graph, nodes: list[Node]) -> None:
        self.graph = graph
        self.outputs = set(graph.outputs)
        self.nodes = {node.index: node for node in nodes}
        self.producer = {name: node.index for node in nodes for name in node.writes}
        self.readers: dict[str, list[int]] = {}
        for node in nodes:
            for name in self.varying(node):
                self.readers.setdefault(name, []).append(node.index)

    def varying(self, node: Node) -> list[str]:
        """The values it reads that depend on an input, each once."""
        return [name for name in dict.fromkeys(node.reads) if name not in self.graph.constants]

    def live(self, nodes: list[Node]) -> list[str]:
        """The values that `nodes` make and something outside them needs."""
        inside = {node.index for node in nodes}
        return [
            name
            for node in nodes
            for name in node.writes
            if name in self.outputs or any(reader not in inside for reader in self.readers.get(name, ()))
        ]


def is_tail(node: Node) -> bool:
    """Whether a node can run inside the kernel that makes its input."""
    return not node.domain and not node.opaque and node.op in _TAILS


def is_view(node: Node, graph: Graph) -> bool:
    """Whether a node changes no byte of its input."""
    if node.domain or not node.inputs or not node.outputs:
        return False
    if node.op in ("Cast", "CastLike"):
        return graph.value(node.inputs[0]).dtype == graph.value(node.outputs[0]).dtype
    return node.op in VIEWS


def group_nodes(graph: Graph, *, fuse: bool = True, residual: bool = False) -> list[Group]:
    """The layers of a graph, in topological order; folded nodes are in none of them."""
    nodes = [node for node in graph.nodes if node.index not in graph.constant_nodes]
    readers = Readers(graph, nodes)
    if not fuse:
        return [Group([node]) for node in nodes]
    fusion = _Fusion(readers, residual)
    for node in nodes:
        fusion.place(node)
    fusion.join_views()
    return sorted_groups([Group(members) for members in fusion.members.values()], readers)


class _Fusion:
    """The groups while they grow."""

    def __init__(self, readers: Readers, residual: bool) -> None:
        self.readers = readers
        self.residual = residual
        self.members: dict[int, list[Node]] = {}
        self.group_of: dict[int, int] = {}
        # The one value that a group makes for others; None: several, or none.
        self.result: dict[int, str | None] = {}

    def place(self, node: Node) -> None:
        """Put a node into the group it belongs to; all nodes before it have one."""
        if node.index in self.group_of:
            return
        group = self._host(node)
        if group is None:
            group = node.index
            self.members[group] = []
        self._append(group, [node])
        # Rule 2: what grows out of the value just made may close again, and so may what follows that.
        while closed := self._closed_set(self.result[group]):
            self._append(group, closed)

    def _append(self, group: int, nodes: list[Node]) -> None:
        # A dead end among the readers of a value may have been taken with it before.
        self.members[group].extend(node for node in nodes if node.index not in self.group_of)
        self.group_of.update((node.index, group) for node in nodes)
        live = self.readers.live(nodes)
        self.result[group] = live[0] if len(live) == 1 else None

    def _host(self, node: Node) -> int | None:
        """Rules 1 and 4: the group that a tail joins."""
        if not is_tail(node):
            return None
        varying = self.readers.varying(node)
        if len(varying) > 1 and not (self.residual and node.op in _ELEMENTWISE):
            return None
        hosts = [
            self.group_of[self.readers.producer[name]] for name in varying if name in self.readers.producer
        ]
        hosts = [host for host in dict.fromkeys(hosts) if self._feeds_only(host, node, varying)]
        return max(hosts, key=lambda host: self.members[host][-1].index, default=None)

    def _feeds_only(self, group: int, node: Node, varying: list[str]) -> bool:
        result = self.result[group]
        return (
            result in varying
            and result not in self.readers.outputs
            and self.readers.readers[result] == [node.index]
        )

    def _closed_set(self, start: str | None) -> list[Node]:
        """Elementwise nodes fed by `start` and constants alone, up to where they make one value."""
        if start is None or start in self.readers.outputs or len(self.readers.readers[start]) < 2:
            return []
        available = {start}
        chosen: list[Node] = []
        waiting = list(self.readers.readers[start])
        heapq.heapify(waiting)
        seen = set(waiting)
        while waiting and len(chosen) < _CLOSED_SIZE:
            node = self.readers.nodes[heapq.heappop(waiting)]
            seen.discard(node.index)
            if not is_tail(node) or not available.issuperset(self.readers.varying(node)):
                continue  # it may come up again, through its other input
            chosen.append(node)
            available.update(node.writes)
            for reader in (r for name in node.writes for r in self.readers.readers.get(name, ())):
                if reader not in seen:
                    seen.add(reader)
                    heapq.heappush(waiting, reader)
            inside = {member.index for member in chosen}
            if inside.issuperset(self.readers.readers[start]) and len(self.readers.live(chosen)) == 1:
                return chosen
        return []

    def join_views(self) -> None:
        """Rule 3: views that stand alone join their only reader."""
        for group in sorted(self.members, reverse=True):
            nodes = self.members[group]
            result = self.result[group]
            if result is None or result in self.readers.outputs:
                continue
            if not all(is_view(node, self.readers.graph) for node in nodes):
                continue
            targets = {self.group_of[reader] for reader in self.readers.readers[result]}
            if len(targets) == 1:
                target = targets.pop()
                self.members[target] = nodes + self.members[target]
                self.group_of.update((node.index, target) for node in nodes)
                del self.members[group]


def sorted_groups(groups: list[Group], readers: Readers) -> list[Group]:
    """The groups in topological order; ties by their first node in the file."""
    group_of = {node.index: position for position, group in enumerate(groups) for node in group.nodes}
    before: list[set[int]] = [set() for _ in groups]
    after: list[set[int]] = [set() for _ in groups]
    for position, group in enumerate(groups):
        for name in (name for node in group.nodes for name in readers.varying(node)):
            earlier = group_of.get(readers.producer.get(name, -1), position)
            if earlier != position:
                before[position].add(earlier)
                after[earlier].add(position)
    waiting = [len(own) for own in before]
    first = [min(node.index for node in group.nodes) for group in groups]
    ready = [(first[position], position) for position, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, position = heapq.heappop(ready)
        order.append(groups[position])
        for later in after[position]:
            waiting[later] -= 1
            if waiting[later] == 0:
                heapq.heappush(ready, (first[later], later))
    if len(order) < len(groups):
        raise AssertionError("joining nodes made a cycle")  # rules 1 to 4 cannot; a bug if it happens
    return order
