"""Residual stages for small images, shared by the networks with exits and with a common trunk."""

from __future__ import annotations

from benchmarks.networks.builder import NetworkBuilder


def stem(net: NetworkBuilder, value: str, channels: int, filters: int) -> str:
    """A 3 x 3 convolution with batch normalisation and ReLU."""
    return net.node("Relu", net.batch_norm(net.conv(value, channels, filters, 3), filters))


def stage(net: NetworkBuilder, value: str, channels: int, filters: int, *, blocks: int, stride: int) -> str:
    """Basic residual blocks (He et al., CVPR 2016, figure 5 left), the first of them with `stride`."""
    for block in range(blocks):
        step = stride if block == 0 else 1
        inner = net.conv(value, channels, filters, 3, stride=step)
        inner = net.node("Relu", net.batch_norm(inner, filters))
        inner = net.batch_norm(net.conv(inner, filters, filters, 3), filters)
        if step != 1 or channels != filters:
            value = net.batch_norm(net.conv(value, channels, filters, 1, stride=step), filters)
        value = net.node("Relu", net.node("Add", inner, value))
        channels = filters
    return value
