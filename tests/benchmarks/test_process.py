"""Hard limits: what takes too long, holds too much, crashes or is killed becomes an answer, and says which."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest

from benchmarks import process
from benchmarks.case import Answer, Job, Task
from benchmarks.children import CAN_FORK, end_all, warm_up
from benchmarks.executors.work import code_digest, run_task
from benchmarks.killing import victims
from benchmarks.memory import tree_memory
from benchmarks.process import Turn, run_in_process
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs.row import KILLED_MEMORY, KILLED_TIME, LOST, REFUSED

MEBIBYTE = 2**20
pytestmark = pytest.mark.skipif(not CAN_FORK, reason="this system cannot fork")
with_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc"
)
GROW = """
import time
kept = []
while True:
    kept.append(b"x" * (8 * 2**20))
    time.sleep(0.005)
"""
CHILD_GROWS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROW!r}])"


@pytest.fixture
def endless() -> Job:
    """A search that only ends at its limit, which is far away."""
    return Job(instance=load_bundled("layered/200x4-ccr1"), solver="lns", time_limit=600.0, workers=1)


@pytest.mark.parametrize("code", [GROW, CHILD_GROWS], ids=["itself", "a process that it starts"])
def test_what_holds_too_much_is_killed(code: str, crash: Job) -> None:
    job = msgspec.structs.replace(crash, measure=code)
    answer = run_in_process(job, memory=300 * MEBIBYTE, patience=60.0)
    assert answer.ended == KILLED_MEMORY
    assert "killed: it held more than 314.6 MB" in answer.error
    assert answer.peak_memory is not None
    assert answer.peak_memory > 300 * MEBIBYTE


def test_a_solve_within_its_memory_is_left_alone(endless: Job) -> None:
    job = msgspec.structs.replace(endless, time_limit=0.3)
    answer = run_in_process(job, memory=8 * 2**30)
    assert (answer.error, answer.ended, answer.violations) == ("", "", ())


def test_a_solve_that_goes_on_after_its_limit_is_killed(endless: Job) -> None:
    warm_up()
    answer = run_in_process(endless, patience=0.3)
    assert answer.ended == KILLED_TIME
    assert answer.seconds < 60


@with_proc
def test_nothing_that_was_started_outlives_a_kill(crash: Job, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(note)!r}, 'w').write(f'{{p.pid}} '); time.sleep(600)"
    )
    answer = run_in_process(msgspec.structs.replace(crash, measure=code), patience=5.0)
    assert answer.ended == KILLED_TIME
    wait_until(lambda: tree_memory(int(note.read_text())) == 0)


@with_proc
@pytest.mark.parametrize("fresh", [False, True])
def test_what_has_left_the_session_does_not_outlive_a_kill(fresh: bool, crash: Job, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import os, time\npid = os.fork()\nif not pid:\n    os.setsid()\n    time.sleep(600)\n"
        f"open({str(note)!r}, 'w').write(str(pid))\ntime.sleep(600)"
    )
    # What forks is made anew, so that it finds the module of the job.
    end_all()
    answer = run_in_process(msgspec.structs.replace(crash, measure=code), patience=5.0, fresh=fresh)
    assert answer.ended == KILLED_TIME
    wait_until(lambda: tree_memory(int(note.read_text())) == 0)


@with_proc
def test_a_limit_is_hard_whoever_holds_the_channel(crash: Job, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import os, time\nif not os.fork():\n    os.setsid()\n    pid = os.fork()\n    if pid:\n"
        f"        open({str(note)!r}, 'w').write(str(pid))\n        os._exit(0)\n    time.sleep(600)\ntime.sleep(600)"
    )
    end_all()
    answer = run_in_process(msgspec.structs.replace(crash, measure=code), patience=5.0, fresh=False)
    escaped = int(note.read_text())
    try:
        assert answer.ended == KILLED_TIME
        assert tree_memory(escaped) > 0, "it was waited for"
    finally:
        os.kill(escaped, signal.SIGKILL)


@with_proc
@pytest.mark.parametrize("victim", ["solving process", "process that forks"])
def test_what_somebody_else_kills_is_lost_and_the_next_one_runs(victim: str, endless: Job) -> None:
    answers = in_thread(lambda: run_in_process(endless, patience=100.0))
    kill_one(victim)
    (answer,) = answers()
    assert answer.ended == LOST
    after = run_in_process(msgspec.structs.replace(endless, time_limit=0.2))
    assert after.error == ""


@with_proc
def test_a_worker_tries_once_more(endless: Job) -> None:
    job = msgspec.structs.replace(endless, time_limit=3.0)
    asked = msgspec.json.encode(Task(job=job, patience=100.0))
    answers = in_thread(lambda: msgspec.json.decode(run_task(asked), type=Answer))
    kill_one("solving process")
    (answer,) = answers()
    assert (answer.error, answer.attempts) == ("", 2)


def test_a_kill_while_the_system_runs_out_of_memory_says_so(
    crash: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([3, 4])
    monkeypatch.setattr(process, "out_of_memory_kills", lambda: next(counts))
    job = msgspec.structs.replace(crash, measure="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    answer = run_in_process(job)
    assert (answer.ended, answer.error) == (KILLED_MEMORY, "killed: the system ran out of memory")


def test_what_a_process_said_last_is_told_without_what_cannot_be_seen(crash: Job) -> None:
    code = "import os, sys; sys.stderr.write('first\\n\\x1b[31mred\\n'); sys.stderr.flush(); os._exit(3)"
    answer = run_in_process(msgspec.structs.replace(crash, measure=code))
    assert answer.error == "the process ended with code 3 and no answer: \ufffd[31mred"


def test_a_worker_with_other_code_refuses(endless: Job) -> None:
    asked = Task(job=endless, patience=1.0, code="0123456789ab")
    answer = msgspec.json.decode(run_task(msgspec.json.encode(asked)), type=Answer)
    assert answer.ended == REFUSED
    assert f"other code, {code_digest()}, than the sweep, 0123456789ab" in answer.error


def test_rows_do_not_see_each_other(endless: Job) -> None:
    job = msgspec.structs.replace(endless, solver="heft", time_limit=5.0)
    first, second = (run_in_process(job) for _ in range(2))
    assert first.result is not None
    assert second.result is not None
    assert first.result.plan == second.result.plan
    big = load_bundled("layered/1000x8-ccr1")
    run_in_process(msgspec.structs.replace(job, instance=big))
    third = run_in_process(job)
    assert third.peak_memory is not None
    assert first.peak_memory is not None
    assert third.peak_memory < first.peak_memory + 40 * MEBIBYTE


def test_several_threads_share_one_process_that_forks(endless: Job) -> None:
    job = msgspec.structs.replace(endless, time_limit=0.5)
    waiting = [in_thread(partial(run_in_process, msgspec.structs.replace(job, seed=s))) for s in range(3)]
    assert [answer.error for answers in waiting for answer in answers()] == ["", "", ""]


def test_a_job_begins_when_its_turn_comes(endless: Job) -> None:
    job = msgspec.structs.replace(endless, solver="heft", time_limit=5.0)
    run_in_process(job)
    free: SimpleQueue[int] = SimpleQueue()
    turn = Turn(free)
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(run_in_process(job, turn=turn)), daemon=True)
    thread.start()
    thread.join(timeout=1.0)
    assert not found, "it did not wait"
    free.put(7)
    thread.join(timeout=120)
    assert [answer.error for answer in found] == [""]
    assert turn.last == 7
    assert free.get_nowait() == 7, "the place is not given back"


@pytest.mark.parametrize("code", ["import os; os._exit(3)", "raise ValueError('no')"], ids=["died", "failed"])
def test_a_place_is_given_back_whatever_becomes_of_the_job(code: str, crash: Job) -> None:
    free: SimpleQueue[int] = SimpleQueue()
    free.put(0)
    answer = run_in_process(msgspec.structs.replace(crash, measure=code), turn=Turn(free))
    assert answer.error
    assert free.qsize() == 1


def in_thread(work: Callable[[], Answer]) -> Callable[[], list[Answer]]:
    """Start it; what is returned waits for the answer."""
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def wait() -> list[Answer]:
        thread.join(timeout=120)
        return found

    return wait


def kill_one(kind: str) -> None:
    """Kill the process that solves, or the one that forks, once a solve runs."""

    def running() -> dict[int, str]:
        return {pid: name for pid, name in victims(os.getpid()) if used(pid) or name == "process that forks"}

    # One that waits for the next job has used no time to speak of.
    wait_until(lambda: "solving process" in running().values())
    for pid, name in running().items():
        if name == kind:
            os.kill(pid, signal.SIGKILL)


def used(pid: int) -> bool:
    """Whether a process has worked for a fifth of a second."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    except OSError:
        return False
    return ticks >= 0.2 * os.sysconf("SC_CLK_TCK")


def wait_until(condition: Callable[[], bool]) -> None:
    """Fail where a condition does not come true at all; how soon it does is not judged."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came true")
