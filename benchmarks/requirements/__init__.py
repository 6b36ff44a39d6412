"""The targets, each judged from what the stores hold: one module a suite.

To add one: a module with ``judge(rows) -> list[Verdict]``, and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from benchmarks.requirements.verdict import Verdict
from dnnplan.reports.runs import Row, newest

JUDGES: dict[str, str] = {
    "selection": "benchmarks.requirements.selection",
    "real-networks": "benchmarks.requirements.real_networks",
    "h2h": "benchmarks.requirements.h2h",
    "saga": "benchmarks.requirements.saga",
    "auckland": "benchmarks.requirements.auckland",
    "hetero-dag": "benchmarks.requirements.hetero_dag",
    "fjsp": "benchmarks.requirements.fjsp",
    "device-placement": "benchmarks.requirements.device_placement",
    "hax-conn": "benchmarks.requirements.hax_conn",
    "energy": "benchmarks.requirements.energy",
    "memory": "benchmarks.requirements.memory",
    "scale": "benchmarks.requirements.scale",
    "rates": "benchmarks.requirements.rates",
    "antler": "benchmarks.requirements.tasks",
    "fronts": "benchmarks.requirements.tasks",
    "sharing-scale": "benchmarks.requirements.tasks",
    "sop": "benchmarks.requirements.tasks",
    "sop-long": "benchmarks.requirements.tasks",
    "conditional": "benchmarks.requirements.tasks",
    "choosing": "benchmarks.requirements.tasks",
    "ssp": "benchmarks.requirements.tasks",
    "tasks": "benchmarks.requirements.tasks",
    "predictors": "benchmarks.requirements.predictors",
    "this-machine": "benchmarks.requirements.predictors",
    "serving": "benchmarks.requirements.serving",
    "harness": "benchmarks.requirements.harness",
    "embedding": "benchmarks.requirements.embedding",
    "replan": "benchmarks.requirements.replan",
    "joint": "benchmarks.requirements.joint",
    "deploy": "benchmarks.requirements.deploy",
    "report": "benchmarks.requirements.report",
}


def judge(rows: Iterable[Row]) -> list[Verdict]:
    """All requirements of the suites that the rows belong to; of several rows for one thing the newest counts."""
    chosen = newest(rows)
    verdicts: list[Verdict] = []
    for suite, module in JUDGES.items():
        mine = [row for row in chosen if row.suite == suite]
        if mine:
            verdicts += importlib.import_module(module).judge(mine)
    return verdicts
