"""The real networks together, for energy and for the energy-delay product."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.suites.real_networks import MIXTURES, PLATFORMS
from dnnplan.instances.catalogue import load_bundled

SUMMARY = "mixtures of the light ONNX networks with the objectives energy and edp: heft and auto"

OBJECTIVES = ("energy", "edp")
CHOSEN = ("pair", "four", "seven", "nine")
SECONDS = {"heft": 10.0, "auto": 60.0}


def cases() -> Iterator[Case]:
    """Both objectives on every chosen mixture."""
    for platform in PLATFORMS:
        for mixture in CHOSEN:
            name = f"{platform}/{MIXTURES[mixture]}"
            for objective in OBJECTIVES:
                for solver, seconds in SECONDS.items():
                    yield Case(
                        instance=name,
                        build=partial(load_bundled, name),
                        solver=solver,
                        time_limit=seconds,
                        objective=objective,
                    )
