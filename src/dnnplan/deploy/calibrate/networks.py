"""Networks to be timed: ONNX bytes whose nodes have the names that layers know them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnnplan.costs.profile.graphs import spell_out
from dnnplan.costs.sharing.expand import SHARED
from dnnplan.instances import Instance
from dnnplan.instances.errors import InputError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model
from dnnplan.instances.formats.onnx.structure import unique_node_names

GATE = ":gate"
"""Ending of the values that `spell_out` adds."""


@dataclass(frozen=True)
class Network:
    """A whole network, or a part of one.

    Attributes
    ----------
    data
        The ONNX file.
    layer_of_node, layer_of_value
        The layer that a node is part of, and that makes a value; values that no layer makes are not in it.
    batch
        Samples that it is timed with, where their number is not fixed.
    """

    name: str
    model: str
    data: bytes
    layer_of_node: Mapping[str, str]
    layer_of_value: Mapping[str, str]
    batch: int = 1


def read_network(
    name: str, source: Path | bytes, model: str, nodes: Mapping[str, str], *, batch: int = 1
) -> Network:
    """A file, or the content of one, as a network to be timed.

    Parameters
    ----------
    model
        The model of the instance that its layers are of.
    nodes
        The layer of each node, by the name that the reader of ONNX files gives it.
    batch
        Samples that it is timed with, where their number is not fixed.

    Raises
    ------
    FormatError
        Not an ONNX file.
    InputError
        Its weights lie in other files.
    """
    proto = parse(source) if isinstance(source, bytes) else load_model(source, ReadLimits())
    if any(tensor.data_location for tensor in proto.graph.initializer):
        raise InputError("weights lie in other files; calibration times networks of one file", source=name)
    return replace(named(name, proto, model, nodes), batch=batch)


def named(name: str, proto: Any, model: str, nodes: Mapping[str, str]) -> Network:
    """A graph in memory as a network, its nodes renamed as its reader names them."""
    for node, own in zip(proto.graph.node, unique_node_names(proto.graph), strict=True):
        node.name = own
    values: dict[str, str] = {}
    for node in proto.graph.node:
        layer = nodes.get(node.name)
        if layer is not None:
            values.update((output, layer) for output in node.output if output)
    spell_out(proto)
    values |= {
        node.output[0]: values[node.output[0].removesuffix(GATE)]
        for node in proto.graph.node
        if node.op_type == "HardSigmoid" and node.output[0].removesuffix(GATE) in values
    }
    taken = dict(nodes)
    for at, node in enumerate(proto.graph.node):
        if not node.name:  # what `spell_out` added
            node.name = f"{node.op_type}:{at}"
            if node.output[0] in values:
                taken[node.name] = values[node.output[0]]
    return Network(name, model, proto.SerializeToString(), taken, values)


def nodes_of_layers(instance: Instance, model: str) -> dict[str, str]:
    """The layer of each ONNX node of a model, as its reader noted them.

    In the network that a task graph makes, layers are called ``task/layer``, and nodes in parts ``task/node``.

    Raises
    ------
    InputError
        The layers do not say which nodes they are made of.
    """
    found: dict[str, str] = {}
    for layer in next(one for one in instance.models if one.name == model).layers:
        names = layer.attributes.get("onnx_nodes")
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise InputError(
                f"model {model!r}: layer {layer.name!r} does not say which ONNX nodes it stands for "
                "(attributes.onnx_nodes); plan networks that were read from ONNX files"
            )
        prefix = f"{layer.name.split('/')[0]}/" if model == SHARED else ""
        found.update((prefix + name, layer.name) for name in names)
    return found


def parse(data: bytes) -> Any:
    """The graph of a network."""
    proto = require_onnx().ModelProto()
    proto.ParseFromString(data)
    return proto
