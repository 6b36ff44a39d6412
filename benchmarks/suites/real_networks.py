"""Real networks that share one phone, alone and in mixtures: how far from the optimum, and how soon."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from dnnplan.instances.catalogue import load_bundled

SUMMARY = "the light ONNX networks together on phone-soc: baseline, heft and auto"

PAIR = "phone/resnet50+inception-v1"
FOUR = "phone/resnet50+inception-v1+densenet121+shufflenet"
NINE = "phone/alexnet+densenet121+inception-v1+inception-v2+resnet50+shufflenet+squeezenet+vgg19+zfnet512"
LIMITS: dict[str, float] = {
    PAIR: 20.0,
    FOUR: 60.0,
    NINE: 60.0,
    "phone/squeezenet": 20.0,
    "phone/densenet121": 60.0,
    "phone/resnet50+inception-v1+squeezenet+shufflenet": 60.0,
    "phone/resnet50+resnet50+resnet50+inception-v1+inception-v1+inception-v2+inception-v2": 60.0,
}
"""Seconds that `auto` gets: those of the targets for the first three, and what is comparable."""
HEURISTICS = ("compute_first", "heft")
HEURISTIC_SECONDS = 10.0


def cases() -> Iterator[Case]:
    """Baseline, heft and auto on every mixture."""
    for name in LIMITS:
        yield from mixture(name)


def mixture(name: str) -> Iterator[Case]:
    """The cases of one mixture."""
    build = partial(load_bundled, name)
    for solver in HEURISTICS:
        yield Case(instance=name, build=build, solver=solver, time_limit=HEURISTIC_SECONDS)
    yield Case(instance=name, build=build, solver="auto", time_limit=LIMITS[name])
