"""A search for networks that calls predictor and mapper for every candidate.

    python -m examples.nas_loop --candidates 1000

A candidate is a chain of blocks with a width, a depth and a kernel for each. A predictor says how long its layers take
on each device, the mapper where they run; the candidate with the most work (a stand-in for accuracy) within the latency
that was asked for is the best. The predictor is that of a costs folder (`--costs`, what `dnnplan train` wrote), or
rooflines of the two devices where none is given.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dnnplan
from dnnplan.costs.filled import CostSource, analytic_source, fill_costs, read_costs
from dnnplan.instances import Device, Instance, Layer, Link, Model, Platform, Tensor

WIDTHS, DEPTHS, KERNELS, BLOCKS, SIDE = (16, 24, 32, 48, 64, 96), (1, 2, 3), (1, 3, 5), 5, 56
PLATFORM = Platform(
    name="phone",
    devices=(
        Device(name="cpu", peak_flops={"float32": 3e10}),
        Device(name="npu", peak_flops={"float32": 4e11}),
    ),
    links=(Link(name="dma", source="cpu", target="npu", bandwidth=8e9, latency=2e-5),),
)
ROOFLINES: dict[str, CostSource] = {
    "cpu": analytic_source({"kind": "roofline", "peak": 3e10, "bandwidth": 1.2e10, "overhead": 1e-5}),
    "npu": analytic_source({"kind": "roofline", "peak": 4e11, "bandwidth": 2.5e10, "overhead": 8e-5}),
}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network of the search space: width, depth and kernel of each block."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search has come to.

    Parameters
    ----------
    best, work, latency
        The best candidate, its FLOP, and the seconds of its plan; None and infinite: no candidate is fast enough.
    tried, seconds
        Candidates, and wall time of all of them.
    """

    best: Candidate | None
    work: float
    latency: float
    tried: int
    seconds: float


def drawn(rng: np.random.Generator) -> Candidate:
    """A random candidate."""
    return Candidate(
        widths=tuple(map(int, np.sort(rng.choice(WIDTHS, BLOCKS)))),
        depths=tuple(map(int, rng.choice(DEPTHS, BLOCKS))),
        kernels=tuple(map(int, rng.choice(KERNELS, BLOCKS))),
    )


def network(candidate: Candidate) -> Model:
    """The layers of a candidate: convolutions, each block at half of the resolution of the one before."""
    layers: list[Layer] = []
    tensors: list[Tensor] = []
    channels, side = 3, SIDE
    before: str | None = None
    shape = zip(candidate.widths, candidate.depths, candidate.kernels, strict=True)
    for block, (width, depth, kernel) in enumerate(shape):
        side = max(1, SIDE >> block)
        for number in range(depth):
            name = f"b{block}c{number}"
            weights = 4 * width * channels * kernel**2
            flops = 2.0 * side**2 * width * channels * kernel**2
            layers.append(Layer(name=name, op="Conv", flops=flops, weight_bytes=weights))
            size = 4 * side**2 * channels
            tensors.append(Tensor(name=f"into-{name}", source=before, targets=(name,), bytes=size))
            channels, before = width, name
    tensors.append(Tensor(name="out", source=before, bytes=4 * side**2 * channels, output=True))
    return Model(name="candidate", layers=tuple(layers), tensors=tuple(tensors))


def latency_of(model: Model, sources: Mapping[str, CostSource]) -> float:
    """Predict the layers on each device, and map them: seconds of the plan."""
    costs = fill_costs(Instance(models=(model,), platform=PLATFORM), sources)
    result = dnnplan.solve(costs.instance, "heft", time_limit=1.0, workers=1)
    return math.inf if result.objective.value is None else result.objective.value


def search(
    candidates: int,
    *,
    most_seconds: float = 0.004,
    seed: int = 0,
    sources: Mapping[str, CostSource] = ROOFLINES,
) -> Found:
    """Draw candidates, and keep the one with the most work among those that are fast enough."""
    rng, began = np.random.default_rng(seed), time.perf_counter()
    best, most, least = None, 0.0, math.inf
    for _ in range(candidates):
        candidate = drawn(rng)
        model = network(candidate)
        work = sum(float(layer.flops) for layer in model.layers)
        # Predicted and mapped even with too little work: what a candidate costs does not depend on luck.
        latency = latency_of(model, sources)
        if work > most and latency <= most_seconds:
            best, most, least = candidate, work, latency
    return Found(best=best, work=most, latency=least, tried=candidates, seconds=time.perf_counter() - began)


def main() -> None:
    """Search, and say what was found and how long a candidate took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.004, metavar="S")
    parser.add_argument(
        "--costs", type=Path, metavar="FOLDER", help="a costs folder with a trained predictor"
    )
    asked = parser.parse_args()
    sources = ROOFLINES if asked.costs is None else read_costs(asked.costs)
    found = search(asked.candidates, most_seconds=asked.latency, sources=sources)
    print(f"{found.tried} candidates, {1e3 * found.seconds / found.tried:.2f} ms each")
    if found.best is None:
        print(f"none within {asked.latency:g} s")
    else:
        print(f"best: {found.work / 1e9:.2f} GFLOP in {1e3 * found.latency:.2f} ms, {found.best}")


if __name__ == "__main__":
    main()
