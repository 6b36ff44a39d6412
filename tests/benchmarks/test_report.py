"""The report says what was reached, what was not, and what was not run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from benchmarks import report as module
from benchmarks.report import main, read_rows, report
from benchmarks.requirements import judge
from benchmarks.requirements.selection import AGREEING
from benchmarks.requirements.verdict import Verdict, measured
from benchmarks.suites.real_networks import FOUR, MIXTURES, NINE, PAIR
from benchmarks.tables import markdown_table, summary_markdown, summary_tables
from benchmarks.timings import MEASUREMENTS
from dnnplan.instances import InputError
from dnnplan.reports.runs import Row, Store

SOLVED = Row(
    suite="selection",
    instance=PAIR,
    layers=157,
    devices=4,
    solver="auto",
    time_limit=20.0,
    machine={"cpu": "Z80", "cores": 2, "memory_gib": 1, "os": "CP/M 2", "python": "CPython 3.11.9"},
    versions={"dnnplan": "0.1.0"},
    status="optimal",
    stop_reason="proved",
    value=0.0101,
    unit="s",
    bound=0.0101,
    gap=0.0,
    seconds=8.5,
    peak_memory=300 * 2**20,
    valid=True,
    started_at="2026-11-20T10:00:00+00:00",
)


def row(**changes: Any) -> Row:
    return msgspec.structs.replace(SOLVED, **changes)


def verdict(rows: list[Row], word: str) -> Verdict:
    found = [v for v in judge(rows) if word in v.requirement]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("changes", "reached"),
    [
        ({}, True),
        ({"status": "feasible", "gap": 0.01}, False),
        ({"seconds": 20.5}, False),
        ({"valid": False}, False),
        ({"time_limit": 30.0}, None),
        ({"solver": "cpsat"}, None),
        ({"instance": FOUR}, None),
    ],
    ids=["proved", "open", "late", "refused by check", "longer limit", "other solver", "other instance"],
)
def test_optimality_within_the_time(changes: dict[str, Any], reached: bool | None) -> None:
    assert verdict([row(**changes)], "within 20 s").reached is reached


def test_one_seed_that_fails_is_enough() -> None:
    rows = [row(), row(seed=1, status="feasible")]
    assert verdict(rows, "within 20 s").reached is False


def test_the_newest_row_counts() -> None:
    newer = row(status="feasible", gap=0.5, started_at="2026-11-21T10:00:00+00:00")
    assert verdict([newer, row()], "within 20 s").reached is False


@pytest.mark.parametrize(
    ("heft", "gap", "reached"),
    [(0.039, 0.1, True), (0.038, 0.1, False), (0.039, None, False), (None, 0.1, None)],
)
def test_all_nine_must_beat_heft_and_have_a_gap(
    heft: float | None, gap: float | None, reached: bool | None
) -> None:
    nine = row(instance=NINE, time_limit=60.0, status="feasible", value=0.038, bound=0.03, gap=gap)
    rows = [nine, row(instance=NINE, solver="heft", time_limit=10.0, value=heft, gap=None)]
    assert verdict(rows, "all nine").reached is reached


def test_timings_keep_their_targets_or_not() -> None:
    fast = row(kind="measure", instance="cli-help", solver="", value=0.3, target=0.4, reached=True)
    slow = row(kind="measure", instance="import-dnnplan", solver="", value=0.3, target=0.15, reached=False)
    broken = row(kind="measure", instance="check-10000", value=None, status="error", message="it broke")
    rows = [fast, slow, broken]
    assert verdict(rows, "dnnplan --help").reached is True
    assert verdict(rows, "import dnnplan").reached is False
    assert verdict(rows, "check, 10,000") == Verdict(
        requirement="check, 10,000 layers <= 300 ms", found="it broke", reached=False
    )
    assert verdict(rows, "evaluate, 10,000").reached is None


def test_every_timing_with_a_target_is_a_requirement() -> None:
    texts = [v.requirement for v in judge([row()])]
    for timing in MEASUREMENTS.values():
        assert any(timing.what in text for text in texts) is (timing.target is not None)


def test_a_limit_is_kept_by_every_solver_or_not_at_all() -> None:
    kept = row(time_limit=1.0, seconds=1.4)
    late = row(time_limit=1.0, seconds=1.6, solver="milp")
    crashed = row(time_limit=1.0, seconds=0.1, solver="milp", status="error", message="died of SIGSEGV")
    declined = row(
        time_limit=1.0, seconds=0.1, solver="milp", status="error", message="UnsupportedError: not this one"
    )
    assert verdict([kept], "time limit").reached is True
    assert verdict([kept, late], "time limit").reached is False
    assert "1 of 2 runs; slowest 1.60 s (milp" in verdict([kept, late], "time limit").found
    assert verdict([kept, crashed], "time limit").reached is False
    assert verdict([kept, declined], "time limit").reached is True
    assert verdict([row(time_limit=1.0, layers=501)], "time limit").reached is None


def test_agreement_adds_up_and_one_failure_breaks_it() -> None:
    parts = [
        row(kind="measure", instance=f"part-{i}", value=100.0, unit=AGREEING, reached=True) for i in range(2)
    ]
    assert verdict(parts, "agree").reached is True
    assert verdict(parts[:1], "agree").reached is False
    contradiction = row(kind="measure", instance="part-2", unit=AGREEING, reached=False)
    assert verdict([*parts, contradiction], "agree").reached is False


def test_measurements_are_judged_where_they_can_be() -> None:
    rows = [
        row(kind="measure", instance="reached", value=1.0, unit="s", target=2.0, reached=True),
        row(kind="measure", instance="as it says", value=1.0, unit="s", reached=True),
        row(kind="measure", instance="too noisy", value=1.0, unit="s", target=2.0),
        row(kind="measure", instance="failed", value=None, status="error"),
        row(kind="measure", instance="for information", value=1.0, unit="s"),
    ]
    found = {each.requirement: each.reached for each in measured(rows, str)}
    assert found == {"reached": True, "as it says": True, "too noisy": None, "failed": False}


def test_the_report_names_machine_date_rows_and_what_is_missing() -> None:
    text = report([row(), row(solver="heft", status="feasible", bound=None, gap=None, valid=False)])
    assert "- Machine: Z80, 2 cores, 1 GiB, CP/M 2, CPython 3.11.9" in text
    assert "2026-11-20T10:00:00+00:00" in text
    assert "`check` refused 1" in text
    assert "BROKEN" in text
    assert f"1 of {len(judge([row()]))} reached, {len(judge([row()])) - 1} not run." in text
    assert "| 10.1 ms optimal, bound 10.1 ms, gap 0 %, 8.5 s | yes |" in text


def test_two_machines_are_both_named() -> None:
    text = report([row(), row(seed=1, machine=SOLVED.machine | {"cpu": "6502"})])
    assert "- Machine: Z80" in text
    assert "- Machine: 6502" in text


def test_tables_show_every_row() -> None:
    rows = [row(), row(kind="measure", instance="cli-help", solver="", value=0.3, unit="s", reached=True)]
    console = Console(width=200, record=True, file=io.StringIO())
    for table in summary_tables(rows):
        console.print(table)
    shown = console.export_text()
    for text in (shown, summary_markdown(rows)):
        assert PAIR in text
        assert "cli-help" in text
        assert "300 ms" in text
    assert summary_tables([]) == []


def test_markdown_cells_cannot_break_the_table() -> None:
    assert markdown_table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |\n"


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.add(row())
    output = tmp_path / "r.md"
    assert main([str(tmp_path / "s.sqlite"), "--output", str(output)]) == 0
    assert output.read_text() == report(read_rows(tmp_path / "s.sqlite"))
    assert main([str(tmp_path / "s.sqlite")]) == 0
    assert capsys.readouterr().out == output.read_text()
    assert main([str(tmp_path / "s.sqlite"), "--table"]) == 0
    assert "auto" in capsys.readouterr().out


def test_a_missing_or_empty_store_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.sqlite")]) == 2
    assert "no such store" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(InputError, match="no rows"):
        module.report([])


def mixture_row(name: str, solver: str, **changes: Any) -> Row:
    return row(suite="real-networks", instance=name, solver=solver, time_limit=60.0, **changes)


def test_full_mixtures_are_judged_by_their_means() -> None:
    full = "phone/" + MIXTURES["small ones"]
    rows = [mixture_row(full, "heft", value=0.020), mixture_row(full, "auto", value=0.019, gap=0.11)]
    assert [v.reached for v in judge(rows) if "full devices" in v.requirement] == [True, True]
    rows[1] = mixture_row(full, "auto", value=0.0195, gap=0.13, started_at="2027")
    assert [v.reached for v in judge(rows) if "full devices" in v.requirement] == [False, False]


def test_dominated_mixtures_must_be_proven_with_every_seed() -> None:
    name = "phone/" + MIXTURES["squeezenet"]
    rows = [mixture_row(name, "auto"), mixture_row(name, "auto", seed=1)]
    assert verdict(rows, "dominated").reached
    rows[1] = mixture_row(name, "auto", seed=1, seconds=31.0, value=0.02)
    assert verdict(rows, "dominated").reached is False


def test_suites_that_were_not_run_are_not_judged() -> None:
    assert {v.requirement for v in judge([row()])}.isdisjoint(
        v.requirement for v in judge([mixture_row(PAIR, "auto")])
    )
