"""Sweeps that are killed on purpose, at random moments, until every row is there: `python -m benchmarks.killing STORE`.

Linux only: victims are found in ``/proc``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.case import Case
from benchmarks.children import ROOT, environment
from benchmarks.executors import Backend, local_backend
from benchmarks.runner import run_sweep
from benchmarks.sweep import Sweep
from benchmarks.zygote import children_of
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs import Row, Store

SHORT = Case(
    instance="layered/50x4-ccr1",
    build=partial(load_bundled, "layered/50x4-ccr1"),
    solver="lns",
    time_limit=0.3,
)
ROWS_A_KILL = 3
"""So many rows for each kill: a sweep that is killed less often than it finishes rows gets to its end."""
LONGEST_PAUSE = 0.8
"""Seconds between looks at what there is to kill."""
SWEEP = "sweep"
FORKING, SOLVING = "process that forks", "solving process"
WEIGHTS = {"coordinator": 1, FORKING: 1, SOLVING: 4, "Dask worker": 2}
"""How often each kind is chosen; killed more often, a coordinator would never come to start anything."""
ANY_MOMENT = 0.3
"""Share of the kills that do not wait for a solve to run: a sweep that starts can be killed, too."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a sweep.

    Parameters
    ----------
    killed
        How often what was killed.
    rows
        In the store, in the end.
    retried
        Rows that took more than one attempt.
    problems
        Rows that are missing, twice or wrong, and what the integrity check says.
    """

    killed: Counter[str]
    rows: int
    retried: int
    problems: list[str]

    def note(self) -> str:
        """A sentence."""
        what = ", ".join(f"{count} x {name}" for name, count in sorted(self.killed.items()))
        return (
            f"killed {self.killed.total()} times ({what}); {self.rows} rows, {self.retried} of them retried"
        )


def kill_sweep(store: Path, *, kills: int, dask: bool = False, seed: int = 0, jobs: int = 2) -> Report:
    """Start a sweep, kill parts of it at random moments, start it again when it is gone, and look at the store."""
    draw = random.Random(seed)
    killed: Counter[str] = Counter()
    rows = max(4, ROWS_A_KILL * kills)
    process = _start(store, rows, jobs, dask)
    while killed.total() < kills:
        if draw.random() >= ANY_MOMENT:
            _wait_for_solving(process)
        time.sleep(draw.uniform(0.0, LONGEST_PAUSE))
        if process.poll() is not None:
            if process.returncode == 0:
                # Done before all kills: give it more to do.
                rows += ROWS_A_KILL * (kills - killed.total())
            process = _start(store, rows, jobs, dask)
            continue
        found: dict[str, list[int]] = {}
        for pid, name in victims(process.pid):
            found.setdefault(name, []).append(pid)
        kinds = sorted(found)
        (name,) = draw.choices(kinds, [WEIGHTS[kind] for kind in kinds])
        with suppress(ProcessLookupError):
            os.kill(draw.choice(sorted(found[name])), signal.SIGKILL)
            killed[name] += 1
    process.wait()
    for _ in range(10):
        if _start(store, rows, jobs, dask).wait() == 0:
            break
    return report_on(store, rows, killed)


def _wait_for_solving(process: subprocess.Popen[bytes]) -> None:
    """Until the sweep has started to solve, or is gone."""
    while process.poll() is None and all(kind != SOLVING for _, kind in victims(process.pid)):
        time.sleep(0.02)


def victims(sweep: int) -> Iterator[tuple[int, str]]:
    """A sweep and all it started, each with what it is."""
    waiting = [(sweep, "coordinator")]
    while waiting:
        pid, kind = waiting.pop()
        yield pid, kind
        for child in children_of(pid):
            command = _command(child)
            if "benchmarks.zygote" in command:
                # A child of what forks has the same command.
                waiting.append((child, SOLVING if kind == FORKING else FORKING))
            elif "spawn_main" in command:
                waiting.append((child, "Dask worker"))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _start(store: Path, rows: int, jobs: int, dask: bool) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.killing",
        str(store),
        "--rows",
        str(rows),
        "--jobs",
        str(jobs),
    ]
    return subprocess.Popen(
        command + ["--dask"] * dask,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def report_on(path: Path, expected: int, killed: Counter[str]) -> Report:
    with Store(path, read_only=True) as store:
        problems, rows = store.problems(), store.rows()
    times = Counter((row.instance, row.solver, row.seed) for row in rows)
    wanted = {(SHORT.instance, SHORT.solver, seed) for seed in range(expected)}
    problems += [f"{case}: missing" for case in sorted(wanted - set(times))]
    problems += [f"{case}: not asked for" for case in sorted(set(times) - wanted)]
    problems += [f"{case}: {count} times" for case, count in sorted(times.items()) if count > 1]
    problems += [f"seed {row.seed}: {row.status} {row.message}" for row in rows if not _good(row)]
    return Report(
        killed=killed, rows=len(rows), retried=sum(row.attempts > 1 for row in rows), problems=problems
    )


def _good(row: Row) -> bool:
    return row.status in ("optimal", "feasible") and row.valid is True


def main(arguments: Sequence[str] | None = None) -> int:
    """The sweep that is killed; 0 if every row is there and done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killing", description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--dask", action="store_true")
    asked = parser.parse_args(arguments)
    sweep = Sweep(suite=SWEEP, given=(SHORT,), seeds=range(asked.rows), workers=1)
    rows = run_sweep(sweep, asked.store, backend=_backend(asked.jobs, asked.dask))
    return 0 if all(row.done for row in rows) else 1


def _backend(jobs: int, dask: bool) -> Backend:
    if not dask:
        return local_backend(jobs)
    from benchmarks.executors.dask_cluster import dask_backend

    return dask_backend("local", jobs=jobs, cores=1)


if __name__ == "__main__":
    sys.exit(main())
