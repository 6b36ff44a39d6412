"""Generated networks of every family and size, and every way in which plans execute."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from dnnplan.instances import Instance
from dnnplan.instances.platform import Execution

SUMMARY = "random networks of 50 to 200 layers: all families, ratios and execution settings"

FAMILIES = ("layered", "erdos", "series-parallel", "fork-join")
SIZES = (50, 100, 200)
SOLVERS = ("compute_first", "heft", "cpsat", "auto")
SECONDS = {"compute_first": 10.0, "heft": 10.0, "cpsat": 20.0, "auto": 20.0}
SEED = 11
SPECIAL: dict[str, dict[str, Any]] = {
    "ccr5": {"ccr": 5.0},
    "unrelated": {"spread": "range", "heterogeneity": 10.0},
    "links": {"execution": Execution(contention="links"), "shared_channel": True},
    "host": {
        "execution": Execution(staging="host", overlap=False, memory="static", weights="choice"),
        "memory_tightness": 0.5,
        "ccr": 0.5,
    },
    "live": {"execution": Execution(memory="live", weights="choice"), "memory_tightness": 0.5, "ccr": 0.5},
}
"""Variants of the layered network of 50 layers, by what is special about them."""


def cases() -> Iterator[Case]:
    """Every family in every size on four devices, and the variants."""
    for family in FAMILIES:
        for layers in SIZES:
            yield from _solvers(f"{family}-{layers}x4", partial(network, family, layers))
    for label, options in SPECIAL.items():
        yield from _solvers(f"layered-50x4-{label}", partial(network, "layered", 50, **options))


def network(family: str, layers: int, devices: int = 4, **options: Any) -> Instance:
    """One generated network of this suite."""
    from dnnplan.instances.generators import generate

    return generate(family, layers, devices=devices, seed=SEED, **options)


def _solvers(name: str, build: partial[Instance]) -> Iterator[Case]:
    for solver in SOLVERS:
        yield Case(instance=name, build=build, solver=solver, time_limit=SECONDS[solver])
