"""Suites run one process a row, survive being killed, and go on where they stopped."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.case import Case, Job
from benchmarks.process import ROOT, run_in_process
from benchmarks.runner import run_suite
from benchmarks.suites import SUITES, suite_cases
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs import Row, Store
from dnnplan.reports.runs.row import CRASHED, KILLED_TIME

PROBE = """
from functools import partial
from benchmarks.case import Case, Measurement
from dnnplan.instances.catalogue import load_bundled

SUMMARY = "a probe"

def cases():
    for solver in ("compute_first", "single_device", "heft"):
        yield Case(
            instance="tiny/hand", build=partial(load_bundled, "tiny/hand"), solver=solver, time_limit=5.0
        )
"""
KILLER = """
import os, signal, sys
from benchmarks.runner import run_suite
from benchmarks.suites import SUITES

SUITES["probe"] = "probe_suite"
seen = []

def on_row(row):
    seen.append(row)
    if len(seen) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

run_suite("probe", sys.argv[1], seeds=(0, 1), on_row=on_row)
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A suite of three quick cases, importable here and in processes that are started; the store to use."""
    (tmp_path / "probe_suite.py").write_text(PROBE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(SUITES, "probe", "probe_suite")
    yield tmp_path / "store.sqlite"
    sys.modules.pop("probe_suite", None)


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *(os.path.abspath(p) for p in sys.path if p)])
    return os.environ | {"PYTHONPATH": path}


def by_key(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.key)


def stored(path: Path) -> list[Row]:
    """The rows of a store by key: they are written as they end, which may be another order than the suite's."""
    with Store(path) as store:
        return by_key(store.rows())


def run_until_killed(store: Path, after: int) -> int:
    command = [sys.executable, "-c", KILLER, str(store), str(after)]
    return subprocess.run(command, env=environment(), timeout=100, check=False).returncode


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than an entry that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on_with_no_row_twice_and_none_lost(probe: Path) -> None:
    assert run_until_killed(probe, 2) == -signal.SIGKILL
    with Store(probe) as store:
        before = store.rows()
    assert len(before) == 2

    run_now: list[Row] = []
    rows = run_suite("probe", probe, seeds=(0, 1), on_row=run_now.append)

    assert stored(probe) == by_key(rows)
    with Store(probe) as store:
        assert store.problems() == []
    assert sorted(row.key for row in rows) == sorted(row.key for row in [*before, *run_now])
    expected = [(s, seed) for s in ("compute_first", "single_device", "heft") for seed in (0, 1)]
    assert [(row.solver, row.seed) for row in rows] == expected
    assert Counter((row.solver, row.seed) for row in [*before, *run_now]) == Counter(expected)


def test_a_row_says_what_was_run_and_what_came_out(probe: Path) -> None:
    rows = run_suite("probe", probe, time_limit=3.0)
    instance = load_bundled("tiny/hand")
    row = rows[-1]
    assert (row.suite, row.instance, row.instance_hash) == ("probe", "tiny/hand", instance.hash())
    assert (row.solver, row.seed, row.time_limit, row.workers) == ("heft", 0, 3.0, 2)
    assert (row.layers, row.devices) == (6, 2)
    assert row.status in ("feasible", "optimal")
    assert row.valid is True
    # No plan of the hand-made instance takes less than 13 ms (see its docstring).
    assert row.value is not None
    assert row.value >= 0.013 - 1e-12
    assert row.plan is not None
    assert row.plan.instance == instance.hash()
    assert row.history
    assert row.peak_memory is not None
    assert 10 * 2**20 < row.peak_memory < 4 * 2**30
    assert row.seconds > 0
    assert (row.attempts, row.worker, row.limit_memory) == (1, "local-1", None)
    assert row.primal_integral is not None
    assert 0 < row.primal_integral <= 3.0
    assert {"dnnplan", "code", "ortools"} <= set(row.versions)
    assert row.started_at.endswith("+00:00")


def test_finished_rows_are_not_run_again_unless_asked(probe: Path) -> None:
    first = run_suite("probe", probe)
    run_now: list[Row] = []
    assert run_suite("probe", probe, on_row=run_now.append) == first
    assert run_now == []
    again = run_suite("probe", probe, again=True, on_row=run_now.append)
    assert sorted(row.key for row in run_now) == sorted(row.key for row in first)
    assert stored(probe) == by_key(again)


def test_a_failing_solver_costs_one_row(probe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = next(suite_cases("probe"))
    assert isinstance(known, Case)
    unknown = dataclasses.replace(known, solver="nonesuch")
    monkeypatch.setattr("probe_suite.cases", lambda: [unknown, known])
    bad, good = run_suite("probe", probe)
    assert (bad.status, bad.stop_reason, bad.valid, bad.value) == ("error", "error", None, None)
    assert "UnsupportedError: 'nonesuch' is not a solver" in bad.message
    assert good.valid is True


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(3)", "ended with code 3 and no answer"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("raise SystemError('the last words')", "SystemError: the last words"),
    ],
    ids=["exit", "crash", "exception"],
)
def test_a_process_that_dies_is_an_answer(code: str, message: str, crash: Job) -> None:
    answer = run_in_process(msgspec.structs.replace(crash, measure=code))
    assert message in answer.error
    assert answer.ended == ("error" if "SystemError" in message else CRASHED)
    assert answer.result is None


def test_a_process_that_never_answers_is_killed(crash: Job) -> None:
    job = msgspec.structs.replace(crash, measure="import time; time.sleep(600)")
    answer = run_in_process(job, patience=1.0)
    assert "killed: no answer after 1 s" in answer.error
    assert answer.ended == KILLED_TIME


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_no_process_outlives_a_killed_runner(crash: Job, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(f'{{os.getpid()}} '); time.sleep(600)"
    job = msgspec.structs.replace(crash, measure=code)
    script = (
        "import msgspec, sys; from benchmarks.case import Job; "
        "from benchmarks.process import run_in_process; "
        "run_in_process(msgspec.json.decode(sys.argv[1], type=Job))"
    )
    runner = subprocess.Popen([sys.executable, "-c", script, msgspec.json.encode(job)], env=environment())
    wait_until(lambda: note.exists() and note.read_text().endswith(" "))
    worker = int(note.read_text())
    assert is_running(worker)
    runner.kill()
    runner.wait()
    wait_until(lambda: not is_running(worker))


def wait_until(condition: Callable[[], bool]) -> None:
    """Fail where a condition does not come true at all; how soon it does is not judged."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came true")


def test_what_a_native_library_prints_does_not_spoil_the_answer(crash: Job) -> None:
    code = "import os; os.write(1, b'Welcome to the solver'); print('and more', flush=True); value = 42.0"
    answer = run_in_process(msgspec.structs.replace(crash, measure=code))
    assert (answer.error, answer.value) == ("", 42.0)
