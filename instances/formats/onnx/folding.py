"""Values that do not depend on any input: they become weights, and their nodes disappear."""

from __future__ import annotations

from dnnplan.instances.formats.onnx.values import Graph, Node

# Their outputs differ from run to run, although no input does.
_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
# Once all shapes are numbers, these depend on nothing but the shape.
_SHAPE_ONLY = frozenset({"Shape", "Size"})


def fold_constants(graph: Graph) -> None:
    """Mark every value computed from constants only, and the nodes that compute it, in place."""
    for node in graph.nodes:
        if not _is_constant(node, graph):
            continue
        graph.constant_nodes.add(node.index)
        graph.constants.update(node.writes)
        if node.op == "DequantizeLinear":
            # Quantised weights stay quantised in memory; the kernel expands them as it reads.
            graph.stored_bytes[node.outputs[0]] = sum(graph.weight_bytes(name) for name in node.reads)


def _is_constant(node: Node, graph: Graph) -> bool:
    # What a foreign operator without inputs does is not known: it may read a sensor.
    if node.opaque or node.op in _RANDOM or not node.writes or (node.domain and not node.reads):
        return False
    if node.op in _SHAPE_ONLY and not node.domain and node.inputs:
        return node.inputs[0] in graph.constants or graph.value(node.inputs[0]).shape is not None
    return all(name in graph.constants for name in node.reads)
