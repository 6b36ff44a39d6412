"""MobileNetV2: depthwise convolutions and inverted residuals."""

from __future__ import annotations

from typing import Any

from benchmarks.networks.builder import NetworkBuilder

# Expansion, output channels, repeats, stride of the first: table 2 of Sandler et al. (CVPR 2018).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def build_mobilenet_v2(
    *, image: int = 224, classes: int = 1000, light: bool = False, seed: int = 0, batch: int | str = 1
) -> Any:
    """MobileNetV2 of width 1 for square images of side `image`.

    About 0.30 GMAC and 3.5 million parameters at 224.
    """
    net = NetworkBuilder("mobilenet_v2")
    value = net.input("image", [batch, 3, image, image])
    limits = (net.scalar(0.0), net.scalar(6.0))

    def convolve(value: str, channels: int, filters: int, kernel: int, **options: int) -> str:
        value = net.conv(value, channels, filters, kernel, **options)
        return net.node("Clip", net.batch_norm(value, filters), *limits)

    value, channels = convolve(value, 3, 32, 3, stride=2), 32
    for expansion, filters, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            wide = channels * expansion
            inner = convolve(value, channels, wide, 1) if expansion > 1 else value
            inner = convolve(inner, wide, wide, 3, stride=stride, group=wide)
            inner = net.batch_norm(net.conv(inner, wide, filters, 1), filters)
            value = net.node("Add", value, inner) if stride == 1 and channels == filters else inner
            channels = filters
    value = convolve(value, channels, 1280, 1)
    net.output(net.classifier(value, 1280, classes), "probabilities", [batch, classes])
    return net.model(light=light, seed=seed)
