"""From the protocol buffer to nodes that are known to form a directed acyclic graph."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

from dnnplan.instances.errors import FormatError, Problem
from dnnplan.instances.formats.onnx.safety import attribute_graphs
from dnnplan.instances.formats.onnx.values import Node, Value, checked_shape

_SHOWN = 20
# AttributeProto.AttributeType of the attributes that cost rules look at, and the field that holds them.
_FIELDS = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}


def read_nodes(graph: Any, largest: int) -> list[Node]:
    """The nodes of a GraphProto in file order, each with a unique name."""
    nodes = []
    for index, (proto, name) in enumerate(zip(graph.node, unique_node_names(graph), strict=True)):
        node = Node(
            index=index,
            name=name,
            op=proto.op_type,
            domain="" if proto.domain == "ai.onnx" else proto.domain,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes=_attributes(proto),
        )
        subgraphs = list(attribute_graphs(proto))
        if subgraphs:
            node.opaque = True
            node.captured = tuple(dict.fromkeys(name for sub in subgraphs for name in _captured(sub)))
            node.hidden_weight_bytes = sum(_hidden_weight_bytes(sub, largest) for sub in subgraphs)
        nodes.append(node)
    return nodes


def unique_node_names(graph: Any) -> list[str]:
    """A name for each node: its own, else operator and first output; repeated names are numbered."""
    taken: set[str] = set()
    names = []
    for index, node in enumerate(graph.node):
        output = next((name for name in node.output if name), str(index))
        names.append(unique(printable(node.name) or printable(f"{node.op_type}_{output}"), taken))
    return names


def printable(text: str) -> str:
    """`text` without control characters and at most 4000 characters long, as names of the format must be."""
    return "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in text).strip()[:4000]


def unique(name: str, taken: set[str]) -> str:
    """`name`, numbered where it is taken; the answer is added to `taken`."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}#{number}"
    taken.add(candidate)
    return candidate


def _attributes(proto: Any) -> dict[str, Any]:
    """Numbers, strings and lists of them; tensors and graphs are read elsewhere."""
    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        field = _FIELDS.get(attribute.type)
        if field is None:
            continue
        value = getattr(attribute, field)
        if field == "s":
            value = value.decode("utf-8", "replace")
        elif field == "strings":
            value = [item.decode("utf-8", "replace") for item in value]
        elif attribute.type >= 6:
            value = list(value)
        found[attribute.name] = value
    return found


def _captured(graph: Any) -> list[str]:
    """Names that a sub-graph uses without defining them: they come from the graph around it."""
    defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    defined.update(tensor.values.name for tensor in graph.sparse_initializer)
    used: list[str] = []
    for node in graph.node:
        used.extend(name for name in node.input if name)
        for nested in attribute_graphs(node):
            used.extend(_captured(nested))
        defined.update(node.output)
    used.extend(value.name for value in graph.output)
    return [name for name in used if name not in defined]


def _hidden_weight_bytes(graph: Any, largest: int) -> int:
    """Bytes of the constants stored in a sub-graph and the sub-graphs within it."""
    total = 0
    for tensor in graph.initializer:
        shape = checked_shape(tensor.name, tensor.dims, largest)
        total += Value(tensor.name, shape, tensor.data_type).bytes
    for node in graph.node:
        total += sum(_hidden_weight_bytes(nested, largest) for nested in attribute_graphs(node))
    return total


def check_structure(nodes: list[Node], given: set[str], outputs: list[str], source: str) -> list[int]:
    """Positions of the nodes in topological order; file order wherever that is one.

    Parameters
    ----------
    given
        Names that exist before any node runs: inputs and stored constants.

    Raises
    ------
    FormatError
        Lists every tensor with several producers and every tensor that nobody produces; or one cycle.
    """
    problems: list[Problem] = []
    producer: dict[str, int] = {}
    for position, node in enumerate(nodes):
        for name in node.writes:
            if name in producer or name in given:
                first = f"node {nodes[producer[name]].name!r}" if name in producer else "an input or constant"
                problems.append(
                    Problem(
                        f"tensor {name!r}", f"produced by node {node.name!r} and by {first}, expected one"
                    )
                )
            else:
                producer[name] = position
    for node in nodes:
        for name in dict.fromkeys(node.reads):
            if name not in producer and name not in given:
                problems.append(
                    Problem(
                        f"node {node.name!r}",
                        f"reads tensor {name!r}, which nothing produces (dangling tensor)",
                    )
                )
    for name, count in Counter(outputs).items():
        if name not in producer and name not in given:
            problems.append(Problem(f"output {name!r}", "nothing produces it, expected a node's output"))
        if count > 1:
            problems.append(Problem(f"output {name!r}", f"listed {count} times, expected once"))
    if problems:
        raise FormatError(problems=problems[:_SHOWN], source=source)
    return _topological_order(nodes, producer, source)


def _topological_order(nodes: list[Node], producer: dict[str, int], source: str) -> list[int]:
    before = [sorted({producer[name] for name in node.reads if name in producer}) for node in nodes]
    if all(not own or own[-1] < position for position, own in enumerate(before)):
        return list(range(len(nodes)))
    waiting = [len(own) for own in before]
    after: list[list[int]] = [[] for _ in nodes]
    for position, own in enumerate(before):
        for earlier in own:
            after[earlier].append(position)
    ready = [position for position, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        position = heapq.heappop(ready)
        order.append(position)
        for later in after[position]:
            waiting[later] -= 1
            if waiting[later] == 0:
                heapq.heappush(ready, later)
    if len(order) < len(nodes):
        names = " -> ".join(repr(nodes[position].name) for position in _cycle(before, waiting))
        raise FormatError(f"the graph has a cycle: {names}; expected an acyclic graph", source=source)
    return order


def _cycle(before: list[list[int]], waiting: list[int]) -> list[int]:
    """One cycle, found by walking backwards among the nodes that never became ready."""
    position = next(index for index, count in enumerate(waiting) if count)
    seen: dict[int, int] = {}
    path: list[int] = []
    while position not in seen:
        seen[position] = len(path)
        path.append(position)
        position = next(earlier for earlier in before[position] if waiting[earlier])
    cycle = [*path[seen[position] :], position]
    cycle.reverse()
    return cycle[:_SHOWN]
