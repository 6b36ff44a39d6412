"""A small notation for sampled networks, on top of onnx.helper: values know their shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dnnplan.costs.runtime.tables import FRAME
from dnnplan.instances.formats.onnx.dependency import require_onnx

FLOAT, INT64 = 1, 7
OPSET, IR_VERSION = 20, 9
FILL = 0.02
"""The one value of all weights: small files, and no denormal numbers, which processors are slow with."""


@dataclass(frozen=True)
class Value:
    """A tensor: its name and its sizes."""

    name: str
    shape: tuple[int, ...]


class Sketch:
    """Collects the nodes of a network."""

    def __init__(self, name: str, opset: int = OPSET) -> None:
        self.name = name
        self.opset = opset
        self.helper = require_onnx("helper")
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: list[Any] = []
        self.macs = 0.0
        self.flow: Value | None = None
        self._count = 0

    def _unique(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def input(self, *shape: int, dtype: int = FLOAT) -> Value:
        """What the cell before leaves, in that shape if a pointwise convolution can give it; else a graph input.

        A kernel of the frame has read and written a graph input before a cell sees it: nothing inside a network reads
        what the caller has just written.
        """
        found = self._from_flow(shape) if dtype == FLOAT else None
        if found is not None:
            return found
        self.finish()
        name = self._unique("input")
        self.inputs.append(self.helper.make_tensor_value_info(name, dtype, list(shape)))
        if dtype != FLOAT:
            return Value(name, shape)
        made = self._unique(f"{FRAME}source")
        self.nodes.append(self.helper.make_node("Relu", [name], [made], name=made))
        return Value(made, shape)

    def _from_flow(self, shape: tuple[int, ...]) -> Value | None:
        flow = self.flow
        if flow is None or len(flow.shape) != len(shape) or flow.shape[0] != shape[0]:
            return None
        if flow.shape == shape:
            self.flow = None
            return flow
        if len(shape) != 4 or flow.shape[2:] != shape[2:]:
            return None
        self.flow = None
        return self.conv(flow, shape[1], 1)

    def leave(self, value: Value) -> None:
        """What a cell has made, for the next one."""
        self.flow = value

    def finish(self) -> None:
        """End what has been left: the next cell starts from a graph input."""
        if self.flow is not None:
            self.output(self.flow)
        self.flow = None

    def output(self, value: Value) -> None:
        """Read a value: outputs of a graph are in new memory at each run, which makes whoever writes them slow."""
        name = self._unique(f"{FRAME}sink")
        self.nodes.append(self.helper.make_node("ReduceMean", [value.name], [name], name=name, keepdims=1))
        sizes = [1] * len(value.shape)
        self.outputs.append(self.helper.make_tensor_value_info(name, FLOAT, sizes))

    def weight(self, *shape: int) -> str:
        """A constant of `FILL`, which the runtime folds."""
        size = self.integers(*shape)
        value = self.helper.make_tensor(self._unique("fill"), FLOAT, [1], [FILL])
        name = self._unique("weight")
        self.nodes.append(self.helper.make_node("ConstantOfShape", [size], [name], name=name, value=value))
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 constant."""
        name = self._unique("ints")
        self.constants.append(self.helper.make_tensor(name, INT64, [len(values)], list(values)))
        return name

    def scalar(self, value: float) -> str:
        """A constant number."""
        name = self._unique("number")
        self.constants.append(self.helper.make_tensor(name, FLOAT, [], [value]))
        return name

    def node(
        self, op: str, shape: tuple[int, ...], *inputs: str | Value, outputs: int = 1, **attributes: Any
    ) -> Value:
        """Add a node whose first output has some shape."""
        name = self._unique(op)
        names = [name, *(f"{name}_{at}" for at in range(1, outputs))]
        given = [value.name if isinstance(value, Value) else value for value in inputs]
        self.nodes.append(self.helper.make_node(op, given, names, name=name, **attributes))
        return Value(name, shape)

    def conv(
        self, value: Value, filters: int, kernel: int, *, stride: int = 1, group: int = 1, bias: bool = True
    ) -> Value:
        """A convolution of square kernel, padded to keep the size, with a bias as batch normalisation folds into."""
        batch, channels, size, _ = value.shape
        pad = kernel // 2
        out = (size + 2 * pad - kernel) // stride + 1
        weights = [self.weight(filters, channels // group, kernel, kernel)]
        weights += [self.weight(filters)] if bias else []
        self.macs += batch * filters * out * out * (channels // group) * kernel * kernel
        return self.node(
            "Conv",
            (batch, filters, out, out),
            value,
            *weights,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            group=group,
        )

    def pool(self, op: str, value: Value, kernel: int, stride: int) -> Value:
        """Max or average pooling of square windows, padded as a convolution."""
        batch, channels, size, _ = value.shape
        pad = (kernel - 1) // 2
        out = (size + 2 * pad - kernel) // stride + 1
        self.macs += batch * channels * out * out * kernel * kernel / 4
        shape = (batch, channels, out, out)
        return self.node(op, shape, value, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def gemm(self, value: Value, columns: int) -> Value:
        """A fully connected layer of a matrix (rows, k)."""
        rows, inner = value.shape
        self.macs += rows * inner * columns
        weight, bias = self.weight(columns, inner), self.weight(columns)
        return self.node("Gemm", (rows, columns), value, weight, bias, transB=1)

    def matmul(self, left: Value, right: Value) -> Value:
        """A product of two values, batched over their first dimensions."""
        shape = (*left.shape[:-1], right.shape[-1])
        self.macs += math.prod(shape) * left.shape[-1]
        return self.node("MatMul", shape, left, right)

    def linear(self, value: Value, columns: int) -> Value:
        """A product with weights, and a bias, as exporters write a linear layer of more than two dimensions."""
        inner = value.shape[-1]
        shape = (*value.shape[:-1], columns)
        self.macs += math.prod(shape) * inner
        product = self.node("MatMul", shape, value, self.weight(inner, columns))
        return self.node("Add", shape, product, self.weight(columns))

    def reshape(self, value: Value, *shape: int) -> Value:
        """The same numbers in another shape."""
        return self.node("Reshape", shape, value, self.integers(*shape))

    def transpose(self, value: Value, *perm: int) -> Value:
        """Dimensions in another order."""
        return self.node("Transpose", tuple(value.shape[at] for at in perm), value, perm=list(perm))

    def model(self) -> Any:
        """The network as an onnx.ModelProto."""
        graph = self.helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        opsets = [self.helper.make_opsetid("", self.opset)]
        return self.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
