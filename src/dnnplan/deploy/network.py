"""A network with its weights, ready to be cut: nodes as the reader names them, types of values, stored constants."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnnplan.deploy.types import value_types
from dnnplan.deploy.weights import Weights
from dnnplan.instances.errors import FormatError, InputError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.dimensions import Dimensions
from dnnplan.instances.formats.onnx.functions import inline_functions
from dnnplan.instances.formats.onnx.materialise import seed_weights
from dnnplan.instances.formats.onnx.reader import reorder
from dnnplan.instances.formats.onnx.roles import WEIGHTS, constant_uses
from dnnplan.instances.formats.onnx.safety import ReadLimits, all_nodes, attribute_graphs, load_model
from dnnplan.instances.formats.onnx.shapes import strip_constants
from dnnplan.instances.formats.onnx.structure import check_structure, read_nodes
from dnnplan.instances.formats.onnx.values import Node, dtype_bits

SHAPE_OPERATORS = frozenset({"Shape", "Size"})
_SMALL = 1024
"""Constants up to this many elements are part of what shapes are inferred from, as in the reader."""
_LEAST_FILLED = 4096
"""Constant-filled weights of fewer elements are taken as meant."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """An ONNX model as the reader sees it, with its weights.

    Local functions are inlined, large `Constant` nodes are stored constants, and shapes that are known are too.

    Parameters
    ----------
    nodes, protos
        The nodes in topological order, in plain Python and as NodeProto.
    inputs, outputs
        Names of the values that the caller gives and gets.
    types
        ValueInfoProto of every value that something is known of.
    weights
        Stored constants.
    opsets
        Version of each operator set by domain; "" is the standard one.
    seed
        Of the weights that were made for it; None: its own.
    """

    path: Path
    sha256: str
    nodes: tuple[Node, ...]
    protos: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, Any]
    weights: Weights
    opsets: Mapping[str, int]
    ir_version: int
    seed: int | None = None
    index: Mapping[str, int] = field(init=False)
    producer: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {node.name: at for at, node in enumerate(self.nodes)})
        made = {name: at for at, node in enumerate(self.nodes) for name in node.writes}
        object.__setattr__(self, "producer", made)


def read_network(
    path: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    seed: int | None = None,
    light: bool = False,
    limits: ReadLimits | None = None,
) -> Network:
    """Read an ONNX file with its weights.

    Parameters
    ----------
    dims
        Number for symbolic dimensions of inputs; others stay symbolic.
    seed
        Give a light file seeded weights first, as `materialise` does.
    light
        Whether a file without learnt weights is taken as it is.

    Raises
    ------
    FormatError
        Damaged, hostile or too large a file.
    InputError
        A light file without `seed`, or a file with weights of its own with it; or a number in `dims` that is no
        dimension, or of a dimension that no input has.
    """
    path, limits = Path(path), limits or ReadLimits()
    source = str(path)
    try:
        model = load_model(path, limits)
        if seed is not None:
            seed_weights(model, seed=seed, limits=limits, source=source)
        elif not light:
            _refuse_light(model, source)
        take_in_nested(model, path)
        return _network(model, path, dims or {}, seed, limits)
    except FormatError as error:
        if error.source is not None:
            raise
        raise FormatError(problems=error.problems, source=source) from error


def take_in_nested(model: Any, path: Path) -> None:
    """Put the external data of tensors inside nodes into the model, in place; that of initialisers stays outside."""
    weights = Weights(path.resolve().parent)
    for tensor in _nested_tensors(model):
        if tensor.external_data or tensor.data_location:
            weights.add(tensor.name, tensor)
            raw = weights.raw(tensor.name)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = raw


def _nested_tensors(model: Any) -> Iterator[Any]:
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for graph in attribute_graphs(node):
            yield from graph.initializer


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _network(
    model: Any, path: Path, dims: Mapping[str, int], seed: int | None, limits: ReadLimits
) -> Network:
    source = str(path)
    weights = Weights(path.resolve().parent)
    skeleton = _skeleton(model, weights, limits)
    constants, _ = strip_constants(skeleton, limits.elements)
    inlined = inline_functions(skeleton, limits, source)
    graph = inlined.graph
    inputs = tuple(value.name for value in graph.input if value.name not in constants)
    outputs = tuple(value.name for value in graph.output)
    nodes = read_nodes(graph, limits.elements)
    order = check_structure(nodes, {*inputs, *constants}, list(outputs), source)
    nodes = reorder(graph, nodes, order)
    _bind(graph, inputs, dims, source)
    types = value_types(inlined, source)
    protos = list(graph.node)
    kept = _without_known_shapes(nodes, protos, types, weights)
    return Network(
        path=path,
        sha256=file_sha256(path),
        nodes=tuple(nodes[at] for at in kept),
        protos=tuple(protos[at] for at in kept),
        inputs=inputs,
        outputs=outputs,
        types=types,
        weights=weights,
        opsets={plain_domain(entry.domain): entry.version for entry in inlined.opset_import},
        ir_version=model.ir_version,
        seed=seed,
    )


def plain_domain(domain: str) -> str:
    """The name of an operator set; the standard one has two, of which the empty one is kept."""
    return "" if domain == "ai.onnx" else domain


def _skeleton(model: Any, weights: Weights, limits: ReadLimits) -> Any:
    """The model without the numbers of large constants, which go to `weights`: shape inference copies it twice."""
    small = type(model)(ir_version=model.ir_version)
    small.opset_import.extend(model.opset_import)
    small.functions.extend(model.functions)
    graph, own = small.graph, model.graph
    graph.name = own.name
    for field_name in ("input", "output", "value_info"):
        getattr(graph, field_name).extend(getattr(own, field_name))
    for tensor in own.initializer:
        weights.add(tensor.name, tensor)
        if tensor.external_data or tensor.data_location or math.prod(tensor.dims) > _SMALL:
            graph.initializer.add(
                name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, data_location=1
            )
        else:
            graph.initializer.append(tensor)
    for sparse in own.sparse_initializer:
        weights.add_sparse(sparse.values.name, sparse)
        bare = graph.sparse_initializer.add(dims=sparse.dims)
        for part, whole in ((bare.values, sparse.values), (bare.indices, sparse.indices)):
            part.name, part.data_type = whole.name, whole.data_type
            part.dims.extend(whole.dims)
    for node in own.node:
        large = large_constant(node)
        if large is None:
            graph.node.append(node)
            continue
        weights.add(node.output[0], large)
        bare_node = graph.node.add(op_type="Constant", name=node.name, output=node.output[:1])
        value = bare_node.attribute.add(name="value", type=4).t
        value.data_type = large.data_type
        value.dims.extend(large.dims)
    return small


def large_constant(node: Any) -> Any | None:
    """The tensor of a `Constant` node, where it is large."""
    if node.op_type != "Constant" or not node.output:
        return None
    tensors = (attribute.t for attribute in node.attribute if attribute.HasField("t"))
    return next((t for t in tensors if math.prod(t.dims) > _SMALL and not t.external_data), None)


def _bind(graph: Any, inputs: tuple[str, ...], dims: Mapping[str, int], source: str) -> None:
    """Put numbers in the place of symbolic dimensions, in place; nothing is guessed."""
    dims = Dimensions(dims).given  # what the reader refuses is refused here
    used = set()
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            key = dim.dim_param if dim.dim_param in dims else f"{value.name}[{axis}]"
            if (
                key in dims
                and not dim.HasField("dim_value")
                and (dim.dim_param == key or value.name in inputs)
            ):
                dim.dim_value = dims[key]
                used.add(key)
    unknown = [name for name in dims if name not in used]
    if unknown:
        raise InputError(f"no input has a symbolic dimension {unknown[0]!r}", source=source)


def _without_known_shapes(
    nodes: list[Node], protos: list[Any], types: Mapping[str, Any], weights: Weights
) -> list[int]:
    """Positions of the nodes that stay: shapes that are numbers become constants, so that no tensor moves for them."""
    kept = []
    for at, (node, proto) in enumerate(zip(nodes, protos, strict=True)):
        shape = (
            _known_shape(types.get(node.inputs[0])) if node.op in SHAPE_OPERATORS and node.inputs else None
        )
        if shape is None or node.domain or not node.writes:
            kept.append(at)
            continue
        settings = {attribute.name: attribute.i for attribute in proto.attribute}
        tensor = require_onnx().TensorProto(name=node.writes[0], data_type=7)
        if node.op == "Size":
            tensor.int64_data.append(math.prod(shape))
        else:
            part = shape[settings.get("start", 0) : settings.get("end", len(shape))]
            tensor.dims.append(len(part))
            tensor.int64_data.extend(part)
        weights.add(node.writes[0], tensor)
    return kept


def _known_shape(info: Any) -> tuple[int, ...] | None:
    """The dimensions of a value, where all are numbers."""
    if info is None or not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None


def _refuse_light(model: Any, source: str) -> None:
    """Refuse files whose weights are all one number: their outputs hardly depend on their inputs."""
    uses = constant_uses(list(model.graph.node))
    learnt = {name for name, use in uses.items() if use.role in WEIGHTS}
    light = next((name for name in _filled(model.graph) if name in learnt), None)
    if light is not None:
        raise InputError(
            f"its weights are not there: {light!r} is one number throughout; give the file weights with "
            "`dnnplan materialise`, or split with --materialise SEED",
            source=source,
        )


def _filled(graph: Any) -> Iterator[str]:
    """Constants of many elements that are one number."""
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.output:
            yield node.output[0]
    for tensor in graph.initializer:
        if math.prod(tensor.dims) < _LEAST_FILLED or tensor.external_data:
            continue
        size, raw = dtype_bits(tensor.data_type) // 8, tensor.raw_data
        if not size or len(raw) != math.prod(tensor.dims) * size or not any(raw[:size]):
            continue
        # A look at the first few before everything is compared.
        if raw[: 64 * size] == raw[:size] * 64 and raw == raw[:size] * (len(raw) // size):
            yield tensor.name
