"""Giving the values of a node other names, sub-graphs included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnnplan.instances.formats.onnx.safety import attribute_graphs


def rename_node(node: Any, named: Callable[[str], str]) -> None:
    """Rename the values that a NodeProto reads and makes, in place.

    Names that its sub-graphs define for themselves stay as they are.
    """
    node.input[:] = [named(name) if name else "" for name in node.input]
    node.output[:] = [named(name) if name else "" for name in node.output]
    for graph in attribute_graphs(node):
        _rename_graph(graph, named, frozenset())


def _rename_graph(graph: Any, named: Callable[[str], str], outside: frozenset[str]) -> None:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    inner = outside | own
    for node in graph.node:
        node.input[:] = [name if not name or name in inner else named(name) for name in node.input]
        for nested in attribute_graphs(node):
            _rename_graph(nested, named, inner)
    for value in graph.output:
        if value.name not in inner:
            value.name = named(value.name)
