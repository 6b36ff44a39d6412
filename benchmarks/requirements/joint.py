"""What the suite of whole plans is to reach."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from benchmarks.joint_measurements import MEMORY_SEEDS, SEEDS
from benchmarks.requirements.verdict import Verdict, measured
from dnnplan.reports.runs import Row

ASKED = {
    "loss": "4 tasks x 3 devices x 6 blocks: joint plan proven in 60 s; loss of the plan step by step",
    "exact": "varied instances of 4 tasks x 3 devices x 6 blocks proven in 60 s; gaps of larger ones",
    "loss-memory": "the same with little memory: joint never worse; loss of the plan step by step",
}
AT_MOST = re.compile(r"loss at most ([\d.]+) %")


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Means over the families, and a verdict for each measurement."""
    means = [
        mean_of(rows, "loss", len(SEEDS), "20 generated instances: mean loss of planning step by step"),
        mean_of(
            rows,
            "loss-memory",
            len(MEMORY_SEEDS),
            "10 instances with little memory: mean loss where there is a plan",
        ),
    ]
    return [*(mean for mean in means if mean is not None), *measured(rows, _asked)]


def mean_of(rows: Sequence[Row], kind: str, count: int, asked: str) -> Verdict | None:
    """The mean loss of a family, and the most that it can be by the bounds; None where nothing was measured."""
    mine = [row for row in rows if row.kind == "measure" and row.instance.split(":")[0] == kind]
    known = [row for row in mine if row.value is not None and not math.isnan(row.value)]
    if not known:
        return None
    losses = [float(row.value) for row in known if row.value is not None]
    most = [float(found[1]) for row in known if (found := AT_MOST.search(row.message))]
    bounded = f", at most {sum(most) / len(most):.2f} %" if len(most) == len(losses) else ""
    text = (
        f"{sum(losses) / len(losses):.2f} %{bounded}; largest {max(losses):.2f} %, "
        f"lossless {sum(loss < 0.01 for loss in losses)} of {len(losses)}"
    )
    return Verdict(
        requirement=asked, found=text, reached=len(mine) == count and all(row.reached for row in mine)
    )


def _asked(measurement: str) -> str:
    kind, _, rest = measurement.partition(":")
    return f"{ASKED.get(kind, kind)} ({rest})" if rest else ASKED.get(kind, kind)
