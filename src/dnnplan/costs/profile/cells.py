"""The cells of sampled networks: small groups of operators as they stand in networks, of random size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.profile.notation import INT64, Sketch, Value

SIZES = (7, 8, 13, 14, 16, 17, 27, 28, 32, 35, 52, 54, 55, 56, 64, 80, 110, 112, 128, 160, 224)
ACTIVATIONS = (
    "Relu",
    "Relu",
    "Relu",
    "Sigmoid",
    "HardSigmoid",
    "Clip",
    "HardSwish",
    "Tanh",
    "LeakyRelu",
    "Gelu",
)


GELU = 20
"""Version of the operator set that has the operator."""


class Draw:
    """Random sizes; maps mostly have the `side` of what the cell before left, if it left a map."""

    def __init__(self, rng: np.random.Generator, batch: int, side: int | None = None) -> None:
        self.rng = rng
        self.batch = batch
        self.side = side

    def chance(self, share: float) -> bool:
        """True with some probability."""
        return bool(self.rng.random() < share)

    def one_of(self, *values: int) -> int:
        """One of some numbers, all alike."""
        return int(values[self.rng.integers(len(values))])

    def text(self, *values: str) -> str:
        """One of some texts."""
        return values[self.rng.integers(len(values))]

    def between(self, low: int, high: int) -> int:
        """A whole number, uniform on the log scale."""
        return round(float(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def size(self, low: int = 7, high: int = 224) -> int:
        """The side of a map: mostly one that networks have."""
        if self.side is not None and low <= self.side <= high and self.chance(0.9):
            return self.side
        if self.chance(0.15):
            return self.between(low, high)
        return self.one_of(*(size for size in SIZES if low <= size <= high))

    def channels(self, low: int = 8, high: int = 2048) -> int:
        """Channels: mostly multiples of 16 or 8, some odd."""
        step = 16 if self.chance(0.7) else 8 if self.chance(0.7) else 1
        return max(step, round(self.between(low, high) / step) * step)

    def map(self, low: int = 16, high: int = 1024) -> tuple[int, int]:
        """Channels and side of a map: the larger the one, the smaller the other, as in networks."""
        size = self.size()
        return self.filters(size, low, high), size

    def filters(self, side: int, low: int, high: int) -> int:
        """Channels of a map of some side, so that it has at most about a million numbers, rarely three."""
        most = (3.3e6 if self.chance(0.1) else 1.1e6) / side**2
        return self.channels(low, int(min(high, max(low * 2, most))))


Build = Callable[[Sketch, Draw], Value]


@dataclass(frozen=True)
class Cell:
    """How to build a cell, and how often it is drawn."""

    build: Build
    weight: float


def activation(net: Sketch, value: Value, kind: str) -> Value:
    """An elementwise function."""
    if kind == "Clip":
        return net.node("Clip", value.shape, value, net.scalar(0.0), net.scalar(6.0))
    if kind == "Gelu" and net.opset < GELU:
        # As exporters spell it; the runtime makes one operator of it.
        shape, inner = value.shape, net.node("Div", value.shape, value, net.scalar(float(np.sqrt(2.0))))
        above = net.node("Add", shape, net.node("Erf", shape, inner), net.scalar(1.0))
        return net.node("Mul", shape, net.node("Mul", shape, value, above), net.scalar(0.5))
    return net.node(kind, value.shape, value)


def convolution(
    net: Sketch, draw: Draw, value: Value, filters: int, kernel: int, *, stride: int = 1, group: int = 1
) -> Value:
    """A convolution, and mostly a Relu."""
    found = net.conv(value, filters, kernel, stride=stride, group=group)
    if draw.chance(0.75):
        return net.node("Relu", found.shape, found)
    return activation(net, found, draw.text(*ACTIVATIONS)) if draw.chance(0.3) else found


def start(net: Sketch, draw: Draw) -> Value:
    """The first layers of a vision network: few channels, large kernel, pooling."""
    value = net.input(draw.batch, draw.one_of(1, 3, 3, 3, 3, 4), *[draw.size(64, 240)] * 2)
    kernel = draw.one_of(3, 3, 5, 7, 7, 11)
    value = convolution(net, draw, value, draw.channels(16, 112), kernel, stride=draw.one_of(1, 2, 2, 4))
    return net.pool("MaxPool", value, draw.one_of(2, 3), 2) if draw.chance(0.5) else value


def patches(net: Sketch, draw: Draw) -> Value:
    """The first layer of a vision transformer: a convolution of windows that do not overlap."""
    side = draw.one_of(4, 8, 14, 16, 16, 32)
    value = net.input(draw.batch, 3, *[side * draw.one_of(7, 8, 12, 14, 16)] * 2)
    filters = draw.channels(96, 768)
    weight, count = net.weight(filters, 3, side, side), value.shape[2] // side
    net.macs += draw.batch * filters * count**2 * 3 * side**2
    shape = (draw.batch, filters, count, count)
    value = net.node("Conv", shape, value, weight, kernel_shape=[side] * 2, strides=[side] * 2)
    return net.transpose(net.reshape(value, draw.batch, filters, count**2), 0, 2, 1)


def plain(net: Sketch, draw: Draw) -> Value:
    """Convolutions in a row, and pooling."""
    channels, size = draw.map(16, 512)
    value = net.input(draw.batch, channels, size, size)
    for _ in range(draw.one_of(1, 2, 2)):
        kernel = draw.one_of(1, 3, 3, 3, 5, 7)
        stride = 2 if draw.chance(0.15) else 1
        filters = draw.filters(value.shape[2], 16, 640)
        value = convolution(net, draw, value, filters, kernel, stride=stride)
    if draw.chance(0.5) and value.shape[2] >= 4:
        value = net.pool(draw.text("MaxPool", "AveragePool"), value, draw.one_of(2, 3), draw.one_of(1, 2, 2))
    return value


def bottleneck(net: Sketch, draw: Draw) -> Value:
    """Pointwise, spatial, pointwise convolutions, mostly with a residual sum."""
    channels, size = draw.map(16, 2048)
    inner = draw.channels(16, max(32, channels // 2))
    stride, kernel = (2 if draw.chance(0.2) else 1), draw.one_of(3, 3, 3, 5)
    value = net.node("Relu", (draw.batch, channels, size, size), net.input(draw.batch, channels, size, size))
    value = convolution(net, draw, value, channels, 1)
    body = convolution(net, draw, value, inner, 1)
    body = net.conv(convolution(net, draw, body, inner, kernel, stride=stride), channels, 1)
    if stride == 1:
        body = net.node("Add", body.shape, body, value)
    elif draw.chance(0.5):
        body = net.node("Add", body.shape, body, net.conv(value, channels, 1, stride=2))
    return net.node("Relu", body.shape, body)


def inverted(net: Sketch, draw: Draw) -> Value:
    """Expansion, depthwise convolution, projection; with squeeze and excitation at times."""
    channels, size = draw.map(8, 320)
    channels = min(channels, max(8, 300_000 // size**2 // 8 * 8))
    wide = channels * draw.one_of(1, 2, 3, 4, 6, 6)
    kind = draw.text("Relu", "Clip", "Clip", "HardSwish")
    stride = 2 if draw.chance(0.25) else 1
    value = net.conv(net.input(draw.batch, channels, size, size), channels, 1)
    body = activation(net, net.conv(value, wide, 1), kind)
    body = activation(net, net.conv(body, wide, draw.one_of(3, 3, 5), stride=stride, group=wide), kind)
    if draw.chance(0.25):
        body = squeeze(net, draw, body)
    body = net.conv(body, channels if stride == 1 else draw.channels(8, 320), 1)
    return net.node("Add", body.shape, body, value) if stride == 1 and draw.chance(0.7) else body


def squeeze(net: Sketch, draw: Draw, value: Value) -> Value:
    """Squeeze and excitation: channels scaled by what their means say."""
    batch, channels, *_ = value.shape
    mean = net.node("GlobalAveragePool", (batch, channels, 1, 1), value)
    hidden = net.conv(mean, max(8, channels // draw.one_of(4, 8, 16)), 1)
    gate = net.conv(net.node("Relu", hidden.shape, hidden), channels, 1)
    gate = net.node(draw.text("Sigmoid", "HardSigmoid"), gate.shape, gate)
    return net.node("Mul", value.shape, value, gate)


def branches(net: Sketch, draw: Draw) -> Value:
    """Convolutions of several sizes side by side, joined by channels."""
    channels, size = draw.map(32, 1024)
    value = net.conv(net.input(draw.batch, channels, size, size), channels, 1)
    parts = [convolution(net, draw, value, draw.filters(size, 16, 384), 1)]
    for kernel in (3, draw.one_of(3, 5)):
        inner = convolution(net, draw, value, draw.filters(size, 16, 192), 1)
        parts.append(convolution(net, draw, inner, draw.filters(size, 16, 384), kernel))
    pooled = net.pool(draw.text("MaxPool", "AveragePool"), value, 3, 1)
    parts.append(convolution(net, draw, pooled, draw.filters(size, 16, 128), 1))
    parts = parts[: draw.one_of(2, 3, 4)] if draw.chance(0.5) else parts
    joined = (draw.batch, sum(part.shape[1] for part in parts), size, size)
    value = net.node("Concat", joined, *parts, axis=1)
    return convolution(net, draw, value, draw.channels(16, 256), 1) if draw.chance(0.6) else value


def dense(net: Sketch, draw: Draw) -> Value:
    """Layers that read everything before them: normalisation that cannot be folded, convolutions, Concat."""
    channels, size = draw.map(32, 1024)
    value = net.conv(net.input(draw.batch, channels, size, size), channels, 1)
    for _ in range(draw.one_of(1, 2)):
        scale = [net.weight(value.shape[1]) for _ in range(4)]
        body = net.node("BatchNormalization", value.shape, value, *scale)
        body = net.conv(net.node("Relu", value.shape, body), draw.channels(32, 192), 1)
        body = net.conv(net.node("Relu", body.shape, body), draw.channels(12, 64), 3)
        joined = (draw.batch, value.shape[1] + body.shape[1], size, size)
        value = net.node("Concat", joined, value, body, axis=1)
    return value


def affine(net: Sketch, draw: Draw) -> Value:
    """Numbers scaled and shifted by channel, as normalisation is written by some exporters."""
    channels, size = draw.map(16, 1024)
    value = net.conv(net.input(draw.batch, channels, size, size), channels, 1)
    if draw.chance(0.7):
        # Behind a join they cannot become part of a convolution.
        other = net.node("Relu", value.shape, value)
        value = net.node("Concat", (draw.batch, 2 * channels, size, size), value, other, axis=1)
        channels *= 2
    for op in ("Mul", "Add"):
        weight = net.weight(channels, 1, 1)
        value = net.node(op, value.shape, value, weight)
    return net.node("Relu", value.shape, value)


def shuffled(net: Sketch, draw: Draw) -> Value:
    """Grouped convolutions and a shuffle of their channels."""
    group = draw.one_of(2, 3, 4, 8)
    channels, size = group * max(2, draw.between(16, 512) // group), draw.size(7, 56)
    value = net.conv(net.input(draw.batch, channels, size, size), channels, 1)
    body = convolution(net, draw, value, channels, draw.one_of(1, 1, 3), group=group)
    split = net.reshape(body, draw.batch, group, channels // group, size, size)
    body = net.reshape(net.transpose(split, 0, 2, 1, 3, 4), *body.shape)
    stride = draw.one_of(1, 1, 2)
    body = net.conv(body, channels, 3, stride=stride, group=channels)
    body = net.conv(body, channels, 1, group=group)
    if stride == 1:
        body = net.node(draw.text("Add", "Sum"), body.shape, body, value)
    else:
        pooled = net.pool("AveragePool", value, 3, 2)
        joined = (draw.batch, 2 * channels, *body.shape[2:])
        body = net.node("Concat", joined, pooled, body, axis=1)
    return net.node("Relu", body.shape, body)


def local_response(net: Sketch, draw: Draw) -> Value:
    """Normalisation over neighbouring channels."""
    channels, size = draw.channels(16, 256), draw.size(7, 112)
    value = convolution(net, draw, net.input(draw.batch, channels, size, size), channels, 1)
    net.macs += 60 * value.shape[0] * channels * size**2
    value = net.node("LRN", value.shape, value, size=draw.one_of(3, 5, 5, 5, 9), alpha=1e-4, beta=0.75)
    return net.pool("MaxPool", value, 3, 2) if draw.chance(0.5) else value


def head(net: Sketch, draw: Draw) -> Value:
    """The last layers of a vision network."""
    channels, size = draw.channels(64, 2048), draw.one_of(4, 5, 6, 7, 7, 8, 14)
    value = net.node("Relu", (draw.batch, channels, size, size), net.input(draw.batch, channels, size, size))
    value = net.conv(value, channels, 1) if draw.chance(0.3) else value
    pooled = (draw.batch, channels, 1, 1)
    if draw.chance(0.5):
        value = net.node("GlobalAveragePool", pooled, value)
    else:
        value = net.node("AveragePool", pooled, value, kernel_shape=[size] * 2, strides=[1, 1])
    value = net.gemm(net.reshape(value, draw.batch, channels), draw.one_of(10, 100, 200, 1000, 1000, 1000))
    return net.node("Softmax", value.shape, value)


def perceptron(net: Sketch, draw: Draw) -> Value:
    """Fully connected layers of one sample, with weights that no cache holds at the large end."""
    value = net.input(draw.batch, draw.between(64, 30_000 if draw.chance(0.4) else 4096))
    for _ in range(draw.one_of(1, 2)):
        value = net.gemm(value, draw.between(10, 4608))
        value = net.node("Relu", value.shape, value) if draw.chance(0.7) else value
    return value


def encoder(net: Sketch, draw: Draw) -> Value:
    """A block of a transformer: attention and a perceptron with normalisation before or after."""
    heads, part = draw.one_of(1, 2, 3, 4, 6, 8, 12), draw.one_of(32, 64, 64, 64)
    width, tokens = heads * part, draw.between(16, 384)
    value = net.input(draw.batch, tokens, width)
    value = net.node("Add", value.shape, value, net.weight(1, tokens, width))
    body = attention(net, draw, normalise(net, value), heads, part)
    value = net.node("Add", value.shape, value, body)
    return feed_forward(net, draw, value) if draw.chance(0.6) else value


def normalise(net: Sketch, value: Value) -> Value:
    """Normalisation over the last dimension."""
    width = value.shape[-1]
    return net.node("LayerNormalization", value.shape, value, net.weight(width), net.weight(width), axis=-1)


def attention(net: Sketch, draw: Draw, value: Value, heads: int, part: int) -> Value:
    """Multi-head self-attention, written out."""
    batch, tokens, width = value.shape

    def split(perm: tuple[int, ...]) -> Value:
        return net.transpose(net.reshape(net.linear(value, width), batch, tokens, heads, part), *perm)

    query, key, content = split((0, 2, 1, 3)), split((0, 2, 3, 1)), split((0, 2, 1, 3))
    scores = net.matmul(query, key)
    scores = net.node(draw.text("Mul", "Div"), scores.shape, scores, net.scalar(part**0.5))
    mixed = net.matmul(net.node("Softmax", scores.shape, scores, axis=-1), content)
    joined = net.reshape(net.transpose(mixed, 0, 2, 1, 3), batch, tokens, width)
    return net.linear(joined, width)


def feed_forward(net: Sketch, draw: Draw, value: Value) -> Value:
    """The perceptron of a transformer block."""
    width = value.shape[-1]
    hidden = net.linear(normalise(net, value), width * draw.one_of(2, 4, 4))
    hidden = net.node(draw.text("Gelu", "Gelu", "Relu", "Tanh"), hidden.shape, hidden)
    return net.node("Add", value.shape, value, net.linear(hidden, width))


def tokens_head(net: Sketch, draw: Draw) -> Value:
    """The end of a transformer: a mean over tokens and a classifier."""
    value = net.input(draw.batch, draw.between(16, 400), draw.channels(64, 768))
    value = normalise(net, value) if draw.chance(0.7) else value
    pooled = (draw.batch, value.shape[-1])
    value = net.node("ReduceMean", pooled, value, net.integers(1), keepdims=0)
    value = net.linear(value, draw.one_of(10, 100, 1000))
    return net.node("Softmax", value.shape, value)


def recurrent(net: Sketch, draw: Draw) -> Value:
    """An embedding or numbers, recurrent layers, a classifier of the last state."""
    length, features, hidden = draw.between(4, 128), draw.channels(16, 512), draw.channels(16, 512)
    if draw.chance(0.5):
        features, hidden = draw.one_of(32, 64, 128, 256, 512), draw.one_of(32, 64, 128, 256, 512)
    kind, directions = draw.text("LSTM", "LSTM", "GRU", "GRU", "RNN"), draw.one_of(1, 1, 2)
    if draw.chance(0.5):
        tokens = net.input(length, draw.batch, dtype=INT64)
        table = net.weight(draw.between(100, 20_000), features)
        value = net.node("Gather", (length, draw.batch, features), table, tokens, axis=0)
    else:
        value = net.input(length, draw.batch, features)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    net.macs += length * draw.batch * directions * gates * hidden * (features + hidden)
    weights = [(directions, gates * hidden, size) for size in (features, hidden)]
    states = net.node(
        kind,
        (length, directions, draw.batch, hidden),
        value,
        *(net.weight(*shape) for shape in weights),
        net.weight(directions, 2 * gates * hidden),
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
        outputs=2,
    )
    if draw.chance(0.5):
        joined = net.transpose(states, 0, 2, 1, 3)
        value = net.reshape(joined, length, draw.batch, directions * hidden)
        return net.linear(value, draw.channels(16, 256))
    last = Value(f"{states.name}_1", (directions, draw.batch, hidden))
    value = net.reshape(net.transpose(last, 1, 0, 2), draw.batch, directions * hidden)
    if directions == 1 and draw.chance(0.7):
        value = net.node("Squeeze", (draw.batch, hidden), last, net.integers(0))
    value = net.gemm(value, draw.between(2, 1000))
    return net.node("Softmax", value.shape, value)


def loose(net: Sketch, draw: Draw) -> Value:
    """Elementwise operators, pooling and copies of plain maps, as they stand outside blocked convolutions."""
    channels, size = draw.map(8, 512)
    value = net.input(draw.batch, channels, size, size)
    other = net.node("Relu", value.shape, value)
    value = net.node(draw.text("Add", "Mul", "Sub", "Sum", "Max"), value.shape, value, other)
    value = activation(net, value, draw.text(*ACTIVATIONS))
    if draw.chance(0.4):
        value = net.node("Concat", (draw.batch, 2 * channels, size, size), value, other, axis=1)
    if draw.chance(0.3):
        value = net.pool(draw.text("MaxPool", "AveragePool"), value, draw.one_of(2, 3), draw.one_of(1, 2))
    if draw.chance(0.3):
        value = net.transpose(value, 0, 2, 3, 1)
    elif draw.chance(0.3):
        value = net.node("GlobalAveragePool", (*value.shape[:2], 1, 1), value)
    if draw.chance(0.3):
        value = net.node("Flatten", (draw.batch, int(np.prod(value.shape[1:]))), value)
    return value


CELLS: dict[str, Cell] = {
    "start": Cell(start, 1.0),
    "patches": Cell(patches, 1.2),
    "plain": Cell(plain, 4.0),
    "bottleneck": Cell(bottleneck, 3.0),
    "inverted": Cell(inverted, 3.0),
    "branches": Cell(branches, 2.0),
    "dense": Cell(dense, 1.5),
    "affine": Cell(affine, 1.5),
    "shuffled": Cell(shuffled, 1.5),
    "local-response": Cell(local_response, 0.7),
    "head": Cell(head, 1.5),
    "perceptron": Cell(perceptron, 1.5),
    "encoder": Cell(encoder, 2.0),
    "tokens-head": Cell(tokens_head, 0.5),
    "recurrent": Cell(recurrent, 3.0),
    "loose": Cell(loose, 1.5),
}
"""The cells, by name; weights are how often each is drawn."""
