"""Real networks that share one platform, alone and in mixtures: how far from the optimum, and how soon."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from dnnplan.instances.catalogue import load_bundled

SUMMARY = (
    "the nine light ONNX networks in mixtures of 39 to 1,971 layers on two platforms: baseline, heft and auto"
)

ALL_NINE = "alexnet+densenet121+inception-v1+inception-v2+resnet50+shufflenet+squeezenet+vgg19+zfnet512"
MIXTURES: dict[str, str] = {
    "squeezenet": "squeezenet",
    "densenet121": "densenet121",
    "pair": "resnet50+inception-v1",
    "pair and two small": "resnet50+inception-v1+squeezenet+shufflenet",
    "four": "resnet50+inception-v1+densenet121+shufflenet",
    "wide and shallow": "vgg19+alexnet+zfnet512",
    "seven": "resnet50+resnet50+resnet50+inception-v1+inception-v1+inception-v2+inception-v2",
    "nine": ALL_NINE,
    "small ones": "+".join(["inception-v2"] * 4 + ["squeezenet"] * 4),
    "deep ones": "+".join(["shufflenet"] * 3 + ["densenet121"] * 2 + ["resnet50"] * 2),
    "nine, three times": "+".join([ALL_NINE] * 3),
}
PLATFORMS = ("phone", "jetson")
PAIR, FOUR, NINE = (f"phone/{MIXTURES[name]}" for name in ("pair", "four", "nine"))
PAIR_SECONDS, SECONDS = 20.0, 60.0
HEURISTICS = ("compute_first", "heft")
HEURISTIC_SECONDS = 10.0


def cases() -> Iterator[Case]:
    """Baseline, heft and auto on every mixture."""
    for platform in PLATFORMS:
        for networks in MIXTURES.values():
            yield from mixture(f"{platform}/{networks}")


def mixture(name: str) -> Iterator[Case]:
    """The cases of one mixture."""
    build = partial(load_bundled, name)
    for solver in HEURISTICS:
        yield Case(instance=name, build=build, solver=solver, time_limit=HEURISTIC_SECONDS)
    limit = PAIR_SECONDS if name == PAIR else SECONDS
    yield Case(instance=name, build=build, solver="auto", time_limit=limit)
