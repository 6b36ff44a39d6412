"""What the suite of plans in action is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "split": "split of ResNet-50 within 2 s",
    "equal": "outputs of the parts equal those of the model, over random cuts",
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
    asked = ASKED.get(kind, kind)
    return f"{asked} ({rest})" if rest else asked
