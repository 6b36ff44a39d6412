"""Whoever does the work: each row once, a worker that dies costs one attempt, and one writer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.case import Answer, Case, Job, Task
from benchmarks.executors import ExecutorBackend, local_backend
from benchmarks.executors.work import run_task
from benchmarks.runner import run_sweep
from benchmarks.status import Status
from benchmarks.sweep import Sweep
from dnnplan.instances import InputError, SolverError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs import Row, Store
from dnnplan.reports.runs.row import LOST, REFUSED

QUICK = Case(instance="hand", build=partial(load_bundled, "tiny/hand"), solver="heft", time_limit=5.0)
SWEEP = Sweep(suite="probe", given=(QUICK,), seeds=range(4), workers=1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "rows.sqlite"


def check_store(path: Path, rows: list[Row]) -> None:
    """Every row once, in order, and as it was returned."""
    assert [row.seed for row in rows] == [0, 1, 2, 3]
    with Store(path, read_only=True) as opened:
        assert opened.problems() == []
        assert sorted(opened.rows(), key=lambda row: row.seed) == rows


def test_several_jobs_at_once(store: Path) -> None:
    seen: list[Status] = []
    rows = run_sweep(SWEEP, store, backend=local_backend(2), on_status=seen.append)
    check_store(store, rows)
    assert {row.worker for row in rows} <= {"local-1", "local-2"}
    assert all(row.valid and row.attempts == 1 for row in rows)
    assert (seen[-1].done, seen[-1].total) == (4, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThreadPoolExecutor(2),
        lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    ],
    ids=["threads", "processes"],
)
def test_any_executor_will_do(make: Callable[[], Any], store: Path) -> None:
    with make() as executor:
        rows = run_sweep(SWEEP, store, backend=ExecutorBackend(executor, slots=2, name="pool"))
    check_store(store, rows)
    assert all(row.worker.startswith("pool-") and row.valid for row in rows)


class Fake:
    """Answers at once, except where a worker is to die."""

    name, anywhere, counts = "fake", False, False

    def __init__(self, dies: Callable[[int, int], BaseException | None] = lambda seed, n: None) -> None:
        self.dies = dies
        self.submitted: list[int] = []
        self.machine: dict[str, str | int] = {}

    def capacity(self) -> int:
        return 2

    parallel = capacity

    def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
        seed = msgspec.json.decode(task, type=Task).job.seed
        self.submitted.append(seed)
        future: Future[bytes] = Future()
        error = self.dies(seed, self.submitted.count(seed))
        if error is not None:
            future.set_exception(error)
        else:
            answer = msgspec.json.decode(run_task(task), type=Answer)
            machine = self.machine or answer.machine
            future.set_result(msgspec.json.encode(msgspec.structs.replace(answer, machine=machine)))
        return future

    def starts(self, future: Future[bytes]) -> int:
        return 0

    def close(self, *, hurry: bool) -> None:
        pass


def dying(seed: int, times: int) -> Callable[[int, int], BaseException | None]:
    return lambda s, n: RuntimeError("worker died") if s == seed and n <= times else None


def test_a_worker_that_dies_costs_one_attempt(store: Path) -> None:
    backend = Fake(dying(seed=2, times=1))
    rows = run_sweep(SWEEP, store, backend=backend)
    check_store(store, rows)
    assert [row.attempts for row in rows] == [1, 1, 2, 1]
    assert backend.submitted.count(2) == 2


def test_a_row_whose_workers_die_twice_is_lost_and_run_again_on_resume(store: Path) -> None:
    rows = run_sweep(SWEEP, store, backend=Fake(dying(seed=1, times=2)))
    assert [(row.status, row.stop_reason) for row in rows if row.seed == 1] == [("error", LOST)]
    assert "worker died" in rows[1].message
    again = Fake()
    rows = run_sweep(SWEEP, store, backend=again)
    check_store(store, rows)
    assert again.submitted == [1]
    assert rows[1].valid is True


def test_when_all_workers_are_gone_what_is_finished_is_stored(store: Path) -> None:
    class Broken(Fake):
        def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
            if len(self.submitted) >= 2:
                raise BrokenProcessPool("all dead")
            return super().submit(task, cores=cores)

    with pytest.raises(
        SolverError, match=r"no worker takes rows any more \(all dead\).*run the same command"
    ):
        run_sweep(SWEEP, store, backend=Broken())
    with Store(store, read_only=True) as opened:
        assert 0 < len(opened.rows()) <= 2
    check_store(store, run_sweep(SWEEP, store))


def test_a_worker_with_other_code_makes_a_row_that_is_not_done(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.sweep.code_digest", lambda: "other")
    rows = run_sweep(SWEEP, store)
    assert {(row.status, row.stop_reason) for row in rows} == {("error", REFUSED)}
    monkeypatch.undo()
    rows = run_sweep(SWEEP, store)
    check_store(store, rows)
    assert all(row.valid for row in rows)


def test_on_a_cluster_a_row_is_done_whatever_machine_it_ran_on(store: Path) -> None:
    first = Fake()
    first.anywhere, first.machine = True, {"cpu": "Z80", "cores": 1, "python": "CPython 3.11.9"}
    rows = run_sweep(SWEEP, store, backend=first)
    assert {row.machine["cpu"] for row in rows} == {"Z80"}
    second = Fake()
    second.anywhere = True
    check_store(store, run_sweep(SWEEP, store, backend=second))
    assert second.submitted == []
    # Run again on another machine, a row takes the place of the one before.
    check_store(store, run_sweep(SWEEP, store, backend=second, again=True))
    assert len(second.submitted) == 4


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A Dask scheduler and a worker without declared resources, each a process of its own."""
    pytest.importorskip("distributed", reason="extra cluster is not installed")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=None, host="127.0.0.1", memory_limit=0
    ) as cluster:
        yield cluster.scheduler_address


def test_a_dask_cluster_by_its_address(scheduler: str, store: Path) -> None:
    from benchmarks.executors.dask_cluster import dask_backend

    backend = dask_backend(scheduler)
    assert backend.parallel() == 2
    rows = run_sweep(SWEEP, store, backend=backend)
    check_store(store, rows)
    assert all(row.worker.startswith("dask-") and row.valid and row.attempts == 1 for row in rows)


def test_threads_of_a_worker_count_as_cores_where_none_are_declared(scheduler: str) -> None:
    from benchmarks.executors.dask_cluster import dask_backend

    backend = dask_backend(scheduler)
    try:
        job = Job(instance=QUICK.build(), solver="heft", time_limit=5.0, workers=2)
        asked = msgspec.json.encode(Task(job=job, patience=60.0))
        both = [backend.submit(asked, cores=2) for _ in range(2)]
        assert backend.parallel() == 1
        assert [msgspec.json.decode(one.result(), type=Answer).error for one in both] == ["", ""]
        assert [backend.starts(one) for one in both] == [1, 1]
    finally:
        backend.close(hurry=False)


def test_dask_workers_with_other_code_are_refused(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.executors import dask_cluster

    digest = dask_cluster.code_digest
    calls = []

    def other() -> str:
        calls.append(1)
        return "0123456789ab"

    monkeypatch.setattr(dask_cluster, "own_digest", other)
    with pytest.raises(InputError, match=rf"other code \({digest()}\) than this process \(0123456789ab\)"):
        dask_cluster.dask_backend(scheduler)
    assert calls


def test_an_address_where_nobody_listens_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="extra cluster is not installed")
    from benchmarks.executors.dask_cluster import dask_backend

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(InputError, match="no Dask scheduler answers: Timed out"):
        dask_backend("tcp://127.0.0.1:1")


def test_without_dask_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['dask'] = None\n"
        "from benchmarks.executors.dask_cluster import dask_backend\n"
        "try:\n    dask_backend('local')\nexcept ImportError as error:\n    print(error)"
    )
    from benchmarks.children import environment

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert 'pip install "dnnplan[cluster]"' in done.stdout
