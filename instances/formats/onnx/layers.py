"""From groups of nodes to the layers and tensors of a model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dnnplan.instances.formats.onnx.flops import FlopCounter
from dnnplan.instances.formats.onnx.fusion import Group, Readers, is_tail, is_view
from dnnplan.instances.formats.onnx.structure import printable, unique
from dnnplan.instances.formats.onnx.values import Graph, Node
from dnnplan.instances.model import Layer, Tensor

# Inputs that say how a node works rather than what it works on: runtimes read them when they compile.
_SETTINGS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("Reshape", "Expand", "Tile", "Pad", "Squeeze", "Unsqueeze", "Split", "TopK", "CumSum"), (1,)
    ),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"), (1,)),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), (1,)),
    **dict.fromkeys(("Clip", "Dropout"), (1, 2)),
    "Slice": (1, 2, 3, 4),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
    "OneHot": (1, 2),
}
_WINDOWED = frozenset(
    {
        *("Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "DeformConv"),
        *("MaxPool", "AveragePool", "LpPool"),
    }
)
_COPIED = ("auto_pad", "axis", "direction", "equation", "hidden_size", "mode", "perm", "q_num_heads", "size")


class LayerBuilder:
    """Makes the layers and tensors of one model.

    Attributes
    ----------
    weight_readers
        Layers that read each constant.
    """

    def __init__(self, graph: Graph, groups: list[Group]) -> None:
        self.graph = graph
        self.groups = groups
        self.counter = FlopCounter(graph)
        self.flops = {node.index: self.counter.count(node) for group in groups for node in group.nodes}
        self.readers = Readers(graph, [node for group in groups for node in group.nodes])
        self.main = [self._main_node(group) for group in groups]
        self.layer_of = {
            node.index: main.name
            for group, main in zip(groups, self.main, strict=True)
            for node in group.nodes
        }
        self.weight_readers: dict[str, list[str]] = {}
        for group, main in zip(groups, self.main, strict=True):
            for name in self._weights(group):
                self.weight_readers.setdefault(name, []).append(main.name)

    def _main_node(self, group: Group) -> Node:
        """The node that a layer is named after: the one with most work among those that are no tails."""
        heads = [node for node in group.nodes if not is_tail(node)]
        if not heads:
            heads = [node for node in group.nodes if not is_view(node, self.graph)][:1] or group.nodes[:1]
        return max(heads, key=lambda node: self.flops[node.index])

    def _weights(self, group: Group) -> list[str]:
        """Names of the constants that a layer reads as data, each once."""
        names: dict[str, None] = {}
        for node in group.nodes:
            settings = _SETTINGS.get(node.op, ()) if not node.domain else ()
            names.update(
                (n, None) for position, n in enumerate(node.inputs) if n and position not in settings
            )
            names.update((n, None) for n in node.captured)
        return [name for name in names if name in self.graph.constants]

    def model_dtype(self) -> str:
        """The data type of most of the numbers that layers read: weights, and values between layers."""
        bits: Counter[str] = Counter()
        for name in (*self.weight_readers, *self.readers.readers):
            value = self.graph.value(name)
            if value.shape is not None and value.dtype_name not in ("undefined", "string", "bool"):
                bits[value.dtype_name] += value.bytes
        return max(bits, key=lambda dtype: (bits[dtype], dtype), default="float32")

    def layers(self, dtype: str) -> tuple[Layer, ...]:
        """The layers, in topological order."""
        return tuple(
            self._layer(group, main, dtype) for group, main in zip(self.groups, self.main, strict=True)
        )

    def _layer(self, group: Group, main: Node, dtype: str) -> Layer:
        weights = self._weights(group)
        return Layer(
            name=main.name,
            op=main.op,
            flops=sum(self.flops[node.index] for node in group.nodes),
            weight_bytes=sum(self.graph.weight_bytes(name) for name in weights)
            + sum(node.hidden_weight_bytes for node in group.nodes),
            attributes=self._attributes(group, main, weights, dtype),
        )

    def _attributes(self, group: Group, main: Node, weights: list[str], dtype: str) -> dict[str, Any]:
        inputs = [self.graph.value(name) for name in self.readers.varying(main)]
        outputs = [self.graph.value(name) for name in self.readers.live(group.nodes) or main.writes]
        found: dict[str, Any] = {
            "onnx_nodes": [node.name for node in group.nodes],
            "input_shapes": [_shape_list(value.shape) for value in inputs],
            "output_shapes": [_shape_list(value.shape) for value in outputs],
            **self._window(main),
        }
        found.update((key, main.attributes[key]) for key in _COPIED if key in main.attributes)
        fused = [node.op for node in group.nodes if node is not main]
        if fused:
            found["fused"] = fused
        if main.domain:
            found["domain"] = main.domain
        own = [value.dtype_name for value in outputs if value.dtype]
        if own and own[0] != dtype:
            found["dtype"] = own[0]
        shared = [printable(name) for name in weights if len(self.weight_readers[name]) > 1]
        if shared:
            found["shared_weights"] = shared
        return found

    def _window(self, main: Node) -> dict[str, Any]:
        """Kernel, strides, pads, dilations and groups of convolutions and pooling, defaults filled in."""
        if main.op not in _WINDOWED or main.domain:
            return {}
        pool = main.op.endswith("Pool")
        names = main.inputs[3 if main.op == "QLinearConv" else 1 :]
        weight = self.graph.value(names[0]).shape if names and not pool else None
        kernel = _integers(main, "kernel_shape") or list((weight or ())[2:])
        found: dict[str, Any] = {
            "kernel": kernel,
            "strides": _integers(main, "strides") or [1] * len(kernel),
            "pads": _integers(main, "pads") or [0] * (2 * len(kernel)),
            "dilations": _integers(main, "dilations") or [1] * len(kernel),
        }
        if not pool:
            found["group"] = main.attributes.get("group", 1)
            found["weight_shape"] = _shape_list(weight)
        return found

    def crossing(self) -> dict[str, tuple[str, ...]]:
        """Values that pass from one layer to another, and the model's inputs and outputs, with their readers.

        Values inside a layer, unread side outputs and constants are not among them.
        """
        names = list(self.graph.inputs)
        names += [name for group in self.groups for name in self.readers.live(group.nodes)]
        found = {}
        for name in names:
            own = self._source(name)
            reading = dict.fromkeys(self.layer_of[reader] for reader in self.readers.readers.get(name, ()))
            targets = tuple(layer for layer in reading if layer != own)
            if targets or name in self.readers.outputs:
                found[name] = targets
        return found

    def _source(self, name: str) -> str | None:
        """The layer that makes a value; None for inputs of the model."""
        node = self.readers.producer.get(name)
        return None if node is None else self.layer_of[node]

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors of the model: one for each value that crosses a border between layers."""
        taken: set[str] = set()
        return tuple(
            Tensor(
                name=unique(printable(name) or "tensor", taken),
                source=self._source(name),
                targets=targets,
                bytes=self.graph.value(name).bytes,
                output=name in self.readers.outputs,
            )
            for name, targets in self.crossing().items()
        )


def _shape_list(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


def _integers(node: Node, name: str) -> list[int]:
    """A list of whole numbers among the attributes of a node; empty where there is none."""
    value = node.attributes.get(name)
    return value if isinstance(value, list) and all(isinstance(item, int) for item in value) else []
