"""What `make report` shows: light real networks on four platforms, exact against heuristic, in three minutes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from dnnplan.instances.catalogue import load_bundled

SUMMARY = (
    "three minutes: light real networks on four platforms, exact against heuristic; `make report` shows it"
)

INSTANCES = (
    "mcu/squeezenet",
    "phone/squeezenet",
    "phone/densenet121",
    "workstation/resnet50+vgg19",
    "fpga/resnet50+alexnet",
    "phone/resnet50+inception-v1",
    "jetson/resnet50+inception-v1",
    "phone/resnet50+inception-v1+squeezenet+shufflenet",
)
SOLVERS = {"compute_first": 2.0, "heft": 2.0, "local_search": 3.0, "cpsat": 7.0, "auto": 7.0}


def cases() -> Iterator[Case]:
    """Heuristics before exact solvers on every instance, the smaller instances first."""
    for name in INSTANCES:
        for solver, seconds in SOLVERS.items():
            yield Case(instance=name, build=partial(load_bundled, name), solver=solver, time_limit=seconds)
