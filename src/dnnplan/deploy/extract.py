"""From a part to an ONNX model: nodes, constants and types, as bytes or with its weights beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dnnplan import __version__
from dnnplan.deploy.cut import Part
from dnnplan.deploy.renaming import rename_node
from dnnplan.deploy.wire import Stored
from dnnplan.deploy.work import NodeRef, Ref, Work
from dnnplan.instances import UnsupportedError
from dnnplan.instances.formats.onnx.dependency import require_onnx

INLINE_LIMIT = 2**31 - 2**24
"""Bytes of weights up to which they are stored in the ONNX file; protocol buffers end at 2 GiB."""
_LEAST_EXTERNAL = 1024
_ALIGNMENT = 4096
"""Where a tensor may begin in a file of weights: pages, so that runtimes can map the file."""
_TENSOR = "tensor_type"
_LISTED_BEFORE = 4
"""Before this IR version constants had to be listed among the inputs."""


def part_model(work: Work, part: Part) -> tuple[Any, list[tuple[Ref, str]]]:
    """The model of a part without its stored constants, and these with their names in it.

    Raises
    ------
    UnsupportedError
        A value of unknown or non-tensor type crosses; or the part has nodes of files with different operator sets.
    """
    onnx = require_onnx()
    members = [work.members[m] for m in sorted({node.member for node in part.nodes})] or [work.members[0]]
    model = onnx.ModelProto(
        ir_version=max(member.network.ir_version for member in members),
        producer_name="dnnplan",
        producer_version=__version__,
    )
    for domain, version in _opsets(work, part).items():
        model.opset_import.add(domain=domain, version=version)
    graph = model.graph
    graph.name = work.model.name
    for ref in part.copied:
        graph.node.add(op_type="Identity", input=[_stored_name(work, part, ref)], output=[work.name(ref)])
    for node in part.nodes:
        _add_node(graph, work, node)
    graph.input.extend(typed(work, ref) for ref in part.inputs)
    graph.output.extend(typed(work, ref) for ref in part.outputs)
    return model, [(ref, _stored_name(work, part, ref)) for ref in part.stored]


def stored_constants(model: Any, work: Work, stored: Iterable[tuple[Ref, str]]) -> list[Stored]:
    """The stored constants of a part as they are written; sparse ones are put into its model."""
    found = []
    for ref, name in stored:
        weights = work.members[ref.member].network.weights
        if ref.name in weights.sparse:
            sparse = model.graph.sparse_initializer.add()
            sparse.CopyFrom(weights.sparse[ref.name])
            sparse.values.name = name
            continue
        constant = weights.stored(ref.name, name)
        found.append(constant)
        if model.ir_version < _LISTED_BEFORE:
            helper, tensor = require_onnx("helper"), constant.tensor
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            model.graph.input.append(info)
    return found


def store(constants: Sequence[Stored], data: Path | None) -> list[Stored]:
    """Constants as they go into the file of a model.

    Parameters
    ----------
    data
        A new file beside the model that gets the numbers of large constants, one after the other; None: they are
        written into the model's file.
    """
    if data is None:
        return list(constants)
    with data.open("xb") as file:
        return [_beside(c, file) if c.size >= _LEAST_EXTERNAL else c for c in constants]


def _beside(constant: Stored, file: BinaryIO) -> Stored:
    """Write the numbers of a constant to a file of weights, and say where they are."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    places = {"location": Path(file.name).name, "offset": file.tell(), "length": constant.size}
    file.write(constant.raw())
    constant.tensor.data_location = 1
    for key, value in places.items():
        constant.tensor.external_data.add(key=key, value=str(value))
    return Stored(constant.tensor, 0, None)


def typed(work: Work, ref: Ref) -> Any:
    """ValueInfoProto of a value that crosses.

    Raises
    ------
    UnsupportedError
        Its type is not known, or it is no tensor.
    """
    network = work.members[ref.member].network
    info = network.types.get(ref.name)
    kind = None if info is None else info.type.WhichOneof("value")
    if info is None or kind is None or (kind == _TENSOR and not info.type.tensor_type.elem_type):
        raise UnsupportedError(
            f"{network.path.name}: {ref.name!r} crosses between parts, and its element type cannot be inferred; "
            "declare it in the file (value_info), or keep its layers on one device"
        )
    if kind != _TENSOR:
        raise UnsupportedError(
            f"{network.path.name}: {ref.name!r} crosses between parts and is no tensor ({kind}); keep its layers on "
            "one device"
        )
    if not info.type.tensor_type.HasField("shape"):
        raise UnsupportedError(
            f"{network.path.name}: {ref.name!r} crosses between parts, and the number of its dimensions cannot be "
            "inferred; declare it in the file (value_info), or keep its layers on one device"
        )
    named = type(info)()
    named.CopyFrom(info)
    named.name = work.name(ref)
    return named


def _opsets(work: Work, part: Part) -> dict[str, int]:
    found: dict[str, int] = {}
    members = {node.member for node in part.nodes} | {ref.member for ref in part.outputs}
    for m in sorted(members):
        for domain, version in work.members[m].network.opsets.items():
            if found.setdefault(domain, version) != version:
                raise UnsupportedError(
                    f"segment {part.segment.name}: has nodes of files with versions {found[domain]} and {version} of "
                    f"the operator set {domain or 'ai.onnx'!r}; convert the files to one version"
                )
    return found


def _stored_name(work: Work, part: Part, ref: Ref) -> str:
    """The name of a stored constant; one that is an output itself needs another one, which nothing has."""
    network, name = work.members[ref.member].network, ref.name
    if ref in part.copied:
        name += "/stored"
        while name in network.weights or name in network.producer or name in network.inputs:
            name += "'"
    return work.name(Ref(ref.member, name))


def _add_node(graph: Any, work: Work, ref: NodeRef) -> None:
    member = work.members[ref.member]
    proto = member.network.protos[ref.node]
    if not member.prefix:
        graph.node.append(proto)
        return
    node = graph.node.add()
    node.CopyFrom(proto)
    node.name = member.prefix + (proto.name or member.network.nodes[ref.node].name)
    rename_node(node, lambda name: work.name(work.resolve(Ref(ref.member, name))))
