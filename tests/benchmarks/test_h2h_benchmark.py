"""The verdicts on the suite of H2H, its table of cuts, and the measurement of printed rows."""

from __future__ import annotations

from typing import Any

from benchmarks import h2h_printed
from benchmarks.h2h_table import cuts
from benchmarks.requirements import judge
from benchmarks.suites.h2h import NAMES
from dnnplan.instances import Cost
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

NAME = "h2h/mocap-0.125"


OTHERS = dict.fromkeys(("edp", "traffic", "max_load", "weighted_completion", "tardiness"), 0.0)


def row(solver: str, latency: float, **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "suite": "h2h",
        "instance": NAME,
        "solver": solver,
        "time_limit": 60.0,
        "status": "feasible",
        "stop_reason": "time_limit",
        "value": latency,
        "unit": "s",
        "valid": True,
        "cost": Cost(latency=latency, energy=2 * latency, **OTHERS),
    }
    return Row(**(fields | changes))


def verdicts(*rows: Row) -> list[bool | None]:
    return [v.reached for v in judge(rows)]


def test_auto_is_compared_with_the_better_of_the_printed_and_our_step_four():
    steps = row("h2h", 1.7)
    assert verdicts(steps, row("auto", 1.3, bound=1.29, gap=0.008)) == [None, True, True]
    assert verdicts(steps, row("auto", 1.75, bound=1.29, gap=0.26)) == [None, False, False]
    # The printed plan is worth 1.877962 s.
    assert verdicts(row("auto", 1.9, bound=1.29, gap=0.32)) == [None, False, False]


def test_equal_is_enough_only_where_the_bound_leaves_no_room():
    assert verdicts(row("h2h", 1.3), row("auto", 1.3, bound=1.28, gap=0.015)) == [None, True, True]
    assert verdicts(row("h2h", 1.3), row("auto", 1.3, bound=1.2, gap=0.077)) == [None, False, False]


def test_table_of_cuts():
    table = cuts([row("h2h_compute", 2.0), row("h2h", 1.5), row("auto", 1.0, gap=0.01)])
    quarter, half = percent(0.25), percent(0.5)
    cells = f"{quarter} / {quarter} | {half} / {half} | {percent(0.01)}"
    assert f"| {NAME} | 2 s / 4 J |  |  | {cells} |" in table
    assert "15 to 74 %" in table


def test_every_printed_row_is_reproduced_and_belongs_to_the_suite():
    measured = h2h_printed.measure("")
    assert (measured.value, measured.reached) == (21.0, True)
    assert {f"h2h/{p.model}-{p.bandwidth}" for p in h2h_printed.PRINTED} < set(NAMES)
