"""Sweeps whose parts are killed at random moments: after a resume every row is there, once, and right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from benchmarks.killing import SHORT, kill_sweep, report_on
from benchmarks.runner import run_sweep
from benchmarks.sweep import Sweep
from dnnplan.reports.runs import Store

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="victims are found in /proc")
KILLS = 5


def test_a_sweep_that_is_killed_again_and_again_ends_with_every_row_once(tmp_path: Path) -> None:
    report = kill_sweep(tmp_path / "rows.sqlite", kills=KILLS, seed=1)
    assert report.problems == []
    assert report.killed.total() == KILLS
    assert report.rows >= KILLS


def test_a_sweep_on_dask_survives_the_death_of_its_workers(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="extra cluster is not installed")
    report = kill_sweep(tmp_path / "rows.sqlite", kills=3, dask=True, seed=2)
    assert report.problems == []
    assert report.killed.total() == 3


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    path = tmp_path / "rows.sqlite"
    run_sweep(Sweep(suite="sweep", given=(SHORT,), seeds=range(3), workers=1), path)
    return path


def test_a_report_finds_what_is_missing_twice_or_wrong(finished: Path) -> None:
    assert report_on(finished, 3, Counter()).problems == []
    assert report_on(finished, 4, Counter()).problems == [f"{(SHORT.instance, 'lns', 3)}: missing"]
    with Store(finished) as store:
        row = next(row for row in store.rows() if row.seed == 0)
        store.add(
            msgspec.structs.replace(row, workers=7),
            msgspec.structs.replace(row, seed=1, workers=8, status="error", message="killed"),
        )
    problems = report_on(finished, 2, Counter()).problems
    assert f"{(SHORT.instance, 'lns', 0)}: 2 times" in problems
    assert f"{(SHORT.instance, 'lns', 2)}: not asked for" in problems
    assert "seed 1: error killed" in problems
