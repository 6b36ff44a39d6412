"""A residual network with a classifier after every stage."""

from __future__ import annotations

from typing import Any

from benchmarks.networks.builder import NetworkBuilder
from benchmarks.networks.residual import stage, stem


def build_early_exit_resnet(
    *,
    image: int = 32,
    filters: tuple[int, ...] = (16, 32, 64),
    blocks: int = 3,
    classes: int = 10,
    light: bool = False,
    seed: int = 0,
    batch: int | str = 1,
) -> Any:
    """ResNet for small images (He et al., CVPR 2016, section 4.2) with outputs ``exit_1``, ``exit_2``, ...

    The defaults are ResNet-20 and three exits, after BranchyNet (Teerapittayanon et al., ICPR 2016).
    """
    net = NetworkBuilder("early_exit_resnet")
    value = stem(net, net.input("image", [batch, 3, image, image]), 3, filters[0])
    channels = filters[0]
    for number, width in enumerate(filters, start=1):
        value = stage(net, value, channels, width, blocks=blocks, stride=1 if number == 1 else 2)
        channels = width
        net.output(net.classifier(value, width, classes), f"exit_{number}", [batch, classes])
    return net.model(light=light, seed=seed)
