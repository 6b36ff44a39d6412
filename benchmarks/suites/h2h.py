"""The suite of H2H: its four steps and auto on six models at four bandwidths, with cross edges, with contention."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case, Measurement
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.h2h.names import H2H_BANDWIDTHS, H2H_LAYERS

SUMMARY = "six multi-modal models on twelve accelerators, four bandwidths: the steps of H2H and auto"

STEPS = ("compute_first", "h2h_compute", "h2h_weights", "h2h_activations", "h2h")
STEP_SECONDS, SECONDS = 20.0, 60.0
NAMES = tuple(f"h2h/{model}-{bandwidth}" for model in H2H_LAYERS for bandwidth in H2H_BANDWIDTHS)
CROSS = tuple(f"{name}-cross" for name in NAMES if "cnn-lstm" not in name)
CONTENTION = tuple(
    f"h2h/{model}-{bandwidth}-contention"
    for model in ("vlocnet", "casia-surf", "facebag", "mocap")
    for bandwidth in ("0.125", "1.25")
)
PRINTED = Measurement(name="h2h-printed-rows", module="benchmarks.h2h_printed", seconds=60.0)


def cases() -> Iterator[Case | Measurement]:
    """The printed rows; every step and auto on the suite; auto on its variants."""
    yield PRINTED
    for name in NAMES:
        yield from row(name, (*STEPS, "auto"))
    for name in (*CROSS, *CONTENTION):
        yield from row(name, ("h2h_activations", "h2h", "auto"))


def row(name: str, solvers: tuple[str, ...]) -> Iterator[Case]:
    """Some solvers on one instance."""
    for solver in solvers:
        limit = SECONDS if solver == "auto" else STEP_SECONDS
        yield Case(instance=name, build=partial(load_bundled, name), solver=solver, time_limit=limit)
