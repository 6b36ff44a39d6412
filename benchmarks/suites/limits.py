"""Whether every solver keeps a time limit of one second, model building included."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.suites.generated import SPECIAL, network
from benchmarks.suites.real_networks import FOUR
from dnnplan.instances.catalogue import load_bundled
from dnnplan.solvers import solver_names

SUMMARY = "a time limit of 1 s on up to 500 layers: by how much each solver overruns it"

SECONDS = 1.0
MOST_SECONDS = 1.5
"""What is promised: half a second more than the limit."""


def cases() -> Iterator[Case]:
    """Every registered solver on every instance."""
    instances = {
        "layered-100x4": partial(network, "layered", 100),
        "layered-500x8": partial(network, "layered", 500, 8),
        "erdos-500x8-links": partial(network, "erdos", 500, 8, **SPECIAL["links"]),
        "layered-500x8-host": partial(network, "layered", 500, 8, **SPECIAL["host"]),
        "fork-join-500x4-live": partial(network, "fork-join", 500, 4, **SPECIAL["live"]),
        FOUR: partial(load_bundled, FOUR),
    }
    for name, build in instances.items():
        for solver in solver_names():
            yield Case(instance=name, build=build, solver=solver, time_limit=SECONDS)
