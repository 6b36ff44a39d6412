"""What the suite of acting on plans is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "overhead": "runner at most 3 % over onnxruntime run whole on one device",
    "prediction": "after calibrate, latency of a two-device plan within 10 % of the measured one",
    "gain": "gain over the best single core within 5 points of the predicted one, A/A noise below 3 %",
}
SHOWN = "overhead:squeezenet:parts"
"""What has no target: how much parts add on one device."""


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each measurement."""
    return measured([row for row in rows if row.instance != SHOWN], _asked)


def _asked(measurement: str) -> str:
    kind, _, rest = measurement.partition(":")
    return f"{ASKED[kind]} ({rest})" if rest else ASKED[kind]
