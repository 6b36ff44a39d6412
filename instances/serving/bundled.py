"""The bundled instances of serving: ``serving/resnet50-os32`` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Arrivals, Stream, Workload
from dnnplan.instances.serving.networks import EXIT_SHARES, early_exit_network
from dnnplan.instances.serving.npus import npu_platform

MAX_BATCH = 16
LOAD = 0.7
"""Share of the capacity that the streams take (`dnnplan.costs.serving.capacity`)."""
SLO_FACTOR = 4
"""Service-level objective by the latency of the whole network for one sample (ours)."""


class Served(NamedTuple):
    """One stream: its network, Poisson rate in samples/s, and service-level objective in seconds."""

    network: str
    rate: float
    slo: float


class Bundled(NamedTuple):
    """One instance: what it is, its layers and devices, its platform, and its streams by name."""

    what: str
    layers: int
    devices: int
    platform: str
    streams: Mapping[str, Served]


# Rates and objectives follow from tables of costs, which are made above this level: a test works them out again.
BUNDLED: dict[str, Bundled] = {
    "serving/resnet50-os32": Bundled(
        "ResNet-50 with three exits on a 32 x 32 output-stationary array, Poisson, load 0.7",
        79,
        1,
        "os32",
        {"camera": Served("resnet50", 168.0, 0.02427)},
    ),
    "serving/resnet50-ws128": Bundled(
        "ResNet-50 with three exits on a 128 x 128 weight-stationary array, Poisson, load 0.7",
        79,
        1,
        "ws128",
        {"camera": Served("resnet50", 1810, 0.005381)},
    ),
    "serving/inception-os32": Bundled(
        "Inception v1 with three exits on a 32 x 32 output-stationary array, Poisson, load 0.7",
        90,
        1,
        "os32",
        {"camera": Served("inception-v1", 378.7, 0.01035)},
    ),
    "serving/inception-ws128": Bundled(
        "Inception v1 with three exits on a 128 x 128 weight-stationary array, Poisson, load 0.7",
        90,
        1,
        "ws128",
        {"camera": Served("inception-v1", 2664, 0.002490)},
    ),
    "serving/two-models": Bundled(
        "ResNet-50 and Inception v1 (twice the samples) on one 128 x 128 array, Poisson, load 0.7",
        169,
        1,
        "ws128",
        {"camera": Served("resnet50", 767.4, 0.005381), "door": Served("inception-v1", 1534.8, 0.002490)},
    ),
    "serving/camera-dsp-npu": Bundled(
        "ResNet-50 with three exits on an NPU (32 x 32) and a DSP of half its size, Poisson, load 0.7 of the NPU",
        79,
        2,
        "dsp-npu",
        {"camera": Served("resnet50", 168.0, 0.02427)},
    ),
}


def serving_instance(name: str) -> Instance:
    """A bundled instance of serving by name.

    Raises
    ------
    MissingDependencyError
        The package `onnx` is not installed.
    """
    row = BUNDLED[name]
    networks = tuple(dict.fromkeys(served.network for served in row.streams.values()))
    return Instance(
        name=name,
        source="light ONNX networks with exits of our own; see docs/serving.md",
        platform=npu_platform(row.platform),
        models=tuple(early_exit_network(network) for network in networks),
        workload=Workload(
            streams=tuple(
                Stream(
                    name=label,
                    task=served.network,
                    arrivals=Arrivals(kind="poisson", rate=served.rate),
                    slo=served.slo,
                    exits=EXIT_SHARES[served.network],
                )
                for label, served in row.streams.items()
            ),
            max_batch=MAX_BATCH,
        ),
    )
