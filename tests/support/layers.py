"""Layers with the shapes that the ONNX reader gives them."""

from __future__ import annotations

import math
from typing import Any

from dnnplan.instances import Layer


def conv(name: str = "conv", *, fused: list[str] | None = None, **changes: Any) -> Layer:
    """A convolution of 3 x 3 with stride 2, 8 channels in, 16 out, on 9 x 11: 5 x 6 pixels out."""
    attributes: dict[str, Any] = {
        "input_shapes": [[1, 8, 9, 11]],
        "output_shapes": [[1, 16, 5, 6]],
        "kernel": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "dilations": [1, 1],
        "group": 1,
        "weight_shape": [16, 8, 3, 3],
    } | changes
    weight = attributes["weight_shape"]
    flops = 2 * math.prod(weight) * 30
    found = attributes if fused is None else attributes | {"fused": fused}
    return Layer(name=name, op="Conv", flops=flops, weight_bytes=4 * math.prod(weight), attributes=found)


def layer(op: str, flops: float, **attributes: Any) -> Layer:
    """A layer of any operator with the attributes that are given."""
    return Layer(name="x", op=op, flops=flops, attributes=attributes)
