"""A small notation for networks, on top of onnx.helper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.instances.formats.onnx.dependency import require_onnx
from dnnplan.instances.formats.onnx.materialise import seed_weights

FLOAT = 1
INT64 = 7
_OPSET = 20
_IR_VERSION = 9
_FILL = 0.02
"""The one value of all weights of a light network, as in the light networks of the `onnx` package."""


class NetworkBuilder:
    """Collects nodes and constants; values are known by name.

    Methods that add a node return the name of its output, which is the name of the node.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.helper = require_onnx("helper")
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._names: dict[str, int] = {}

    def input(self, name: str, shape: Sequence[int | str], dtype: int = FLOAT) -> str:
        """A graph input; strings in `shape` are symbolic dimensions."""
        self.inputs.append(self.helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Make `value` a graph output called `name`."""
        self.nodes.append(self.helper.make_node("Identity", [value], [name], name=f"{name}_identity"))
        self.outputs.append(self.helper.make_tensor_value_info(name, FLOAT, list(shape)))

    def unique(self, stem: str) -> str:
        """`stem`, numbered from its second use on."""
        count = self._names[stem] = self._names.get(stem, 0) + 1
        return stem if count == 1 else f"{stem}_{count}"

    def node(self, op: str, *inputs: str, name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node; returns its first output."""
        name = self.unique(name or op.lower())
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, name=name, **attributes))
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 constant."""
        name = self.unique("shape")
        self.initializers.append(self.helper.make_tensor(name, INT64, [len(values)], list(values)))
        return name

    def scalar(self, value: float) -> str:
        """A float constant without dimensions."""
        name = self.unique("scalar")
        self.initializers.append(self.helper.make_tensor(name, FLOAT, [], [value]))
        return name

    def weight(self, name: str, *shape: int) -> str:
        """A weight, all of one value until it is seeded."""
        name = self.unique(name)
        fill = self.helper.make_tensor("", FLOAT, [1], [_FILL])
        node = self.helper.make_node(
            "ConstantOfShape", [self.integers(*shape)], [name], name=f"{name}_fill", value=fill
        )
        self.nodes.append(node)
        return name

    def conv(
        self, value: str, channels: int, filters: int, kernel: int, *, stride: int = 1, group: int = 1
    ) -> str:
        """A convolution without bias, padded to keep the size at stride 1."""
        name = self.unique("conv")
        weight = self.weight(f"{name}_w", filters, channels // group, kernel, kernel)
        return self.node(
            "Conv",
            value,
            weight,
            name=f"{name}_y",
            group=group,
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def batch_norm(self, value: str, channels: int) -> str:
        """Batch normalisation with statistics of its own."""
        name = self.unique("bn")
        parts = [self.weight(f"{name}_{part}", channels) for part in ("scale", "bias", "mean", "var")]
        return self.node("BatchNormalization", value, *parts, name=f"{name}_y")

    def linear(self, value: str, inputs: int, outputs: int) -> str:
        """A matrix product with bias, for values of any rank."""
        name = self.unique("linear")
        product = self.node(
            "MatMul", value, self.weight(f"{name}_w", inputs, outputs), name=f"{name}_product"
        )
        return self.node("Add", product, self.weight(f"{name}_b", outputs), name=f"{name}_y")

    def classifier(self, value: str, channels: int, classes: int) -> str:
        """Global average pooling, a Gemm with bias, and softmax."""
        flat = self.node("Flatten", self.node("GlobalAveragePool", value))
        name = self.unique("classifier")
        weight, bias = self.weight(f"{name}_w", classes, channels), self.weight(f"{name}_b", classes)
        return self.node("Softmax", self.node("Gemm", flat, weight, bias, name=f"{name}_y", transB=1))

    def model(self, *, light: bool, seed: int) -> Any:
        """The finished onnx.ModelProto, checked."""
        onnx = require_onnx()
        require_onnx("checker")
        graph = self.helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, initializer=self.initializers
        )
        model = self.helper.make_model(
            graph, opset_imports=[self.helper.make_opsetid("", _OPSET)], producer_name="dnnplan"
        )
        model.ir_version = _IR_VERSION
        if not light:
            seed_weights(model, seed=seed, source=self.name)
        onnx.checker.check_model(model)
        return model
