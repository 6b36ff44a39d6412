"""Giving the weights of a light ONNX file values with which its outputs depend on its inputs."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnplan.instances.errors import FormatError, InputError, UnsupportedError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.roles import (
    WEIGHTS,
    Moments,
    Use,
    constant_uses,
    expected_moments,
    fan_in,
)
from dnnplan.instances.formats.onnx.safety import ReadLimits, all_tensors, load_model
from dnnplan.instances.formats.onnx.structure import check_structure, read_nodes
from dnnplan.instances.formats.onnx.values import checked_shape, dtype_bits

_FLOATS = {1: "float32", 10: "float16", 11: "float64"}
_LARGEST_FILE = 2**31 - 2**20
"""Protocol buffers end at 2 GiB; the rest of the graph gets a mebibyte."""


@dataclass(frozen=True, slots=True)
class _Constant:
    """A stored constant that can get new values.

    Parameters
    ----------
    filled
        Whether all its elements are one non-zero number, as in a light file.
    node
        The ConstantOfShape that makes it; None: an initialiser.
    """

    name: str
    shape: tuple[int, ...]
    dtype: int
    filled: bool
    node: Any = None


def materialise(
    source: str | Path,
    target: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    limits: ReadLimits | None = None,
) -> Path:
    """Write the network in `source` to `target` with seeded weights; names and graph stay as they are.

    Filters and matrices get He-normal values (standard deviation sqrt(2 / fan-in)), recurrent weights are
    uniform within 1 / sqrt(hidden), biases are small, and normalisation gets scales near 1, shifts and means
    near 0 and the variances that such weights produce (see `roles.expected_moments`), so that deep networks
    neither vanish nor overflow. Where weights are new, the normalisation constants that belonged to
    the old ones are replaced with them.

    Parameters
    ----------
    seed
        The same seed gives the same file, whatever the order of the nodes.
    overwrite
        Replace an existing `target`; the source itself is never overwritten.

    Returns
    -------
    Path
        The file written: completely, or not at all.

    Raises
    ------
    FormatError
        `source` is not a valid ONNX file.
    InputError
        `target` is the source, exists, or its folder does not; or no weight of `source` is one constant.
    UnsupportedError
        `source` has external data, or the result would exceed the 2 GiB of a protocol buffer.
    MissingDependencyError
        The package `onnx` is not installed.
    """
    source, target = Path(source), Path(target)
    limits = limits or ReadLimits()
    model = load_model(source, limits)
    _check_target(source, target, overwrite)
    seed_weights(model, seed=seed, limits=limits, source=str(source))
    _write(model, target)
    return target


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if target.exists() and target.samefile(source):
        raise InputError("would overwrite the file it reads; choose another target", source=str(target))
    if target.exists() and not overwrite:
        raise InputError("exists already; choose another target or allow overwriting", source=str(target))
    if not target.parent.is_dir() or target.is_dir():
        raise InputError("cannot be written: expected a file name in an existing folder", source=str(target))


def seed_weights(
    model: Any, *, seed: int = 0, limits: ReadLimits | None = None, source: str = "model"
) -> None:
    """Give the constant-filled weights of an onnx.ModelProto seeded values, in place.

    What `materialise` does, for a model in memory; `source` is its name in messages.
    """
    if seed < 0:
        raise InputError(f"seed: {seed}, expected a whole number >= 0")
    limits = limits or ReadLimits()
    if any(tensor.external_data or tensor.data_location == 1 for tensor in all_tensors(model)):
        raise UnsupportedError(f"{source}: has external data; materialise works on single files")
    graph = model.graph
    nodes = _ordered_nodes(graph, limits, source)
    constants = _replaceable(graph, nodes, limits)
    chosen = _choose(constants, constant_uses(nodes), nodes)
    if not chosen:
        raise InputError("no weight is one constant: there is nothing to materialise", source=source)
    total = sum(math.prod(c.shape) * dtype_bits(c.dtype) // 8 for c, _ in chosen)
    if total > _LARGEST_FILE:
        raise UnsupportedError(f"{source}: {total} bytes of weights, expected at most {_LARGEST_FILE}")
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in stored]
    seeded = {c.name for c, use in chosen if use.role in WEIGHTS}
    moments = expected_moments(nodes, inputs, seeded | _aliases(nodes, seeded))
    _remove(graph, [c for c, _ in chosen])
    # Before IR version 4 every initialiser had to be listed among the inputs.
    must_list = model.ir_version < 4
    listed = {value.name for value in graph.input}
    for constant, use in chosen:  # one after the other: the values of a whole network are large
        _store(graph, constant, _values(constant, use, moments, seed))
        if must_list and constant.name not in listed:
            _list_as_input(graph, constant)


def _ordered_nodes(graph: Any, limits: ReadLimits, source: str) -> list[Any]:
    nodes = read_nodes(graph, limits.elements)
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    given.update(tensor.values.name for tensor in graph.sparse_initializer)
    order = check_structure(nodes, given, [value.name for value in graph.output], source)
    return [graph.node[position] for position in order]


def _replaceable(graph: Any, nodes: list[Any], limits: ReadLimits) -> list[_Constant]:
    """Floating-point initialisers, and what ConstantOfShape makes of stored shapes."""
    helper = require_onnx("numpy_helper")
    shapes: dict[str, Any] = {}
    found = []
    for tensor in graph.initializer:
        shape = checked_shape(tensor.name, tensor.dims, limits.elements)
        if tensor.data_type == 7 and len(shape) == 1 and shape[0] <= 8:
            shapes[tensor.name] = _array(helper, tensor)
        elif tensor.data_type in _FLOATS and math.prod(shape) > 0:
            array = _array(helper, tensor)
            first = array.flat[0]
            filled = bool(array.size > 1 and first != 0 and (array == first).all())
            found.append(_Constant(tensor.name, shape, tensor.data_type, filled))
    for node in nodes:
        if node.op_type != "ConstantOfShape" or len(node.input) != 1 or node.input[0] not in shapes:
            continue
        value = next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
        dtype = value.data_type if value is not None else 1
        shape = checked_shape(node.output[0], (int(dim) for dim in shapes[node.input[0]]), limits.elements)
        if dtype in _FLOATS and math.prod(shape) > 0:
            filled = value is not None and bool(_array(helper, value).any())
            found.append(_Constant(node.output[0], shape, dtype, filled, node))
    return found


def _array(helper: Any, tensor: Any) -> Any:
    try:
        return helper.to_array(tensor)
    except Exception as error:  # wrong lengths raise whatever numpy raises
        raise FormatError(f"tensor {tensor.name!r}: its data do not fit its shape or type") from error


def _choose(
    constants: list[_Constant], uses: dict[str, Use], nodes: list[Any]
) -> list[tuple[_Constant, Use]]:
    """The constants to replace: filled weights, and what belongs to weights where there are any such."""
    normalised = {name for node in nodes if node.op_type == "BatchNormalization" for name in node.output}
    # In networks converted from Caffe, scale and shift follow the normalisation as a Mul and an Add.
    for node in nodes:
        if node.op_type in ("Mul", "Add") and any(name in normalised for name in node.input):
            normalised.update(node.output)
    weights = [(c, uses[c.name]) for c in constants if c.name in uses and uses[c.name].role in WEIGHTS]
    chosen = [(c, use) for c, use in weights if c.filled]
    if not chosen:
        return []
    for constant in constants:
        use = uses.get(constant.name)
        if use is None or use.role in WEIGHTS:
            continue
        after = any(name in normalised for name in use.node.input)
        if use.role not in ("factor", "offset") or after or constant.filled:
            chosen.append((constant, use))
    return chosen


def _aliases(nodes: list[Any], seeded: set[str]) -> set[str]:
    """Reshaped forms of the new weights, by which their readers know them."""
    aliases: set[str] = set()
    for node in nodes:
        passes_on = node.op_type in ("Transpose", "Reshape", "Identity", "Cast")
        if passes_on and any(name in seeded or name in aliases for name in node.input[:1]):
            aliases.update(node.output)
    return aliases


def _values(constant: _Constant, use: Use, moments: dict[str, Moments], seed: int) -> Any:
    """New values of one constant; they depend on the seed and its name alone."""
    import numpy as np

    random = np.random.default_rng([seed, zlib.crc32(constant.name.encode())])
    normal: Any = random.standard_normal(constant.shape, dtype=np.float32)
    seen = next((moments[name] for name in use.node.input if name in moments), Moments())
    match use.role:
        case "filter" | "transposed_filter" | "matrix":
            normal *= math.sqrt(2 / max(fan_in(use, constant.shape), 1))
        case "recurrent":
            gates = {"LSTM": 4, "GRU": 3}.get(use.node.op_type, 1)
            hidden = max(constant.shape[1] // gates, 1) if len(constant.shape) > 1 else 1
            normal = random.uniform(-1, 1, constant.shape) / math.sqrt(hidden)
        case "table":
            pass
        case "scale" | "factor":
            normal = 1 + 0.05 * normal
        case "variance":
            normal = max(seen.square, 1e-6) * np.exp(0.1 * normal)
        case "mean":
            normal *= 0.05 * math.sqrt(seen.square)
        case "slope":
            normal = 0.25 + 0.02 * normal
        case _:
            normal *= 0.05
    return np.asarray(normal, dtype=_FLOATS[constant.dtype])


def _remove(graph: Any, constants: list[_Constant]) -> None:
    """Take constants out of a GraphProto, with the shapes that only fed the nodes that made them."""
    names = {constant.name for constant in constants}
    orphans = {constant.node.input[0] for constant in constants if constant.node is not None}
    made = [
        position
        for position, node in enumerate(graph.node)
        if node.op_type == "ConstantOfShape" and node.output[0] in names
    ]
    for position in reversed(made):
        del graph.node[position]
    orphans -= {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for field, unwanted in ((graph.initializer, orphans | names), (graph.input, orphans)):
        for position in reversed([i for i, item in enumerate(field) if item.name in unwanted]):
            del field[position]


def _store(graph: Any, constant: _Constant, array: Any) -> None:
    graph.initializer.append(require_onnx("numpy_helper").from_array(array, constant.name))


def _list_as_input(graph: Any, constant: _Constant) -> None:
    helper = require_onnx("helper")
    graph.input.append(helper.make_tensor_value_info(constant.name, constant.dtype, constant.shape))


def _write(model: Any, target: Path) -> None:
    """Write beside the target, then rename: readers see the old file or the new one, never half of it."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(model.SerializeToString(deterministic=True))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", source=str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
