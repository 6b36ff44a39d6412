"""A small file of each foreign format, and what tests of readers and writers share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnnplan.costs import evaluate
from dnnplan.instances import Instance, Plan

SAGA = json.dumps(
    {
        "name": "saga example",
        "n_tasks": 3,
        "nodes": {"N0": 10, "N1": 4, "N2": 1},
        "links": {"N0|N1": 2.5, "N1|N2": 1},
        "tasks": {"a": 20, "b": 8, "c": 0},
        "deps": [["a", "b", 5], ["b", "c", 1]],
    }
)
AUCKLAND = json.dumps(
    {
        "name": "fork",
        "procs": 2,
        "optimum": 5,
        "weights": {"1": 2, "2": 3, "3": 2},
        "edges": [["1", "2", 4], ["1", "3", 1]],
        "reference_schedule": {},
    }
)
HETERO = "#critical\n0.0\n#tasks\n0: 5, 10\n1: 4.5, 2 \n#edges\n0: 0, 1,  3\n#end\n"
FJSP = "2 3 1.5\n 2  2 1 3 2 4  1 3 2 \n 1  3 1 5 2 5 3 7\n"
PLACEMENT = json.dumps(
    {
        "maxSizePerFPGA": 100.0,
        "maxFPGAs": 2,
        "maxCPUs": 1,
        "nodes": [
            {
                "id": 4,
                "cpuLatency": 10,
                "fpgaLatency": 1,
                "supportedOnFpga": 1,
                "colorClass": 0,
                "size": 60.0,
            },
            {
                "id": 7,
                "cpuLatency": 20,
                "fpgaLatency": 2,
                "supportedOnFpga": True,
                "colorClass": 1,
                "size": 50.0,
            },
            {
                "id": 9,
                "cpuLatency": 30,
                "supportedOnFpga": False,
                "isBackwardNode": True,
                "colorClass": 2,
                "size": 0,
            },
        ],
        "edges": [
            {"sourceId": 4, "destId": 7, "cost": 0.25, "size": 8.0},
            {"sourceId": 4, "destId": 9, "cost": 0.25, "size": 8.0},
            {"sourceId": 7, "destId": 9, "cost": 0.5, "size": 16.0},
        ],
    }
)
HAX = (
    "network,group,gpu_ms_paper,dla_ms_paper,transition_out_of_gpu_ms,transition_out_of_dla_ms\n"
    "one,0-3,0.35,0.75,0.01,0.02\none,4-9,0.1,0.2,,\ntwo,all,0.7,0.3,,\n"
)
SAMPLES: dict[str, tuple[str, str]] = {
    "saga": ("x.json", SAGA),
    "auckland": ("x.json", AUCKLAND),
    "hetero-dag": ("x.dag", HETERO),
    "fjsp": ("x.txt", FJSP),
    "dnn-partitioning": ("x.json", PLACEMENT),
    "hax-conn": ("x.csv", HAX),
}
FOREIGN = sorted(SAMPLES)


@pytest.fixture(name="sample")
def write_sample(tmp_path: Path):
    """Write a sample, or another text, and return its path."""

    def write(name: str, text: str | None = None) -> Path:
        path = tmp_path / SAMPLES[name][0]
        path.write_text(SAMPLES[name][1] if text is None else text)
        return path

    return write


def latency(instance: Instance, **placement: str) -> float:
    """Latency of a plan of the model `graph` that keeps the order of its layers."""
    keys = {f"graph/0/{layer}": device for layer, device in placement.items()}
    order = {device: tuple(k for k in keys if keys[k] == device) for device in keys.values()}
    return evaluate(instance, Plan(placement=keys, order=order)).cost.latency
