"""Opening a file that may be damaged or hostile.

Every check here runs before a number of the file is used: size, kind of file, protocol buffer, number of
nodes, and where its external data would be. External data is never opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from dnnplan.instances.errors import FormatError, Problem
from dnnplan.instances.formats.onnx.dependency import require_onnx

_EXTERNAL = 1  # TensorProto.DataLocation.EXTERNAL
_SHOWN = 20
"""How many problems of one kind an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Upper limits that keep a hostile file from exhausting the machine.

    Parameters
    ----------
    file_bytes
        Size of the file; 2 GiB is the limit of protocol buffers themselves.
    nodes
        Nodes including those of sub-graphs, after local functions were inlined.
    elements
        Elements of one tensor.
    """

    file_bytes: int = 2 * 1024**3
    nodes: int = 200_000
    elements: int = 2**40


def load_model(path: Path, limits: ReadLimits) -> Any:
    """Parse `path` as an ONNX model, without its external data.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    FormatError
        Not a readable regular file, too large, not an ONNX model, too many nodes, or external data outside
        the folder of the file.
    MissingDependencyError
        The package `onnx` is not installed.
    """
    onnx = require_onnx()
    data = _read_bytes(path, limits)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # DecodeError of whichever protobuf back end is installed
        raise FormatError(
            f"not an ONNX model, or a damaged one: {len(data)} bytes do not parse as a protocol buffer",
            source=str(path),
        ) from error
    del data
    if model.ir_version <= 0 or not model.HasField("graph"):
        raise FormatError(
            "not an ONNX model: it has no IR version or no graph; expected a .onnx file", source=str(path)
        )
    if not model.graph.node:
        raise FormatError("the graph has no nodes: there is nothing to plan", source=str(path))
    if not model.graph.output:
        raise FormatError("the graph has no outputs: there is nothing to compute", source=str(path))
    check_node_count(model, limits, source=str(path))
    _check_text(model, source=str(path))
    check_external_data(model, path)
    return model


def _read_bytes(path: Path, limits: ReadLimits) -> bytes:
    """The content of a regular file within the size limit; one byte more than allowed is never read."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused just below.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(f"cannot be read: {reason}", source=str(path)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FormatError("not a regular file; expected a .onnx file", source=str(path))
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > limits.file_bytes:
            raise FormatError(
                f"{status.st_size} bytes, expected at most {limits.file_bytes}; "
                "store the weights as external data beside the file",
                source=str(path),
            )
        data = file.read(limits.file_bytes + 1)
    if len(data) > limits.file_bytes:
        raise FormatError(f"grew beyond {limits.file_bytes} bytes while it was read", source=str(path))
    return data


def attribute_graphs(node: Any) -> Iterator[Any]:
    """The sub-graphs among the attributes of a NodeProto."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(model: Any) -> Iterator[Any]:
    """Every NodeProto of the model: of the graph, its sub-graphs, and its functions."""
    stack = [iter(model.graph.node), *(iter(function.node) for function in model.functions)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        yield node
        stack.extend(iter(graph.node) for graph in attribute_graphs(node))


def all_tensors(model: Any) -> Iterator[Any]:
    """Every TensorProto of the model, wherever it is."""
    yield from _graph_tensors(model.graph)
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            for sparse in attribute.sparse_tensors:
                yield from (sparse.values, sparse.indices)
        for graph in attribute_graphs(node):
            yield from _graph_tensors(graph)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _texts(model: Any) -> Iterator[str | bytes]:
    """Every name that a reader looks at."""
    for node in all_nodes(model):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
        for graph in attribute_graphs(node):
            yield from (value.name for value in (*graph.input, *graph.output))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for tensor in all_tensors(model):
        yield tensor.name
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
    yield model.graph.name


def _check_text(model: Any, source: str) -> None:
    """Refuse names that are not UTF-8.

    One implementation of protocol buffers returns them as bytes, another raises when they are looked at.
    """
    try:
        bad = next((text for text in _texts(model) if not isinstance(text, str)), None)
    except UnicodeDecodeError as error:
        bad = error.object
    if bad is not None:
        raise FormatError(f"damaged: the name {bad[:40]!r} is not UTF-8 text", source=source)


def check_node_count(model: Any, limits: ReadLimits, source: str) -> None:
    """Refuse models with more nodes than `limits` allows."""
    for count, _ in enumerate(all_nodes(model), start=1):
        if count > limits.nodes:
            raise FormatError(f"more than {limits.nodes} nodes; expected at most that many", source=source)


def check_external_data(model: Any, path: Path) -> None:
    """Refuse external data that is not inside the folder of the model.

    Symbolic links are followed to where they lead; no file is opened.

    Raises
    ------
    FormatError
        Lists every offending tensor.
    """
    folder = path.resolve().parent
    verdicts: dict[str, str] = {}
    problems: list[Problem] = []
    for tensor in all_tensors(model):
        if tensor.data_location != _EXTERNAL and not tensor.external_data:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if location not in verdicts:
            verdicts[location] = _external_fault(location, folder)
        if verdicts[location]:
            problems.append(Problem(f"tensor {tensor.name!r}", verdicts[location]))
    if problems:
        raise FormatError(problems=problems[:_SHOWN], source=str(path))


def _external_fault(location: str, folder: Path) -> str:
    """Why `location` cannot be accepted; empty when it lies inside `folder`."""
    expected = "expected a path relative to the model and inside its folder"
    if not location or any(ord(character) < 32 for character in location):
        return f"external data without a valid location, got {location!r}, {expected}"
    windows = PureWindowsPath(location)  # knows both kinds of separator, drives and UNC names
    if windows.drive or windows.root or location.startswith("~"):
        return f"external data at the absolute location {location!r}, {expected}"
    if ".." in windows.parts:
        return f"external data at {location!r}, which leaves the folder of the model, {expected}"
    try:
        target = folder.joinpath(*windows.parts).resolve()
    except (OSError, RuntimeError, ValueError):
        return f"external data at {location!r}, which cannot be resolved, {expected}"
    if not target.is_relative_to(folder):
        return f"external data at {location!r}, a link that leaves the folder of the model, {expected}"
    return ""
