"""What the suite `rates` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rates import SCENARIOS
from benchmarks.requirements.verdict import Verdict, not_run
from dnnplan.reports.runs import Row

BASELINES = ("npu_only", "best_device", "genetic")


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Ours against each baseline, scenario by scenario."""
    return [_scenario(rows, scenario) for scenario in SCENARIOS]


def _scenario(rows: Sequence[Row], scenario: str) -> Verdict:
    text = f"rates/{scenario}: auto sustains more than npu_only, best_device and genetic"
    found = {row.instance: row for row in rows if row.kind == "measure" and row.value is not None}
    ours = found.get(f"{scenario}-auto")
    rivals = {name: found.get(f"{scenario}-{name}") for name in BASELINES}
    if ours is None or ours.value is None or None in rivals.values():
        return not_run(text)
    ratios = {name: ours.value / row.value for name, row in rivals.items() if row is not None and row.value}
    said = ", ".join(f"{ratio:.2f} x {name}" for name, ratio in ratios.items())
    return Verdict(
        requirement=text,
        found=f"factor {ours.value:.3f}: {said}; {ours.message}",
        reached=all(ratio > 1 for ratio in ratios.values()),
    )
