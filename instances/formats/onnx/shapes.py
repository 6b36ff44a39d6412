"""Stored constants and inferred shapes: what is known of every tensor."""

from __future__ import annotations

from typing import Any

from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.values import Value, checked_shape

_SMALL = 1024
"""Constants up to this many elements stay in the graph: shapes may be computed from their values."""


def strip_constants(model: Any, largest: int) -> tuple[dict[str, Value], dict[str, int]]:
    """Take stored constants out of the model, in place, and return what must be known of them.

    Large ones are replaced by graph inputs of the same type: shape inference copies the whole model twice,
    which for weights of some hundred megabytes takes longer than everything else together.

    Returns
    -------
    tuple
        The constants by name, and the bytes of those stored in another form than they are used.
    """
    graph = model.graph
    constants: dict[str, Value] = {}
    stored: dict[str, int] = {}
    kept: list[Any] = []
    dropped: list[Value] = []
    for tensor in graph.initializer:
        value = Value(tensor.name, checked_shape(tensor.name, tensor.dims, largest), tensor.data_type)
        _add(constants, value)
        small = value.elements <= _SMALL and not tensor.external_data and tensor.data_location == 0
        if small:
            kept.append(tensor)
        else:
            dropped.append(value)
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        value = Value(name, checked_shape(name, sparse.dims, largest), sparse.values.data_type)
        _add(constants, value)
        dropped.append(value)
        stored[name] = sum(
            Value(name, checked_shape(name, part.dims, largest), part.data_type).bytes
            for part in (sparse.values, sparse.indices)
        )
    for value in _strip_constant_nodes(graph, largest):
        _add(constants, value)
        dropped.append(value)
    if dropped:
        replacement = [_copy(tensor) for tensor in kept]
        del graph.initializer[:]
        graph.initializer.extend(replacement)
        del graph.sparse_initializer[:]
        _declare(graph, dropped)
    return constants, stored


def _add(constants: dict[str, Value], value: Value) -> None:
    if value.name in constants:
        raise FormatError(f"constant {value.name!r} is stored twice, expected once")
    constants[value.name] = value


def _copy(message: Any) -> Any:
    """A copy that outlives the repeated field it is an element of."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _strip_constant_nodes(graph: Any, largest: int) -> list[Value]:
    """Remove `Constant` nodes that hold large tensors."""
    found = []
    large = []
    for position, node in enumerate(graph.node):
        if node.op_type != "Constant" or not node.output:
            continue
        for attribute in node.attribute:
            if attribute.HasField("t"):
                shape = checked_shape(node.output[0], attribute.t.dims, largest)
                value = Value(node.output[0], shape, attribute.t.data_type)
                if value.elements > _SMALL:
                    found.append(value)
                    large.append(position)
    for position in reversed(large):
        del graph.node[position]
    return found


def _declare(graph: Any, values: list[Value]) -> None:
    """Make graph inputs of `values` that are not inputs yet (before IR version 4 constants were)."""
    helper = require_onnx("helper")
    known = {value.name for value in graph.input}
    graph.input.extend(
        helper.make_tensor_value_info(value.name, value.dtype, value.dims)
        for value in values
        if value.name not in known
    )


def infer_values(
    model: Any, constants: dict[str, Value], largest: int, source: str
) -> tuple[dict[str, Value], list[str]]:
    """Every tensor that something is known of.

    Returns
    -------
    tuple
        Values by name, and the names of those with a dimension that depends on data (taken as 1).

    Raises
    ------
    FormatError
        The model contradicts itself so badly that shape inference gives up, or a shape is huge.
    """
    onnx = require_onnx()
    require_onnx("shape_inference")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True).graph
    except Exception as error:  # the native code raises several unrelated types
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise FormatError(f"shape inference failed: {line}", source=source) from error
    values = dict(constants)
    guessed: list[str] = []
    for info in (*inferred.input, *inferred.value_info, *inferred.output):
        if info.name in constants:
            continue
        value, is_guess = _value(info, largest)
        values[info.name] = value
        if is_guess:
            guessed.append(info.name)
    return values, guessed


def _value(info: Any, largest: int) -> tuple[Value, bool]:
    """The value that a ValueInfoProto describes, and whether a dimension of it had to be guessed."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return Value(info.name, None, tensor.elem_type), False
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    shape = checked_shape(info.name, (1 if dim is None else dim for dim in dims), largest)
    return Value(info.name, shape, tensor.elem_type), None in dims
