"""Networks in layer groups on GPU and DLA: the model of HaX-CoNN, with and without its static slow-down."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.data import data_files, data_folder
from dnnplan.instances import Instance
from dnnplan.instances.files import read_instance

SUMMARY = "GoogleNet and AlexNet in layer groups on GPU and DLA, at most one switch a network: auto"

FOLDER = "hax_conn"
FILE = "layer_groups.csv"
SECONDS = 10.0
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet+alexnet": {"switches": 1},
    "googlenet+alexnet-any-switches": {},
    "googlenet+alexnet-slowed": {"switches": 1, "slowdown": "static"},
    "googlenet": {"networks": "googlenet", "switches": 1},
    "alexnet": {"networks": "alexnet", "switches": 1},
}
OPTIMA = {"googlenet+alexnet": 2.52e-3, "googlenet+alexnet-slowed": 4.84844e-3}
"""Seconds, to the digits given: optima of the model, from a model in OR-Tools of its own."""


def cases() -> Iterator[Case]:
    """Auto on both networks together and alone."""
    if data_files(f"{FOLDER}/{FILE}"):
        for name in OPTIONS:
            yield Case(instance=name, build=partial(build, name), solver="auto", time_limit=SECONDS)


def build(name: str) -> Instance:
    """The instance of a name."""
    return read_instance(data_folder() / FOLDER / FILE, **OPTIONS[name])


def references(instance: str) -> dict[str, float]:
    """``gpu serial``: everything on the GPU, one after the other; and the optimum where it is recorded."""
    latency = build(instance).costs.latency
    serial = sum(row["gpu"] for groups in latency.values() for row in groups.values())
    return {"gpu serial": serial} | ({"optimum": OPTIMA[instance]} if instance in OPTIMA else {})
