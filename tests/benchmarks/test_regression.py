"""Two stores compared: what is worse fails, what chance explains does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.changes import ENOUGH_SEEDS, signed_rank
from benchmarks.regression import Comparison, compare, main, table
from dnnplan.reports.runs import Row, Store


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "suite": "s", "instance": "i", "instance_hash": "ab", "solver": "auto", "time_limit": 10.0, "seed": 0,
        "status": "feasible", "stop_reason": "time_limit", "value": 100.0, "unit": "s", "bound": 90.0, "gap": 0.1,
        "valid": True, "seconds": 10.0, "started_at": "2026-11-20T10:00:00+00:00",
    }  # fmt: skip
    return Row(**(values | changes))


def seeds(values: list[float], **changes: Any) -> list[Row]:
    return [row(seed=k, value=v, **changes) for k, v in enumerate(values)]


def found(comparison: Comparison) -> list[tuple[str, bool]]:
    return [(change.what, change.worse) for change in comparison.changes]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({}, []),
        ({"value": 100.5}, []),
        ({"value": 103.0}, [("value", True)]),
        ({"value": 97.0}, [("value", False)]),
        ({"bound": 80.0, "gap": 0.2}, [("bound", True), ("gap", True)]),
        ({"bound": 95.0, "gap": 0.05}, [("bound", False), ("gap", False)]),
        ({"seconds": 10.4}, []),
        ({"seconds": 12.0}, []),
        ({"seconds": 13.0}, [("seconds", True)]),
        ({"seconds": 6.0}, [("seconds", False)]),
        ({"status": "optimal"}, [("status", False)]),
        ({"status": "unknown", "value": None, "gap": None}, [("status", True)]),
        ({"status": "error", "stop_reason": "killed:memory", "value": None}, [("status", True)]),
        ({"status": "infeasible", "value": None, "gap": None}, [("contradiction", True)]),
        ({"versions": {"code": "new"}, "machine": {"cpu": "other"}, "worker": "dask-1"}, []),
        ({"valid": False, "status": "error", "value": 1.0}, [("status", True)]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_what_counts_as_worse(new: dict[str, Any], expected: list[tuple[str, bool]]) -> None:
    comparison = compare([row(**new)], [row()])
    assert found(comparison) == expected
    assert len(comparison.pairs) == 1


def test_short_times_may_double() -> None:
    assert found(compare([row(seconds=0.4)], [row(seconds=0.1)])) == []


def test_where_more_is_better_less_is_worse() -> None:
    old = row(sense="max", bound=110.0)
    assert found(compare([row(sense="max", bound=110.0, value=90.0)], [old])) == [("value", True)]
    assert found(compare([row(sense="max", bound=105.0)], [old])) == [("bound", False)]


def test_a_lost_optimum_is_worse_and_a_proof_that_now_fails_too() -> None:
    assert found(compare([row()], [row(status="optimal")])) == [("status", True)]


def test_many_seeds_are_judged_together() -> None:
    old = seeds([100.0] * 8)
    # One seed much worse, the others as they were: chance.
    assert found(compare(seeds([150.0, *[100.0] * 7]), old)) == []
    # Up and down: chance.
    assert found(compare(seeds([103.0, 97.0] * 4), old)) == []
    # All of them a bit worse: not chance.
    worse = compare(seeds([102.0 + k / 10 for k in range(8)]), old)
    assert found(worse) == [("value", True)]
    (change,) = worse.changes
    assert change.p == pytest.approx(1 / 2**8)
    assert "(8 seeds)" in change.case
    assert change.relative == pytest.approx(0.0235)
    # All of them worse, by less than the tolerance.
    assert found(compare(seeds([100.5] * 8), old)) == []


def test_from_five_seeds_on_a_test_can_tell() -> None:
    assert signed_rank([1.0] * ENOUGH_SEEDS) < 0.05
    assert signed_rank([1.0] * (ENOUGH_SEEDS - 1)) > 0.05
    assert signed_rank([0.0] * 9) == 1.0


def test_rows_are_paired_by_case_and_the_newest_counts() -> None:
    old = [row(), row(solver="heft"), row(seed=5)]
    new = [
        row(value=200.0),
        row(value=100.0, versions={"code": "newer"}, started_at="2026-11-21T10:00:00+00:00"),
        row(solver="cpsat"),
    ]
    comparison = compare(new, old)
    assert found(comparison) == []
    assert (len(comparison.pairs), comparison.only_new, comparison.only_old) == (1, 1, 2)


@pytest.mark.parametrize("other", [{"workers": 5}, {"limit_memory": 2**30}, {"time_limit": 5.0}])
def test_runs_with_other_limits_are_no_newer_ones(other: dict[str, Any]) -> None:
    later = row(value=300.0, started_at="2026-11-21T10:00:00+00:00", **other)
    comparison = compare([row(value=200.0), later], [row(), later])
    assert len(comparison.pairs) == 2
    (change,) = comparison.changes
    assert (change.what, change.new, change.old) == ("value", 200.0, 100.0)


def test_another_instance_of_the_same_name_is_not_compared() -> None:
    comparison = compare([row(instance_hash="cd", value=500.0)], [row()])
    assert (found(comparison), comparison.pairs, comparison.changed) == ([], [], ["i"])
    assert "instances that are others now: i" in comparison.summary()


def test_of_measurements_only_targets_count() -> None:
    old = row(kind="measure", solver="", status="measured", value=1.0, target=2.0, reached=True)
    slow = row(kind="measure", solver="", status="measured", value=3.0, target=2.0, reached=False)
    assert found(compare([slow], [old])) == [("target", True)]
    assert found(compare([old], [slow])) == [("target", False)]


def write(path: Path, rows: list[Row]) -> str:
    with Store(path) as store:
        store.add(*rows)
    return str(path)


def test_the_command_fails_where_something_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old.sqlite", [row()])
    new = write(tmp_path / "new.sqlite", [row(value=110.0)])
    assert main([new, old]) == 1
    text = capsys.readouterr().out
    assert "worse" in text
    assert "1 rows compared: 1 worse, 0 better" in text
    assert main([old, old]) == 0
    assert main([new, old, "--tolerance", "0.2"]) == 0
    assert main([new, str(tmp_path / "nonesuch.sqlite")]) == 2
    assert "no such store" in capsys.readouterr().err


def test_brackets_in_names_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new, old = (
        write(tmp_path / f"{value:g}.sqlite", [row(instance="a[red]b[/]", solver="x", value=value)])
        for value in (110.0, 100.0)
    )
    assert main([new, old]) == 1
    assert "a[red]b[/]" in capsys.readouterr().out


def test_the_table_shows_both_sides() -> None:
    from rich.console import Console

    console = Console(width=160, record=True)
    with console.capture() as capture:
        console.print(table(compare([row(value=110.0, objective="energy")], [row(objective="energy")])))
    text = capture.get()
    for word in ("i auto energy 10 s", "value", "100 s", "110 s", "+10 %", "worse"):
        assert word in text
