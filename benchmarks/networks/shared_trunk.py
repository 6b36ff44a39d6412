"""Two networks for two tasks on one image whose first layers have the same weights."""

from __future__ import annotations

from typing import Any

from benchmarks.networks.builder import NetworkBuilder
from benchmarks.networks.residual import stage, stem


def build_shared_trunk_pair(
    *, image: int = 64, classes: tuple[int, int] = (10, 2), light: bool = False, seed: int = 0
) -> tuple[Any, Any]:
    """Two models: the same stem and two residual stages, then a stage and a classifier of their own.

    Constants of the trunk are named ``trunk_...`` in both models and are equal; those of the heads are named
    after the task and differ.
    """
    first = _network("first", image, classes[0], light=light, seed=seed)
    second = _network("second", image, classes[1], light=light, seed=seed)
    return first, second


class _Scoped(NetworkBuilder):
    """A builder whose names begin with the part of the network that they belong to."""

    scope = "trunk"

    def unique(self, stem: str) -> str:
        prefix = f"{self.scope}_"
        return super().unique(stem if stem.startswith(prefix) else prefix + stem)


def _network(task: str, image: int, classes: int, *, light: bool, seed: int) -> Any:
    net = _Scoped(f"shared_trunk_{task}")
    value = stem(net, net.input("image", [1, 3, image, image]), 3, 16)
    value = stage(net, value, 16, 16, blocks=2, stride=1)
    value = stage(net, value, 16, 32, blocks=2, stride=2)
    net.scope = task
    value = stage(net, value, 32, 64, blocks=1, stride=2)
    net.output(net.classifier(value, 64, classes), "probabilities", [1, classes])
    return net.model(light=light, seed=seed)
