"""Measurements of dnnplan inside other programs: cancelling, threads at once, a loop that plans thousands of times."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

import dnnplan
from benchmarks.case import Measured
from benchmarks.embedding_cases import busy, sample
from dnnplan.instances import Result
from dnnplan.solvers.registry import PROBLEMS
from examples import nas_loop
from tests.embedding.eight import Run, answer, eight

AFTER, MOST_LATE = 1.0, 0.5
"""Seconds after which a search is cancelled, and until it has to have returned."""
STUCK = 60.0
CANDIDATES = 1000
LIBRARIES = ("ortools.sat.python.cp_model", "highspy", "pulp", "numba", "scipy.optimize", "scipy.sparse")
"""Loading them holds the interpreter's lock, for some tenths of a second each."""


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def cancel(name: str) -> Measured:
    """The same with the libraries loaded, as in a program that has planned before."""
    for library in LIBRARIES:
        importlib.import_module(library)
    return cold_cancel(name)


def cold_cancel(name: str) -> Measured:
    """Seconds from `Cancellation.set` in another thread to the return of `solve`; 0: it was over before."""
    problem, solver, *rest = name.split(":")
    instance = sample(problem, rest[0]).build() if rest else busy(problem, solver)
    switch, found = dnnplan.Cancellation(), list[tuple[float, Result]]()

    def search() -> None:
        result = dnnplan.solve(instance, solver, problem=problem, time_limit=None, stop=switch)
        found.append((time.perf_counter(), result))

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(AFTER)
    asked = time.perf_counter()
    switch.set()
    thread.join(STUCK)
    if not found:
        return Measured(STUCK, "s", MOST_LATE, False, "still runs, or has failed")
    ended, result = found[0]
    late = max(0.0, ended - asked)
    how = f"{result.status}, {result.stop_reason}" if late > 0 else f"over before: {result.status}"
    right = result.valid == (result.plan is not None)
    return Measured(late, "s", MOST_LATE, right and late <= MOST_LATE, how)


def threads(name: str) -> Measured:
    """How many of eight searches in eight threads give the answer that they give alone.

    ``cold`` runs the threads first, so that they load libraries and compiled code.
    """
    runs = [Run(instance=run.instance, solver=run.solver, options=dict(run.options)) for run in eight()]
    runs = larger() if name == "larger" else runs
    if name != "cold":
        one_by_one(runs)
    found: dict[int, tuple[object, ...]] = {}
    start = threading.Barrier(len(runs))

    def search(number: int, run: Run) -> None:
        start.wait()
        found[number] = answer(dnnplan.solve(run.instance, run.solver, **run.arguments()))

    team = [threading.Thread(target=search, args=pair) for pair in enumerate(runs)]
    began = time.perf_counter()
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    together = time.perf_counter() - began
    began = time.perf_counter()
    alone = one_by_one(runs)
    apart = time.perf_counter() - began
    equal = sum(found.get(number) == known for number, known in enumerate(alone))
    note = f"together {together:.1f} s, one after the other {apart:.1f} s"
    return Measured(float(equal), "equal", float(len(runs)), equal == len(runs), note)


def one_by_one(runs: Sequence[Run]) -> list[tuple[object, ...]]:
    """The answers of one search after the other."""
    return [answer(dnnplan.solve(run.instance, run.solver, **run.arguments())) for run in runs]


def larger() -> list[Run]:
    """Eight larger instances; proofs of HiGHS and of `labels` know no work, and are small enough to end."""
    work = {"work_limit": 1.0}
    return [
        Run(instance=busy("mapping", "auto"), solver="auto", options=work),
        Run(instance=busy("mapping", "cpsat"), solver="cpsat", options=work),
        Run(instance=busy("mapping", "lns"), solver="lns", options=work),
        Run(instance=sample("mapping", "host-vlocnet").build(), solver="anneal", options=work),
        Run(instance=busy("grouping", "auto"), solver="auto", options={**work, "problem": "grouping"}),
        Run(
            instance=sample("ordering", "120").build(), solver="auto", options={**work, "problem": "ordering"}
        ),
        Run(instance=busy("joint", "auto"), solver="auto", options={**work, "problem": "joint"}),
        Run(instance=busy("serving", "auto"), solver="auto", options={**work, "problem": "serving"}),
    ]


def fresh_threads(_: str) -> Measured:
    """The same in a process that finds no compiled code, so that eight threads wait for the compiler at once."""
    script = "from benchmarks.embedding_measurements import threads; m = threads('cold'); print(int(m.value), m.note)"
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        seconds = time.perf_counter() - began
    if run.returncode != 0:
        return Measured(seconds, "s", None, False, f"exit {run.returncode}: {run.stderr[-200:]}")
    return Measured(seconds, "s", None, run.stdout.startswith("8 "), f"equal: {run.stdout.strip()}")


def nas(name: str) -> Measured:
    """Seconds a candidate of a search that predicts and maps each of them."""
    count = int(name or CANDIDATES)
    nas_loop.search(10)
    found = nas_loop.search(count)
    best = f"best {found.work / 1e9:.2f} GFLOP in {found.latency * 1e3:.2f} ms"
    note = f"{count} candidates in {found.seconds:.1f} s, {best}"
    return Measured(found.seconds / count, "s", None, found.best is not None, note)


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "cancel": cancel,
    "cold-cancel": cold_cancel,
    "threads": threads,
    "fresh-threads": fresh_threads,
    "nas": nas,
}


def cancel_names() -> list[str]:
    """A measurement for each solver, and those that most depend on size on a larger instance."""
    names = [f"cancel:{problem}:{solver}" for problem in PROBLEMS for solver in PROBLEMS[problem]]
    large = [f"cancel:mapping:{solver}:layered-2000x8" for solver in PROBLEMS["mapping"]]
    return [*names, *large]
