"""A small file of each format of grouping and ordering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

# Node 2 comes before node 1; the first node and the last one are where they are in every file.
SOP = """NAME: tiny.sop
TYPE: SOP
COMMENT: by hand
DIMENSION: 4
EDGE_WEIGHT_TYPE: EXPLICIT
EDGE_WEIGHT_FORMAT: FULL_MATRIX
EDGE_WEIGHT_SECTION
4
 0  7  3 1000000
-1  0 -1 5
-1  2  0 9
-1 -1 -1 0
EOF
"""
# Three jobs, four tools, two slots: job 1 needs tools 1 and 2, job 2 needs 2 and 3, job 3 needs 4.
TOOLS = "3 4 2\n\n1 0 0\n1 1 0\n0 1 0\n0 0 1\n"
ANTLER_SET: dict[str, Any] = {
    "platform": "MSP430",
    "metric": "time",
    "unit": "s",
    "dataset": "TINY",
    "n_tasks": 3,
    "layer_inference": [1, 2, 3, 4],
    "branch_after_layer": [0, 2, 3],
    "levels": [[[0, 2], [1]], [[2], [0], [1]]],
    "block_inference": [8, 4, 2, 1],
    "block_reload": [0.8, 0.4, 0.2, 0.1],
    "block_kb": [0.5, 2, 3, 0.25],
    "published": {"Antler": 21.5, "YONO": 0.0},
    "memory_kb": 14.25,
}
ANTLER = json.dumps({"source": "by hand", "instances": [ANTLER_SET]})
AFFINITY = json.dumps(
    {
        "first": [
            [[1, 0.75, -0.5], [0.75, 1, 0.25], [-0.5, 0.25, 1]],
            [[1, 0.5, -1], [0.5, 1, 0], [-1, 0, 1.0]],
        ]
    }
)
TAG = json.dumps(
    {
        "source": "by hand",
        "tag_tiny": {
            "a": {"a": 9, "b": 0.5, "c": 0.25},
            "b": {"a": 1, "b": 9, "c": -1},
            "c": {"a": 0.125, "b": 0.75, "c": 9},
        },
    }
)
STANDLEY = "0.5\t0.25\t0.125\n0.375\t\t\n\t0.2\t\n\t\t0.1\n0.3\t0.3\n0.25\t0.25\t0.25"
TASK_SAMPLES: dict[str, tuple[str, str]] = {
    "tsplib": ("tiny.sop", SOP),
    "ssp": ("tiny.txt", TOOLS),
    "antler": ("tiny.json", ANTLER),
    "affinity": ("tiny.json", AFFINITY),
    "tag": ("tiny.json", TAG),
    "standley": ("tiny.txt", STANDLEY),
}
TASK_FORMATS = sorted(TASK_SAMPLES)


def antler(*changes: dict[str, Any]) -> str:
    """A file of task sets, each the sample with changes."""
    return json.dumps({"instances": [{**ANTLER_SET, **change} for change in changes]})


@pytest.fixture(name="sample")
def write_task_sample(tmp_path: Path):
    """Write a sample, or another text, and return its path."""

    def write(name: str, text: str | None = None, file: str | None = None) -> Path:
        path = tmp_path / (file or TASK_SAMPLES[name][0])
        path.write_text(TASK_SAMPLES[name][1] if text is None else text)
        return path

    return write
