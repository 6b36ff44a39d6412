"""Kernels of ONNX Runtime on a CPU as numbers: what is read from shapes and attributes of one kernel.

The operator names are those of profile tables: `nchwc.Conv` works on blocked channels, `FusedConv` has its activation
inside. Weights that the runtime has packed are not among the inputs of a trace, so sizes come from what is sure to be
there: the first input, the outputs and the attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dnnplan.costs.runtime.processor import BLOCK

Shape = Sequence[int]
Columns = dict[str, float]

MODULES: dict[str, tuple[str, ...]] = {
    "conv": ("nchwc.Conv", "Conv", "FusedConv"),
    "gemm": ("Gemm", "FusedGemm", "MatMul", "FusedMatMul"),
    "pool": (
        "nchwc.MaxPool",
        "nchwc.AveragePool",
        "nchwc.GlobalAveragePool",
        "nchwc.GlobalMaxPool",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
    ),
    "elementwise": (
        *("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Pow", "PRelu", "BatchNormalization"),
        *("Relu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Elu", "Softplus"),
        *("Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs", "Cast"),
    ),
    "normalise": (
        *("Softmax", "LogSoftmax", "LRN", "InstanceNormalization"),
        *("LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization"),
        *("ReduceMean", "ReduceSum", "ReduceMax", "ArgMax"),
    ),
    "move": (
        *("Transpose", "Concat", "Split", "Slice", "Gather", "Pad", "Resize", "Expand", "Tile"),
        *("nchwc.ReorderInput", "nchwc.ReorderOutput", "nchwc.Upsample"),
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Dropout"),
    ),
    "recurrent": ("LSTM", "GRU", "RNN"),
}
"""Operators that share a regression. What is in none of them has no model here."""
MODULE_OF = {operator: module for module, operators in MODULES.items() for operator in operators}
VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Dropout")
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
BLOCKS_AT_ONCE, ROW = 4, 6
"""Blocks of filters and output columns that the inner kernel of a blocked convolution takes at once."""
SLOW_AVERAGE = 19
"""Version of the operator set from which averages over windows of plain maps run on a generic kernel."""
TILE_ROWS, TILE_COLUMNS = 6, 16
"""Rows and columns of a tile of a matrix product."""


def kernel_columns(
    operator: str,
    inputs: Sequence[Shape],
    outputs: Sequence[Shape],
    attributes: Mapping[str, Any],
    block: int = BLOCK,
) -> Columns:
    """Numbers of one kernel by name; which ones depends on the module.

    Every module has `elements_in`, `elements_more` (of the inputs after the first), `elements_out`, `batch` and
    `block`, the channels of a block on the processor.
    """
    module = MODULE_OF[operator]
    first = inputs[0] if inputs else ()
    out = outputs[0] if outputs else ()
    found = {
        "elements_in": float(math.prod(first)),
        "elements_more": float(sum(math.prod(shape) for shape in inputs[1:])),
        "elements_out": float(sum(math.prod(shape) for shape in outputs)),
        "batch": float(first[0]) if first else 1.0,
        "block": float(block),
    }
    return found | READERS[module](operator, inputs, first, out, attributes)


def _conv(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    batch, channels, height, width = _four(first)
    _, filters, rows, columns = _four(out)
    group = max(1, int(more.get("group", 1)))
    weight = next((shape for shape in inputs[1:] if len(shape) == 4), ())
    kernel = list(more.get("kernel_shape") or (weight[2:] if weight else (1, 1)))
    strides = list(more.get("strides") or (1, 1))
    pads = list(more.get("pads") or (0,) * 4)
    blocked = operator.startswith("nchwc.")
    # Depthwise convolutions are computed on whole blocks, and their groups are counted so.
    channels = max(channels, group) if blocked else channels
    macs = batch * filters * rows * columns * (channels / group) * math.prod(kernel)
    # Columns whose window leaves the map are computed one by one.
    edge = (
        min(columns, math.ceil(pads[-1] / strides[-1]) + math.ceil(pads[1] / strides[-1]))
        if len(pads) > 1
        else 0
    )
    return {
        "channels": channels,
        "size": height,
        "width": width,
        "filters": filters,
        "rows": rows,
        "columns": columns,
        "kernel": float(kernel[0]),
        "kernel_width": float(kernel[-1]),
        "stride": float(strides[0]),
        "dilation": float((more.get("dilations") or (1,))[0]),
        "group": float(group),
        "macs": macs,
        "edge": edge / max(columns, 1),
        "blocked": float(blocked),
        "has_sum": float(any(len(shape) == 4 and tuple(shape) == tuple(out) for shape in inputs[2:])),
        "activation": float(bool(more.get("activation"))),
        "costly_activation": float(more.get("activation") not in (None, "", "Relu", "Clip", "LeakyRelu")),
    }


def _four(shape: Shape) -> tuple[float, float, float, float]:
    """Batch, channels, height and width of a map; of one dimension, the height is 1."""
    sizes = [float(size) for size in shape]
    if len(sizes) < 4:
        sizes = [*sizes[:2], *[1.0] * (4 - len(sizes)), *sizes[2:]]
    return sizes[0], sizes[1], math.prod(sizes[2:-1]), sizes[-1]


def _gemm(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    columns = float(out[-1]) if out else 1.0
    swapped = bool(more.get("transA", 0))
    inner = float(first[-2 if swapped and len(first) > 1 else -1]) if first else 1.0
    rows = float(out[-2]) if len(out) > 1 else 1.0
    repeats = float(math.prod(out[:-2]))
    right = [shape for shape in inputs[1:] if len(shape) >= 2 and math.prod(shape[:-2]) > 1]
    if operator == "MatMul" and not right:
        # One matrix on the right: the left one is tall.
        rows, repeats = rows * repeats, 1.0
    return {
        "m": rows,
        "k": inner,
        "n": columns,
        "repeats": repeats,
        "macs": rows * inner * columns * repeats,
        "transposed": float(bool(more.get("transB", 0))),
        "packed": float(1 in (more.get("constants") or ())),
        "activation": float(bool(more.get("activation"))),
    }


def _pool(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    batch, channels, height, width = _four(first)
    _, _, rows, columns = _four(out)
    whole = "Global" in operator
    kernel = [height, width] if whole else list(more.get("kernel_shape") or (1, 1))
    return {
        "channels": channels,
        "size": height,
        "width": width,
        "rows": rows,
        "columns": columns,
        "kernel": float(kernel[0]),
        "stride": float((more.get("strides") or (1,))[0]),
        "padded": float(any(more.get("pads") or ())),
        # From version 19 of the operator set on, averages of plain maps have a slower kernel.
        "slow": float(operator == "AveragePool" and int(more.get("opset", 0)) >= SLOW_AVERAGE),
        "macs": batch * channels * rows * columns * math.prod(kernel),
        "blocked": float(operator.startswith("nchwc.")),
    }


def _elementwise(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    del operator, more
    sizes = [math.prod(shape) for shape in inputs] or [1]
    whole = max(sizes)
    smallest = min(inputs, key=math.prod, default=out)
    return {
        "full_operands": float(sum(size == whole for size in sizes)),
        "scalar": float(min(sizes) == 1 and whole > 1),
        "stretch": float(_stretch(out, smallest)),
        "vector": float(1 < min(sizes) < whole),
    }


def _stretch(out: Shape, operand: Shape) -> int:
    """Numbers in a row over which a smaller operand is one number, or is read along; at least 1.

    >>> _stretch((1, 64, 56, 56), (64, 1, 1)), _stretch((1, 196, 192), (192,)), _stretch((8, 4), (8, 4))
    (3136, 192, 32)
    """
    length, along = 1, None
    for back in range(1, len(out) + 1):
        size = operand[-back] if back <= len(operand) else 1
        repeats = size == 1 and out[-back] > 1
        if out[-back] > 1:
            along = repeats if along is None else along
            if repeats != along:
                break
        length *= out[-back]
    return max(length, 1)


def _normalise(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    rank = len(first)
    axes = more.get("axes") or more.get("axis", -1)
    axis = axes[0] if isinstance(axes, list) else axes
    axis = axis % rank if rank and isinstance(axis, int) and -rank <= axis < rank else max(rank - 1, 0)
    if operator.startswith("Reduce") and rank:
        # The axes are an input: the reduced sizes follow from the shapes.
        axis = next((at for at, size in enumerate(first) if at >= len(out) or out[at] != size), rank - 1)
    length = float(first[axis]) if rank else 1.0
    inner = float(math.prod(first[axis + 1 :])) if rank else 1.0
    return {
        "length": length,
        "inner": inner,
        "outer": float(math.prod(first[:axis])) if rank else 1.0,
        "window": float(more.get("size", 1)) if operator == "LRN" else 1.0,
    }


def _move(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    rank = len(first)
    stretch = float(math.prod(first))
    perm = more.get("perm")
    if operator == "Transpose":
        perm = perm if isinstance(perm, list) and len(perm) == rank else list(range(rank))[::-1]
        at = rank
        while at and perm[at - 1] == at - 1:
            at -= 1
        stretch = float(math.prod(first[at:]))
    elif operator in ("Concat", "Split", "Gather") and rank:
        axis = more.get("axis", 0)
        axis = axis % rank if isinstance(axis, int) and -rank <= axis < rank else 0
        stretch = float(math.prod(first[axis + 1 :] if operator == "Gather" else first[axis:]))
    channels = float(first[1]) if rank > 1 else 1.0
    return {
        "stretch": stretch,
        "pieces": float(len(inputs)),
        "channels": channels,
        "plane": float(math.prod(first[2:])) if rank > 2 else 1.0,
        "swapped": float(operator == "Transpose" and stretch <= 1),
        "view": float(operator in VIEWS),
    }


def _recurrent(
    operator: str, inputs: Sequence[Shape], first: Shape, out: Shape, more: Mapping[str, Any]
) -> Columns:
    sizes = [float(size) for size in first] + [1.0] * (3 - len(first))
    length, batch, features = sizes[:3]
    hidden = float(more.get("hidden_size", out[-1] if out else 1))
    directions = 2.0 if more.get("direction") == "bidirectional" else 1.0
    gates = GATES[operator]
    return {
        "length": length,
        "sequences": batch,
        "features": features,
        "hidden": hidden,
        "directions": directions,
        "gates": float(gates),
        "before": float(bool(more.get("linear_before_reset", 0))),
        "macs_in": length * batch * directions * gates * hidden * features,
        "macs_hidden": length * batch * directions * gates * hidden * hidden,
        "weights": directions * gates * hidden * (features + hidden),
        "activations": length * batch * directions * gates * hidden,
        "steps": length * directions,
    }


Reader = Callable[[str, Sequence[Shape], Shape, Shape, Mapping[str, Any]], Columns]
READERS: dict[str, Reader] = {
    "conv": _conv,
    "gemm": _gemm,
    "pool": _pool,
    "elementwise": _elementwise,
    "normalise": _normalise,
    "move": _move,
    "recurrent": _recurrent,
}
