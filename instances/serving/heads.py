"""Exits added to a network: a small classifier behind layers of one's choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from dnnplan.instances.errors import InstanceError
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.wording import Report, show, unknown


def with_exits(model: Model, exits: Mapping[str, str], classes: int) -> Model:
    """Add an exit behind layers: global average pooling and a fully connected layer (BranchyNet, 2016, has such heads).

    Parameters
    ----------
    model
        A network with shapes, as the ONNX reader makes it.
    exits
        Name of the exit behind each layer: ``{"layer 17": "early"}``. The layer writes one tensor, of shape
        (1, channels, sizes...).
    classes
        Numbers that the head computes.

    Returns
    -------
    Model
        The network with two more layers for each exit, ``early/pool`` and ``early/fc``; the latter carries
        `Layer.exit`. Their numbers are as large as those of the tensor they read.

    Raises
    ------
    InstanceError
        Unknown layers, layers without one tensor of known shape, names that exist: all at once.
    """
    report = Report()
    layers = {layer.name: layer for layer in model.layers}
    taken = {layer.exit for layer in model.layers}
    if classes < 1:
        report.add("classes", f"{classes}, expected at least 1")
    added: list[Layer] = []
    readers: dict[str, list[str]] = {}
    written: list[Tensor] = []
    for name, label in exits.items():
        if name not in layers:
            report.add("exits", unknown("layer", name, layers))
            continue
        if label in taken or f"{label}/pool" in layers or f"{label}/fc" in layers:
            report.add("exits", f"{show(label)} is already the name of an exit, or of layers, of the network")
        taken.add(label)
        trunk = _trunk(model, layers[name], report)
        if trunk is None or report.problems:
            continue
        tensor, shape = trunk
        head, between = _head(label, shape, tensor.bytes / math.prod(shape), classes)
        added += head
        written += between
        readers.setdefault(tensor.name, []).append(head[0].name)
    if report.problems:
        raise InstanceError(problems=report.problems, source=f"model {model.name}")
    tensors = tuple(replace(t, targets=(*t.targets, *readers.get(t.name, ()))) for t in model.tensors)
    return replace(model, layers=(*model.layers, *added), tensors=(*tensors, *written))


def _trunk(model: Model, layer: Layer, report: Report) -> tuple[Tensor, Sequence[int]] | None:
    """The tensor that a layer writes, and its shape."""
    tensors = [tensor for tensor in model.tensors if tensor.source == layer.name]
    shapes = layer.attributes.get("output_shapes")
    shape = shapes[0] if isinstance(shapes, list | tuple) and len(shapes) == 1 else None
    if (
        len(tensors) != 1
        or not isinstance(shape, list | tuple)
        or len(shape) < 2
        or not all(type(size) is int and size > 0 for size in shape)
    ):
        what = f"layer {show(layer.name)} writes {len(tensors)} tensors and has shapes {shapes}"
        report.add("exits", f"{what}; expected one tensor, and its shape (1, channels, sizes...)")
        return None
    return tensors[0], shape


def _head(
    label: str, shape: Sequence[int], number: float, classes: int
) -> tuple[list[Layer], tuple[Tensor, Tensor]]:
    """Layers and tensors of one exit; FLOP are counted as the ONNX reader does."""
    samples, channels = shape[0], shape[1]
    pool, fc = f"{label}/pool", f"{label}/fc"
    pooled, scores = [samples, channels], [samples, classes]
    layers = [
        Layer(
            name=pool,
            op="GlobalAveragePool",
            flops=math.prod(shape),
            attributes={**_shapes(list(shape), pooled), "fused": ["Flatten"]},
        ),
        Layer(
            name=fc,
            op="Gemm",
            flops=2 * samples * channels * classes,
            weight_bytes=_whole((channels + 1) * classes * number),
            attributes=_shapes(pooled, scores),
            exit=label,
        ),
    ]
    tensors = (
        Tensor(name=f"{label}/pooled", source=pool, targets=(fc,), bytes=_whole(samples * channels * number)),
        Tensor(name=label, source=fc, bytes=_whole(samples * classes * number), output=True),
    )
    return layers, tensors


def _shapes(read: list[int], written: list[int]) -> dict[str, Any]:
    return {"onnx_nodes": [], "input_shapes": [read], "output_shapes": [written]}


def _whole(size: float) -> float:
    """A number of bytes, as an integer where it is one."""
    return int(size) if float(size).is_integer() else size
