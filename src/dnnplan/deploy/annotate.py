"""A copy of an ONNX model whose nodes name the device that a plan gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dnnplan.deploy.extract import INLINE_LIMIT, store
from dnnplan.deploy.network import SHAPE_OPERATORS, large_constant, take_in_nested
from dnnplan.deploy.weights import Weights
from dnnplan.deploy.wire import write_model
from dnnplan.instances.errors import InputError
from dnnplan.instances.formats.onnx.functions import inline_functions
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model
from dnnplan.instances.formats.onnx.structure import read_nodes, unique_node_names

METADATA_KEY = "layer_ann"
"""The key that onnxruntime looks for in the metadata of a node."""


def annotated_copy(
    source: Path,
    target: Path,
    annotations: Mapping[str, str],
    *,
    whole: bool = False,
    inline_limit: int = INLINE_LIMIT,
) -> None:
    """Write a copy of a model in which nodes have an annotation; everything else stays as it is.

    Nodes without one (constants) get that of the nodes that read them, where these agree. Annotations that the model
    had are dropped. Local functions are inlined, since the nodes of a plan are those inside them. Weights that are
    beside the model are beside the copy.

    Parameters
    ----------
    annotations
        By name of the node, as the reader names them.
    whole
        Whether every node that depends on an input, and on more than its shape, has to have one.

    Raises
    ------
    InputError
        A node that the file does not have, or one that has no annotation and should.
    """
    limits = ReadLimits()
    model = load_model(source, limits)
    take_in_nested(model, source)
    large = {node.output[0] for node in model.graph.node if large_constant(node) is not None}
    model = inline_functions(model, limits, str(source))
    named = [node for node in model.graph.node if not (node.output and node.output[0] in large)]
    names = unique_node_names(SimpleNamespace(node=named))
    missing = annotations.keys() - set(names)
    if missing:
        raise InputError(
            f"node {sorted(missing)[0]!r} of the plan is not there; is this the file that was planned?",
            source=str(source),
        )
    if whole and (stray := _stray(model.graph, named, names, annotations)):
        raise InputError(
            f"node {stray!r} depends on an input and is in no layer of the plan; is this the file that was planned?",
            source=str(source),
        )
    left = iter(names)
    chosen = [
        None if node.output and node.output[0] in large else annotations.get(next(left))
        for node in model.graph.node
    ]
    _take_from_readers(model.graph, chosen)
    for node, annotation in zip(model.graph.node, chosen, strict=True):
        kept = [
            entry for entry in node.metadata_props if entry.key != METADATA_KEY
        ]  # not those of another plan
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        if annotation is not None:
            node.metadata_props.add(key=METADATA_KEY, value=annotation)
    _write(model, source, target, inline_limit)


def _stray(graph: Any, nodes: list[Any], names: list[str], annotations: Mapping[str, str]) -> str:
    """The first node without annotation that depends on an input and on more than its shape; empty: there is none."""
    stored = {tensor.name for tensor in graph.initializer}
    varying = {value.name for value in graph.input} - stored
    # As the reader sees them, nodes know what their sub-graphs read.
    for name, node in zip(names, read_nodes(SimpleNamespace(node=nodes), ReadLimits().elements), strict=True):
        shape = node.op in SHAPE_OPERATORS and not node.domain
        if shape or varying.isdisjoint(node.reads):
            continue
        if name not in annotations:
            return name
        varying.update(node.writes)
    return ""


def _take_from_readers(graph: Any, chosen: list[str | None]) -> None:
    """Give nodes without an annotation that of their readers, from the outputs towards the inputs."""
    readers: dict[str, set[str | None]] = {}
    for at in range(len(graph.node) - 1, -1, -1):
        node = graph.node[at]
        if chosen[at] is None:
            wanted = {annotation for name in node.output for annotation in readers.get(name, ())}
            chosen[at] = wanted.pop() if len(wanted) == 1 else None
        for name in node.input:
            readers.setdefault(name, set()).add(chosen[at])


def _write(model: Any, source: Path, target: Path, inline_limit: int) -> None:
    """Write a model; its initialisers come one after the other, and are not copied in memory."""
    weights = Weights(source.resolve().parent)
    for tensor in model.graph.initializer:
        weights.add(tensor.name, tensor)
    bare = type(model)()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        if field.is_repeated:
            getattr(bare, field.name).extend(value)
        else:
            setattr(bare, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name == "initializer":
            continue
        if field.is_repeated:
            getattr(bare.graph, field.name).extend(value)
        else:
            setattr(bare.graph, field.name, value)
    size = sum(weights.size(name) for name in weights.tensors)
    data = target.with_suffix(".weights") if size > inline_limit else None
    write_model(target, bare, store([weights.stored(name, name) for name in weights.tensors], data))
