"""Types of the values of a graph: what the file declares, what follows from it, and what bodies of loops declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.safety import attribute_graphs


def value_types(model: Any, source: str) -> dict[str, Any]:
    """ValueInfoProto of every value that something is known of, by name; `model` gets what its bodies declare.

    Raises
    ------
    FormatError
        The model contradicts itself so badly that shape inference gives up.
    """
    types = _inferred(model, source)
    found = [info for info in _from_bodies(model) if not _has_shape(types.get(info.name))]
    if found:
        names = {info.name for info in found}
        kept = [info for info in model.graph.value_info if info.name not in names]
        del model.graph.value_info[:]
        model.graph.value_info.extend([*kept, *found])
        types = _inferred(model, source)
    return types


def _inferred(model: Any, source: str) -> dict[str, Any]:
    onnx = require_onnx()
    require_onnx("shape_inference")
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True).graph
    except Exception as error:  # the native code raises several unrelated types
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise FormatError(f"shape inference failed: {line}", source=source) from error
    return {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}


def _has_shape(info: Any) -> bool:
    return info is not None and bool(info.type.tensor_type.HasField("shape"))


def _from_bodies(model: Any) -> Iterator[Any]:
    """Outputs of If and Loop as their bodies declare them, with dimensions left open; inference forgets their number.

    What a loop carries could change from round to round; the number of its dimensions does not in what is declared.
    """
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        bodies = list(attribute_graphs(node))
        if node.op_type not in ("If", "Loop") or node.domain not in ("", "ai.onnx") or not bodies:
            continue
        # A loop's body also says whether to go on; what it carries comes before what it collects.
        skipped = 1 if node.op_type == "Loop" else 0
        carried = len(node.input) - 2 if node.op_type == "Loop" else len(node.output)
        for at, name in enumerate(node.output):
            if not name or name in outputs or at + skipped >= len(bodies[0].output):
                continue
            declared = bodies[0].output[at + skipped]
            if not _has_shape(declared):
                continue
            info = type(declared)(name=name)
            info.type.tensor_type.elem_type = declared.type.tensor_type.elem_type
            info.type.tensor_type.shape.SetInParent()
            dims = len(declared.type.tensor_type.shape.dim) + (at >= carried)
            for _ in range(dims):
                info.type.tensor_type.shape.dim.add()
            yield info
