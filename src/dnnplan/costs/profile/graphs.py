"""ONNX graphs before and after the runtime has optimised them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnnplan.costs.profile.shapes import value_shapes
from dnnplan.instances.errors import InputError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model

DOMAINS = {"com.microsoft.nchwc": "nchwc.", "com.microsoft": "", "ai.onnx": "", "": ""}
"""How operators of a domain are called in tables; of any other domain: domain and operator."""
INT64 = 7
MAX_TEXT = 64
BY_OPSET = ("AveragePool",)
"""Operators of which the runtime has another kernel for another version of the operator set."""
MAX_LIST = 64


@dataclass(frozen=True)
class Site:
    """A node of an optimised graph.

    Attributes
    ----------
    operator
        As tables call it.
    attributes
        Those that are numbers, texts or short lists; under `constants` the positions of the inputs that are weights.
    inputs, outputs
        Shapes; None where one of them is only known when the network runs.
    """

    operator: str
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: list[list[int]] | None = None
    outputs: list[list[int]] | None = None


def read_network(path: Path, batch: int, limits: ReadLimits | None = None) -> bytes:
    """The bytes of a network for a session, with the size of its batch set and a name for every node.

    Raises
    ------
    FormatError
        Not an ONNX file.
    InputError
        Its weights lie in other files, or its first dimension is fixed to something other than a batch.
    """
    model = load_model(path, limits or ReadLimits())
    if any(tensor.data_location for tensor in model.graph.initializer):
        raise InputError("weights lie in other files; save the network as one file", source=str(path))
    set_batch(model, batch, str(path))
    return ready(model)


def set_batch(model: Any, batch: int, source: str = "model") -> None:
    """Set the batch of the inputs, in place: symbolic sizes become `batch`, and so does a first size of 1.

    A recurrent network whose first dimension is time has its batch symbolic in the second.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    changed = False
    for value in inputs:
        sizes = value.type.tensor_type.shape.dim
        symbolic = [size for size in sizes if not size.HasField("dim_value")]
        for size in symbolic:
            size.dim_value = batch
        if not symbolic and len(sizes) and batch > 1:
            if sizes[0].dim_value != 1:
                raise InputError(
                    f"input {value.name!r} has a first size of {sizes[0].dim_value}: a batch of {batch} cannot be set",
                    source=source,
                )
            sizes[0].dim_value = batch
            changed = True
    if changed:
        # Shapes that were written down for a batch of 1.
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        _free_reshapes(model)


def _free_reshapes(model: Any) -> None:
    """Let reshapes to a first size of 1 keep the first size of what they reshape, in place."""
    helper, arrays = require_onnx("helper"), require_onnx("numpy_helper")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    tensors |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    freed: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.domain or len(node.input) < 2 or node.input[1] not in tensors:
            continue
        name = node.input[1]
        shape = [int(size) for size in arrays.to_array(tensors[name])]
        if len(shape) < 2 or shape[0] != 1:
            continue
        if name not in freed:
            freed[name] = f"{name}:batch"
            tensor = helper.make_tensor(freed[name], INT64, [len(shape)], [0, *shape[1:]])
            model.graph.initializer.append(tensor)
        node.input[1] = freed[name]


def ready(model: Any) -> bytes:
    """The bytes of a network whose kernels a trace can tell apart."""
    spell_out(model)
    name_nodes(model)
    data: bytes = model.SerializeToString()
    return data


def spell_out(model: Any) -> None:
    """Write HardSwish as the two operators that the runtime runs for it, in place.

    The runtime does so itself, but after it has written its optimised graph.
    """
    helper, nodes = require_onnx("helper"), []
    for node in model.graph.node:
        if node.op_type != "HardSwish" or node.domain:
            nodes.append(node)
            continue
        gate = f"{node.output[0]}:gate"
        nodes.append(helper.make_node("HardSigmoid", [node.input[0]], [gate], alpha=1 / 6, beta=0.5))
        nodes.append(helper.make_node("Mul", [node.input[0], gate], list(node.output)))
    if len(nodes) > len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def name_nodes(model: Any) -> None:
    """Give every node of the graph a name of its own, in place: traces know nodes by name."""
    taken: set[str] = set()
    for at, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}:{at}"
        taken.add(node.name)


def read_sites(path: Path) -> dict[str, Site]:
    """The nodes of an optimised graph by name, those of sub-graphs included."""
    model = load_model(path, ReadLimits())
    shapes, weights = value_shapes(model), {tensor.name for tensor in model.graph.initializer}
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    return {node.name: _site(node, shapes, weights, opset) for node in _nodes(model.graph)}


def _site(node: Any, shapes: dict[str, list[int]], weights: set[str], opset: int) -> Site:
    attributes = _attributes(node)
    if operator_name(node) in BY_OPSET:
        attributes["opset"] = opset
    constants = [at for at, name in enumerate(node.input) if name in weights]
    if constants:
        attributes["constants"] = constants[:MAX_LIST]
    sides = [[shapes.get(name) for name in side if name] for side in (node.input, node.output)]
    inputs, outputs = (None if None in side else side for side in sides)
    return Site(operator_name(node), attributes, inputs, outputs)  # type: ignore[arg-type]


def operator_name(node: Any) -> str:
    """An operator as tables call it: `nchwc.Conv` is a convolution of blocked channels.

    >>> from types import SimpleNamespace
    >>> operator_name(SimpleNamespace(domain="com.microsoft.nchwc", op_type="Conv"))
    'nchwc.Conv'
    """
    return f"{DOMAINS.get(node.domain, f'{node.domain}.')}{node.op_type}"


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _attributes(node: Any) -> dict[str, Any]:
    helper = require_onnx("helper")
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute) if attribute.type in (1, 2, 3, 6, 7, 8) else None
        items = value if isinstance(value, list) else [value]
        plain = [
            item.decode("utf-8", "replace")[:MAX_TEXT] if isinstance(item, bytes) else item for item in items
        ]
        if value is not None and len(plain) <= MAX_LIST:
            found[attribute.name] = plain if isinstance(value, list) else plain[0]
    return found


def site_of(sites: dict[str, Site], node: str, operator: str) -> Site:
    """The node that a kernel of the trace ran; without attributes where the graph changed after it was written."""
    found = sites.get(node)
    if found is None or found.operator.rsplit(".", 1)[-1] != operator:
        return Site(operator)
    return found
