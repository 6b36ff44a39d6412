"""What the suite `device-placement` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.published import Compared, at_most, close, compared, count
from benchmarks.requirements.verdict import Verdict
from benchmarks.suites.device_placement import references
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

PRINTED = 2e-6
"""Reference values have six digits."""
TIGHT, TIGHT_ENOUGH = 0.01, 6
LOOSE, LOOSE_ENOUGH = 0.05, 8
LATENCY_GAP = 0.10
HALVED = "latency/LayerGraphs/inceptionv3_inference"


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Max-load and single-sample latency against everything published, and the gaps."""
    loads = compared(rows, references, "max-load/")
    latencies = compared(rows, references, "latency/")
    halved = [c for c in latencies if c.name == HALVED]
    return [
        count("max-load, 60 s: never worse than the best known value", loads, _not_worse),
        count("max-load: better wherever the bound leaves more than 1 %", loads, _better_where_possible),
        count(
            f"max-load: gap at most {percent(TIGHT)} on {TIGHT_ENOUGH} of 10",
            loads,
            close(TIGHT),
            least=TIGHT_ENOUGH,
        ),
        count(
            f"max-load: gap at most {percent(LOOSE)} on {LOOSE_ENOUGH} of 10",
            loads,
            close(LOOSE),
            least=LOOSE_ENOUGH,
        ),
        count("single-sample latency, 60 s: below every feasible reference", latencies, _below),
        count("single-sample latency: at most half of the best feasible one on Inception", halved, _half),
        count(
            f"single-sample latency: gap at most {percent(LATENCY_GAP)} on one",
            latencies,
            close(LATENCY_GAP),
            least=1,
        ),
    ]


def _best(c: Compared) -> float:
    return c.references.get("best", float("inf"))


def _not_worse(c: Compared) -> bool:
    return at_most(c.run.value, _best(c), PRINTED)


def _better_where_possible(c: Compared) -> bool:
    room = c.run.bound is None or _best(c) > c.run.bound * (1 + TIGHT)
    return not room or _below(c)


def _below(c: Compared) -> bool:
    return c.run.value is not None and c.run.value < _best(c) * (1 - PRINTED)


def _half(c: Compared) -> bool:
    return at_most(c.run.value, _best(c) / 2)
