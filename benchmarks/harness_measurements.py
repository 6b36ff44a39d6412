"""Measurements of the harness: what it adds to a solve, how workers add up, and sweeps that are killed on purpose."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.case import Case, Measured
from benchmarks.executors import Backend, local_backend
from benchmarks.executors.dask_cluster import dask_backend
from benchmarks.killing import kill_sweep
from benchmarks.runner import run_sweep
from benchmarks.sweep import Sweep
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs import Row

MOST_OVERHEAD = 0.02
LEAST_SPEEDUP = {"local": 1.7, "dask": 1.5}
KILLS = 100
SOLVES, SECONDS = 30, 1.0
BUSY = Case(
    instance="layered/200x4-ccr1",
    build=partial(load_bundled, "layered/200x4-ccr1"),
    solver="lns",
    time_limit=SECONDS,
)
"""A search that uses all of its limit."""
FIXED = Case(
    instance="layered/50x8-ccr5",
    build=partial(load_bundled, "layered/50x8-ccr5"),
    solver="cpsat",
    time_limit=60.0,
)
"""A proof by one thread, always with the same work: 10 s and more on the machines we have."""
SPEEDUP_SOLVES = 4


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says where."""
    kind, _, rest = name.partition(":")
    return {"overhead": overhead, "throughput": throughput, "kills": kills}[kind](rest)


def overhead(_: str) -> Measured:
    """What the harness adds to solves of 1 s, in per cent, from the first row to the last.

    The start-up of a sweep, paid once, is in the note.
    """
    ends: list[float] = []
    began = time.perf_counter()
    sweep = Sweep(suite="overhead", given=(BUSY,), seeds=range(SOLVES + 1), workers=1)
    rows = _run(sweep, partial(local_backend, 1), lambda row: ends.append(time.perf_counter()))
    solving = sum(row.seconds for row in rows[1:])
    wall = ends[-1] - ends[0]
    added = wall - solving
    note = (
        f"{SOLVES} solves: {solving:.2f} s of solving in {wall:.2f} s, {1e3 * added / SOLVES:.1f} ms a row; "
        f"start-up, once: {ends[0] - began - rows[0].seconds:.1f} s"
    )
    return Measured(100 * added / solving, "%", 100 * MOST_OVERHEAD, added <= MOST_OVERHEAD * solving, note)


def throughput(where: str) -> Measured:
    """How many times as many proofs two workers finish as one; start-up aside."""
    one, two = (_seconds(where, jobs) for jobs in (1, 2))
    target = LEAST_SPEEDUP[where]
    note = f"{SPEEDUP_SOLVES} proofs of one thread each: {one:.1f} s with one worker, {two:.1f} s with two"
    return Measured(one / two, "x", target, one / two >= target, note)


def _seconds(where: str, jobs: int) -> float:
    """From when all workers are there to the last row."""
    began: list[float] = []

    def backend() -> Backend:
        made = local_backend(jobs) if where == "local" else dask_backend("local", jobs=jobs, cores=1)
        # One solve of each worker, so that all have imported everything.
        _warm(made, jobs)
        began.append(time.perf_counter())
        return made

    sweep = Sweep(suite="throughput", given=(FIXED,), seeds=range(SPEEDUP_SOLVES), workers=1)
    rows = _run(sweep, backend)
    if any(row.status == "error" for row in rows):
        raise RuntimeError(next(row.message for row in rows if row.status == "error"))
    return time.perf_counter() - began[0]


def _warm(backend: Backend, jobs: int) -> None:
    import msgspec

    from benchmarks.case import Job, Task

    job = Job(instance=BUSY.build(), solver="lns", time_limit=0.5, workers=1)
    task = msgspec.json.encode(Task(job=job, patience=60.0))
    for future in [backend.submit(task, cores=1) for _ in range(jobs)]:
        future.result()


def kills(where: str) -> Measured:
    """Problems after so many ``kill -9`` of the sweep, of workers and of solving processes, and a resume."""
    with tempfile.TemporaryDirectory() as folder:
        report = kill_sweep(Path(folder) / "rows.sqlite", kills=KILLS, dask=where == "dask", seed=1)
    return Measured(float(len(report.problems)), "problems", 0.0, not report.problems, report.note())


def _run(
    sweep: Sweep, backend: Callable[[], Backend], on_row: Callable[[Row], None] | None = None
) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return run_sweep(sweep, Path(folder) / "rows.sqlite", backend=backend(), on_row=on_row)
