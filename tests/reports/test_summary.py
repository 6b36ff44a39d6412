"""What the summary claims is what is proven, and no more."""

from __future__ import annotations

import pytest

from dnnplan.instances import ObjectiveValue, Result
from dnnplan.reports.summary import proven, summary_lines


def _result(**changes):
    known = {
        "status": "feasible",
        "stop_reason": "time_limit",
        "objective": ObjectiveValue(name="latency", value=0.01, unit="s"),
        "valid": True,
        "solver": "heft",
    }
    return Result(**(known | changes))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "how good it is, is not known (no bound)"),
        ({"bound": 0.009, "gap": 0.1}, "none has less than 9 ms: at most 10 % is left to gain"),
        ({"status": "optimal", "bound": 0.01, "gap": 0.0}, "none is better (exactly)"),
        ({"status": "optimal", "bound": 0.0099999, "gap": 1e-5}, "none is better (within 0.0001)"),
        ({"status": "infeasible", "message": "no device can run a"}, "there is no plan: no device can run a"),
        (
            {"status": "unknown", "objective": ObjectiveValue(name="latency", value=None, unit="s")},
            "it is not known whether there is one",
        ),
        ({"valid": False}, "BREAKS RULES"),
    ],
)
def test_proven(changes, wanted):
    assert wanted in proven(_result(**changes))


def test_lines_name_the_bound_and_who_proved_it():
    lines = summary_lines(_result(bound=0.009, gap=0.1, bound_name="critical path"))
    assert "bound     9 ms, gap 10 %   from critical path" in lines
    assert lines[0].startswith("status    feasible (the time was up)")
