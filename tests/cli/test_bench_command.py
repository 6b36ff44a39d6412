"""`dnnplan bench`: sweeps, limits, resuming, and the comparison with an earlier store."""

from __future__ import annotations

import msgspec
import pytest

from dnnplan.cli.bench import numbers, size, split_objectives
from dnnplan.instances import InputError
from dnnplan.reports.runs import Store

GREEDY = ("bench", "smoke", "--solvers", "greedy", "--workers", "1")
"""Two quick cases."""


def test_a_sweep_is_run_resumed_and_compared(run, tmp_path):
    done = run(*GREEDY, "--store", "new.sqlite", "--seeds", "0,1", "--limits", "2", "--memory-limit", "4GB")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("feasible") == 4
    assert "4 of 4 rows" in done.stderr
    with Store(tmp_path / "new.sqlite", read_only=True) as store:
        rows = store.rows()
    assert {(row.seed, row.time_limit, row.limit_memory) for row in rows} == {
        (s, 2.0, 4_000_000_000) for s in (0, 1)
    }
    again = run(
        *GREEDY,
        "--store",
        "new.sqlite",
        "--seeds",
        "0,1",
        "--limits",
        "2",
        "--memory-limit",
        "4GB",
        "--resume",
    )
    assert (again.exit_code, again.stdout) == (0, "")

    better = [msgspec.structs.replace(row, value=row.value * 0.5) for row in rows if row.value is not None]
    with Store(tmp_path / "old.sqlite") as store:
        store.add(*better)
    compared = run(
        *GREEDY, "--store", "new.sqlite", "--seeds", "0,1", "--limits", "2", "--memory-limit", "4GB",
        "--compare", "old.sqlite",
    )  # fmt: skip
    assert compared.exit_code == 1
    assert "worse" in compared.stdout
    assert "4 rows compared: 2 worse" in compared.stderr


def test_a_solve_that_holds_too_much_is_a_row_and_fails_the_command(run, tmp_path):
    # Whatever the solve needs, an interpreter needs more than a megabyte; it is looked at every 50 ms.
    done = run(
        "bench", "smoke", "--solvers", "lns", "--objectives", "latency", "--limits", "5", "--workers", "1",
        "--memory-limit", "1MB", "--store", "rows.sqlite",
    )  # fmt: skip
    assert done.exit_code == 1
    assert "killed:memory" in done.stdout
    with Store(tmp_path / "rows.sqlite", read_only=True) as store:
        assert [(row.status, row.stop_reason) for row in store.rows()] == [("error", "killed:memory")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seeds", "a"), "--seeds: 'a' is not a number"),
        (("--seeds", "1.5"), "seeds are whole numbers"),
        (("--limits", "-1"), "--limits: -1 is out of range"),
        (("--memory-limit", "much"), "'much' is not an amount of memory"),
        (("--solvers", "hefty"), "hefty: no such solver"),
        (("--compare", "nonesuch.sqlite"), "no such store"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_understood_is_an_error(options, message, run):
    done = run(*GREEDY, "--store", "s.sqlite", *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_numbers_sizes_and_objectives_are_read():
    assert numbers("10, 60,10", "--limits") == (10.0, 60.0)
    assert numbers(None, "--limits") == ()
    assert [size(text) for text in ("4GB", "512 MiB", "1.5g", "1024")] == [4 * 10**9, 2**29, 15 * 10**8, 1024]
    for text in ("0", "-1GB", "4XB", ""):
        with pytest.raises(InputError, match="not an amount of memory"):
            size(text)
    assert split_objectives(["latency,energy", "latency=1,energy=0.2"]) == (
        "latency",
        "energy",
        "latency=1,energy=0.2",
    )
