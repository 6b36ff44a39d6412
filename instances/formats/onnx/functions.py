"""Local functions of a model, replaced by what they stand for."""

from __future__ import annotations

from typing import Any

from dnnplan.instances.errors import FormatError
from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.safety import ReadLimits, attribute_graphs

_DEEPEST = 100


def inline_functions(model: Any, limits: ReadLimits, source: str) -> Any:
    """The model with every call of a local function replaced by the nodes of that function.

    The number of nodes that result is counted first: a few functions that call each other twice can stand
    for more nodes than any memory holds.

    Raises
    ------
    FormatError
        Functions that call themselves, or too many nodes.
    """
    if not model.functions:
        return model
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int | None] = {}
    total = _expanded(model.graph.node, functions, sizes, source)
    if total > limits.nodes:
        raise FormatError(
            f"its local functions stand for {total} nodes, expected at most {limits.nodes}", source=source
        )
    inliner = require_onnx("inliner")
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the native inliner raises plain RuntimeErrors of many kinds
        raise FormatError(
            f"local functions cannot be inlined: {_first_line(error)}", source=source
        ) from error


def _expanded(
    nodes: Any, functions: dict[Any, Any], sizes: dict[Any, int | None], source: str, depth: int = 0
) -> int:
    """Nodes that `nodes` stand for; `sizes` remembers functions, None marks one that is being counted."""
    if depth > _DEEPEST:
        raise FormatError(f"local functions nested deeper than {_DEEPEST} levels", source=source)
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type)
        if key not in functions:
            total += 1
        elif key in sizes:
            size = sizes[key]
            if size is None:
                raise FormatError(f"local function {key[1]!r} calls itself", source=source)
            total += size
        else:
            sizes[key] = None
            sizes[key] = _expanded(functions[key].node, functions, sizes, source, depth + 1)
            total += sizes[key] or 0
        for graph in attribute_graphs(node):
            total += _expanded(graph.node, functions, sizes, source, depth + 1)
    return total


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
