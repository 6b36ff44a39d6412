"""A vision transformer: matrix products, softmax, layer normalisation, GELU."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.networks.builder import NetworkBuilder


def build_vit(
    *,
    image: int = 224,
    patch: int = 16,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    classes: int = 1000,
    light: bool = False,
    seed: int = 0,
    batch: int | str = 1,
) -> Any:
    """A stack of `depth` pre-norm encoder blocks over the patches of an image, averaged for the classifier.

    The defaults are those of DeiT-tiny (Touvron et al., ICML 2021), without its class token.
    """
    net = NetworkBuilder("vit")
    tokens = (image // patch) ** 2
    value = net.input("image", [batch, 3, image, image])
    weight = net.weight("patch_w", width, 3, patch, patch)
    value = net.node("Conv", value, weight, kernel_shape=[patch] * 2, strides=[patch] * 2)
    value = net.node("Reshape", value, net.integers(0, width, tokens))
    value = net.node("Transpose", value, perm=[0, 2, 1])
    value = net.node("Add", value, net.weight("position", 1, tokens, width))
    for _ in range(depth):
        value = net.node("Add", value, _attention(net, _normalise(net, value, width), width, heads))
        value = net.node("Add", value, _perceptron(net, _normalise(net, value, width), width))
    value = net.node("ReduceMean", _normalise(net, value, width), net.integers(1), keepdims=0)
    value = net.node("Softmax", net.linear(value, width, classes))
    net.output(value, "probabilities", [batch, classes])
    return net.model(light=light, seed=seed)


def _normalise(net: NetworkBuilder, value: str, width: int) -> str:
    scale, bias = net.weight("norm_scale", width), net.weight("norm_bias", width)
    return net.node("LayerNormalization", value, scale, bias, axis=-1)


def _attention(net: NetworkBuilder, value: str, width: int, heads: int) -> str:
    """Multi-head self-attention, written out as exporters write it."""

    def split(perm: list[int]) -> str:
        part = net.node("Reshape", net.linear(value, width, width), net.integers(0, 0, heads, width // heads))
        return net.node("Transpose", part, perm=perm)

    query, key, content = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
    scores = net.node("Mul", net.node("MatMul", query, key), net.scalar(1 / math.sqrt(width // heads)))
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), content)
    joined = net.node("Reshape", net.node("Transpose", mixed, perm=[0, 2, 1, 3]), net.integers(0, 0, width))
    return net.linear(joined, width, width)


def _perceptron(net: NetworkBuilder, value: str, width: int) -> str:
    return net.linear(net.node("Gelu", net.linear(value, width, 4 * width)), 4 * width, width)
