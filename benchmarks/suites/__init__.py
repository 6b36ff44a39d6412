"""The suites by name. To add one: a module with `SUMMARY` and `cases()`, and one line here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from benchmarks.case import Case, Measurement
from dnnplan.instances import InputError

SUITES: dict[str, str] = {
    "selection": "benchmarks.suites.selection",
    "smoke": "benchmarks.suites.smoke",
    "harness": "benchmarks.suites.harness",
    "real-networks": "benchmarks.suites.real_networks",
    "energy": "benchmarks.suites.energy",
    "memory": "benchmarks.suites.memory",
    "scale": "benchmarks.suites.scale",
    "saga": "benchmarks.suites.saga",
    "auckland": "benchmarks.suites.auckland",
    "hetero-dag": "benchmarks.suites.hetero_dag",
    "fjsp": "benchmarks.suites.fjsp",
    "device-placement": "benchmarks.suites.device_placement",
    "hax-conn": "benchmarks.suites.hax_conn",
    "h2h": "benchmarks.suites.h2h",
    "rates": "benchmarks.suites.rates",
    "antler": "benchmarks.suites.antler",
    "fronts": "benchmarks.suites.fronts",
    "sharing-scale": "benchmarks.suites.sharing_scale",
    "sop": "benchmarks.suites.sop",
    "sop-long": "benchmarks.suites.sop_long",
    "conditional": "benchmarks.suites.conditional",
    "choosing": "benchmarks.suites.choosing",
    "ssp": "benchmarks.suites.ssp",
    "tasks": "benchmarks.suites.tasks",
    "predictors": "benchmarks.suites.predictors",
    "this-machine": "benchmarks.suites.this_machine",
    "serving": "benchmarks.suites.serving",
    "replan": "benchmarks.suites.replan",
    "joint": "benchmarks.suites.joint",
    "deploy": "benchmarks.suites.deploy",
    "networks": "benchmarks.suites.networks",
    "report": "benchmarks.suites.report",
    "embedding": "benchmarks.suites.embedding",
    "small": "benchmarks.suites.small",
    "generated": "benchmarks.suites.generated",
    "adversarial": "benchmarks.suites.adversarial",
    "limits": "benchmarks.suites.limits",
    "speed": "benchmarks.suites.speed",
}


def suite_names() -> tuple[str, ...]:
    """Names of all suites."""
    return tuple(SUITES)


def suite_summary(name: str) -> str:
    """What a suite is for, in a line."""
    return str(importlib.import_module(_module(name)).SUMMARY)


def suite_cases(name: str) -> Iterator[Case | Measurement]:
    """The cases of a suite in the order in which they are run.

    Raises
    ------
    InputError
        There is no such suite.
    """
    yield from importlib.import_module(_module(name)).cases()


def suite_seconds(name: str) -> float:
    """Sum of the time limits of a suite: how long it can take, start-up of processes aside."""
    return sum(c.seconds if isinstance(c, Measurement) else c.time_limit for c in suite_cases(name))


def _module(name: str) -> str:
    if name not in SUITES:
        raise InputError(f"{name}: no such suite, expected one of {', '.join(SUITES)}")
    return SUITES[name]
