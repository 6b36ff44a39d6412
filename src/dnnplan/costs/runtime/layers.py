"""Layers of instances as kernels of ONNX Runtime: which kernels a layer becomes, by the rules of its optimiser.

A model that was read from an ONNX file says of each layer its operator, shapes and what is fused into it. The runtime
blocks channels of convolutions and pooling, folds normalisation, scales and shifts by channel into them, takes a sum
and some functions into the convolution before them, and reorders numbers where blocked and plain layers meet. The rules
here are those of versions 1.2x and 1.3x on processors with AVX2 or AVX-512; tests compare them with the optimised
graphs of real networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from dnnplan.costs.runtime.processor import BLOCK
from dnnplan.costs.runtime.tables import Kernel
from dnnplan.instances import Layer, Model

INSIDE = ("Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "HardSwish")
"""Functions that become part of the convolution or matrix product before them."""
GONE = ("BatchNormalization", "Dropout", "Identity")
"""Operators in a tail that are folded away."""
SCALES = ("Mul", "Add", "Sub", "Div")
"""Operators that are folded into a convolution before them where their operand is a constant."""
JOINS = ("Add", "Sum")
ALIGNED = 4
"""Channels have to be a multiple of this to be read in blocks."""
KEPT = ("axis", "axes", "perm", "size", "direction")
RECURRENT = ("LSTM", "GRU", "RNN")
PARTS = {"HardSwish": ("HardSigmoid", "Mul")}
"""Functions that the runtime runs as several operators."""
PAIRS = {("HardSigmoid", "Mul"): "HardSwish", ("Sigmoid", "Mul"): "QuickGelu"}
"""Functions that are written as two operators and run as one."""
ANY_LAYOUT = (*JOINS, *SCALES, *INSIDE, "QuickGelu", "Concat")
"""Operators that keep the layout of what they read."""


@dataclass
class LayerKernels:
    """What a layer becomes.

    Attributes
    ----------
    kernels
        None where its shapes are not known; none where another layer has taken it in.
    output
        Shape of what it writes.
    blocked
        Whether it writes blocks.
    """

    kernels: list[Kernel] | None
    output: list[int] = field(default_factory=list)
    blocked: bool = False


def model_kernels(model: Model, batch: int = 1, block: int = BLOCK) -> list[LayerKernels]:
    """The kernels of every layer of a model, in its order.

    Parameters
    ----------
    model
        Layers with `input_shapes` and `output_shapes` among their attributes, as the ONNX reader writes them.
    batch
        Samples that run together; shapes are those of one.
    block
        Channels of a block on the processor.
    """
    graph = _Graph(model, block)
    found: dict[str, LayerKernels] = {}
    for layer in model.layers:
        found[layer.name] = _layer(layer, batch, graph, found)
    _reorder(model, graph, found)
    return [found[layer.name] for layer in model.layers]


class _Graph:
    """Who reads what."""

    def __init__(self, model: Model, block: int) -> None:
        self.block = block
        names = [layer.name for layer in model.layers]
        self.sources: dict[str, list[str | None]] = {name: [] for name in names}
        self.readers: dict[str, list[str]] = {name: [] for name in names}
        self.outputs: set[str] = set()
        for tensor in model.tensors:
            for target in tensor.targets:
                self.sources[target].append(tensor.source)
            if tensor.source is not None:
                self.readers[tensor.source] += tensor.targets
                self.outputs |= {tensor.source} if tensor.output else set()


def _layer(layer: Layer, batch: int, graph: _Graph, before: dict[str, LayerKernels]) -> LayerKernels:
    shapes = [
        _shapes(layer.attributes.get(key), layer.op, batch) for key in ("input_shapes", "output_shapes")
    ]
    if not shapes[0] or not shapes[1]:
        return LayerKernels(None)
    inputs, outputs = shapes
    fused = layer.attributes.get("fused", ())
    tail = _paired([str(op) for op in fused if isinstance(op, str) and op not in GONE])
    sources = [before[name] for name in graph.sources[layer.name] if name is not None]
    plain = any(not source.blocked for source in sources) or len(sources) < len(graph.sources[layer.name])
    if layer.op in JOINS and _joined(layer, inputs, tail, graph, before):
        return LayerKernels([_elementwise(op, outputs[0]) for op in _parts(tail)], outputs[0], blocked=True)
    alone = len(graph.sources[layer.name]) == 1
    main, rest = _main(layer, inputs, outputs, tail, graph.block, alone=alone, plain=plain)
    kernels = [*main, *(_elementwise(op, outputs[0]) for op in _parts(rest))]
    operators = [kernel.operator for kernel in kernels]
    keeps = all(name.startswith("nchwc.") or name in ANY_LAYOUT for name in operators)
    aligned = layer.op != "Concat" or all(len(s) == 4 and s[1] % graph.block == 0 for s in inputs)
    shifted = layer.op == "BatchNormalization" and "Add" in operators
    starts = operators[0].startswith("nchwc.") or not plain
    return LayerKernels(kernels, outputs[0], blocked=keeps and starts and aligned and not shifted)


def _paired(tail: list[str]) -> list[str]:
    found: list[str] = []
    for op in tail:
        if found and (found[-1], op) in PAIRS:
            found[-1] = PAIRS[found[-1], op]
        else:
            found.append(op)
    return found


def _parts(tail: list[str]) -> list[str]:
    return [part for op in tail for part in PARTS.get(op, (op,))]


def _elementwise(op: str, shape: list[int]) -> Kernel:
    return Kernel(op, [shape] * (2 if op in (*SCALES, *JOINS) else 1), [shape], {})


def _shapes(value: Any, op: str, batch: int) -> list[list[int]]:
    """Shapes of a batch; empty where one of them is not known."""
    shapes = value if isinstance(value, list) else []
    if not all(isinstance(s, list) and all(type(size) is int and size >= 0 for size in s) for s in shapes):
        return []
    at = 1 if op in RECURRENT else 0
    return [[size * batch if i == at else size for i, size in enumerate(shape)] for shape in shapes]


def _joined(
    layer: Layer, inputs: list[list[int]], tail: list[str], graph: _Graph, before: dict[str, LayerKernels]
) -> bool:
    """Put a sum, and the function behind it, into the last convolution before it that nothing else reads."""
    if len(inputs) != 2 or inputs[0] != inputs[1]:
        return False
    sources = [name for name in before if name in graph.sources[layer.name]]
    if not sources or not all(before[name].blocked for name in sources):
        return False
    for name in reversed(sources):
        free = graph.readers[name] == [layer.name] and name not in graph.outputs
        kernels = before[name].kernels
        if not free or not kernels:
            continue
        last = kernels[-1]
        if last.operator == "nchwc.Conv" and "activation" not in last.attributes:
            last.inputs.append(last.outputs[0])
            if tail and tail[0] in INSIDE:
                last.attributes["activation"] = tail.pop(0)
            return True
    return False


def _main(
    layer: Layer,
    inputs: list[list[int]],
    outputs: list[list[int]],
    tail: list[str],
    block: int,
    *,
    alone: bool,
    plain: bool,
) -> tuple[list[Kernel], list[str]]:
    """The kernels of the main operator, and what of the tail stays outside of them."""
    found: dict[str, Any] = dict(layer.attributes)
    if layer.op == "Conv":
        return _conv(found, inputs, outputs, tail, block, alone=alone)
    if layer.op == "BatchNormalization" and len(inputs[0]) == 4 and inputs[0][1] % block == 0:
        return _normalisation(inputs[0], tail)
    attributes: dict[str, Any] = {key: found[key] for key in KEPT if key in found}
    if layer.op in RECURRENT:
        attributes |= {"hidden_size": found.get("hidden_size", outputs[0][-1])}
    if layer.op in ("Gemm", "MatMul"):
        return _product(layer.op, inputs, outputs, tail, attributes)
    name = layer.op
    if layer.op.endswith("Pool"):
        attributes |= {
            "kernel_shape": found.get("kernel", [1, 1]),
            "strides": found.get("strides", [1, 1]),
            "pads": found.get("pads", [0] * 4),
        }
        even = len(inputs[0]) == 4 and inputs[0][1] % block == 0
        if even and not layer.op.startswith("Lp") and not (plain and layer.op.startswith("Global")):
            name = f"nchwc.{layer.op}"
    return [Kernel(part, inputs, outputs, attributes) for part in PARTS.get(name, (name,))], tail


def _conv(
    found: dict[str, Any],
    inputs: list[list[int]],
    outputs: list[list[int]],
    tail: list[str],
    block: int,
    *,
    alone: bool,
) -> tuple[list[Kernel], list[str]]:
    weight = found.get("weight_shape") or []
    group = int(found.get("group", 1))
    attributes: dict[str, Any] = {
        "kernel_shape": found.get("kernel", [1, 1]),
        "strides": found.get("strides", [1, 1]),
        "pads": found.get("pads", [0] * 4),
        "dilations": found.get("dilations", [1, 1]),
        "group": group,
    }
    maps = len(weight) == 4 and len(inputs[0]) == 4
    blocked = maps and is_blocked(inputs[0][1], int(weight[0]), group, block)
    operands = [inputs[0], *([weight, [weight[0]]] if weight else [])]
    rest = list(tail)
    while alone and rest and rest[0] in SCALES:
        rest = rest[1:]
    if not alone and blocked and rest and rest[0] in JOINS:
        operands.append(outputs[0])
        rest = rest[1:]
    if rest and rest[0] in INSIDE:
        attributes["activation"] = rest[0]
        rest = rest[1:]
    name = "nchwc.Conv" if blocked else "FusedConv" if "activation" in attributes else "Conv"
    return [Kernel(name, operands, outputs[:1], attributes)], rest


def _normalisation(shape: list[int], tail: list[str]) -> tuple[list[Kernel], list[str]]:
    """Normalisation that no convolution takes, and a scale behind it: depthwise convolutions of one pixel."""
    channels = shape[1]
    attributes = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4, "group": channels}
    rest = list(tail)
    count = 1
    while rest and rest[0] == "Mul":
        rest, count = rest[1:], count + 1
    if rest and rest[0] in INSIDE:
        attributes["activation"], rest = rest[0], rest[1:]
    operands = [shape, [channels, 1, 1, 1], [channels]]
    return [Kernel("nchwc.Conv", operands, [shape], dict(attributes)) for _ in range(count)], rest


def is_blocked(channels: int, filters: int, group: int, block: int = BLOCK) -> bool:
    """Whether the runtime computes a convolution on blocked channels.

    >>> is_blocked(64, 64, 1), is_blocked(3, 32, 1), is_blocked(51, 64, 1), is_blocked(28, 28, 28)
    (True, True, False, True)
    """
    if group == 1:
        return channels < block or channels % ALIGNED == 0
    if channels == group == filters:
        return channels % ALIGNED == 0
    return filters % block == 0 and channels // group % block == 0 and filters // group % block == 0


def _product(
    op: str, inputs: list[list[int]], outputs: list[list[int]], tail: list[str], attributes: dict[str, Any]
) -> tuple[list[Kernel], list[str]]:
    """Weights are no input of a layer: an operand that is missing is one, and packed."""
    rest = list(tail)
    if len(inputs) > 1:
        scaled = bool(rest) and rest[0] in ("Mul", "Div")
        name, rest = ("FusedMatMul", rest[1:]) if scaled else ("MatMul", rest)
        return [Kernel(name, inputs, outputs, attributes)], rest
    inner, columns = inputs[0][-1], outputs[0][-1]
    shifted = op == "MatMul" and bool(rest) and rest[0] == "Add"
    if shifted:
        op, rest = "Gemm", rest[1:]
    if op == "Gemm" and rest and rest[0] in INSIDE:
        op, attributes["activation"], rest = "FusedGemm", rest[0], rest[1:]
    rows = math.prod(outputs[0][:-1])
    flat = op != "MatMul"
    attributes["constants"] = [1]
    left, made = ([rows, inner], [rows, columns]) if flat else (inputs[0], outputs[0])
    kernels = [Kernel(op, [left, [inner, columns]], [made], attributes)]
    if shifted and len(inputs[0]) > 2:
        views = [(inputs[0], left), (made, outputs[0])]
        before, after = (Kernel("Reshape", [a, [len(b)]], [b], {}) for a, b in views)
        # A reshape of the model right behind it is one with that of the product.
        kernels = [before, *kernels, *([] if rest[:1] == ["Reshape"] else [after])]
    return kernels, rest


def _reorder(model: Model, graph: _Graph, found: dict[str, LayerKernels]) -> None:
    """Add what brings numbers into blocks and back, to the layers that need it and that have made them."""
    brought: set[str | None] = set()
    for layer in model.layers:
        own = found[layer.name]
        if not own.kernels:
            continue
        first = own.kernels[0]
        sources = graph.sources[layer.name]
        takes = first.operator.startswith("nchwc.") and first.inputs[0][1] >= graph.block
        for source in sources if takes else ():
            if (source is None or not found[source].blocked) and source not in brought:
                brought.add(source)
                own.kernels.insert(0, Kernel("nchwc.ReorderInput", first.inputs[:1], first.inputs[:1], {}))
    for layer in model.layers:
        own = found[layer.name]
        readers = graph.readers[layer.name]
        leaves = layer.name in graph.outputs or any(not _reads_blocks(found[name]) for name in readers)
        if own.kernels is None:
            continue
        if own.blocked and leaves:
            own.kernels.append(Kernel("nchwc.ReorderOutput", [own.output], [own.output], {}))
        elif not own.blocked:
            _within(own.kernels)


def _reads_blocks(reader: LayerKernels) -> bool:
    kernels = reader.kernels or []
    return reader.blocked or bool(kernels and kernels[0].operator.startswith("nchwc."))


def _within(kernels: list[Kernel]) -> None:
    """A reorder inside of a layer: plain operators behind blocked ones."""
    names = [kernel.operator.startswith("nchwc.") for kernel in kernels]
    for at in range(1, len(kernels)):
        if names[at - 1] and not names[at]:
            made = kernels[at - 1].outputs[:1]
            kernels.insert(at, Kernel("nchwc.ReorderOutput", made, made, {}))
            return
