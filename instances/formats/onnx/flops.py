"""FLOPs of the nodes of a graph, by the rules of their operators."""

from __future__ import annotations

# Imported for what they register.
import dnnplan.instances.formats.onnx.arithmetic
import dnnplan.instances.formats.onnx.elementwise  # noqa: F401
from dnnplan.instances.formats.onnx.operators import RULES
from dnnplan.instances.formats.onnx.values import Graph, Node, UnknownShapeError, Value

_MOST = 2**62
"""More FLOPs than any node has; beyond it the shapes are nonsense, and JSON readers lose digits."""


class FlopCounter:
    """FLOPs of nodes, and what could not be counted.

    Attributes
    ----------
    unknown, opaque
        Operators without a rule and with sub-graphs, and their number of nodes.
    shapeless
        Names of nodes whose rule needs a shape that is unknown.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.unknown: dict[str, int] = {}
        self.opaque: dict[str, int] = {}
        self.shapeless: list[str] = []

    def count(self, node: Node) -> int:
        """FLOPs of one node; 0, with a note, where they are not known."""
        if node.opaque:
            self.opaque[node.kind] = self.opaque.get(node.kind, 0) + 1
            return 0
        rule = None if node.domain else RULES.get(node.op)
        if rule is None:
            self.unknown[node.kind] = self.unknown.get(node.kind, 0) + 1
            return 0
        inputs = [self.graph.value(name) if name else Value("") for name in node.inputs]
        outputs = [self.graph.value(name) if name else Value("") for name in node.outputs]
        try:
            flops = rule(node, inputs, outputs)
        except (UnknownShapeError, LookupError, ValueError, TypeError, ZeroDivisionError):
            # Also shapes and attributes that contradict the operator: shape inference lets many of them pass.
            flops = -1
        if 0 <= flops <= _MOST:
            return flops
        self.shapeless.append(node.name)
        return 0
