"""What the suite of serving is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, measured
from benchmarks.serving_grid import cells
from benchmarks.serving_page import averages_text, read_grid
from dnnplan.reports.runs import Row

ASKED = {
    "inoue": "simulator: mean latency of a queue that takes all within 2.6 % of Inoue's closed form, 15 cases",
    "twin": "events of the compiled simulator equal to those of the plain one, the policies of the grid",
    "speed": "samples a second: 500,000 for policies that decide in constant time, 50,000 for others",
    "grid": "ours best, or within 2 % of the best of all others, in what counts in a cell",
    "best-policy": "small systems: mean latency of ours within 5 % of the best policy",
    "npus": "plain, fluid and stackable array compared; no step slower than the one before",
    "split": "stages split over two devices: the best split by simulation against one device",
    "optimum": "clairvoyant optimum: 8 to 10 samples proven in 60 s, 30 samples within 20 %, a bound for 100,000",
}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict on the averages over the grid, and one for each measurement."""
    found = read_grid(rows)
    whole = {each.cell for each in found} == set(cells())
    text = "averages over the grid, as the authors of Fluid Batching report theirs (geometric means)"
    return [Verdict(requirement=text, found=averages_text(found), reached=whole), *measured(rows, _asked)]


def _asked(measurement: str) -> str:
    kind, _, rest = measurement.partition(":")
    return f"{ASKED[kind]} ({rest})" if rest else ASKED[kind]
