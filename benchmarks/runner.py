"""Running a sweep into a store: every row once, whoever does the work and whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path

import msgspec

from benchmarks.case import Answer
from benchmarks.executors import Backend, local_backend
from benchmarks.filling import filled_in, lost
from benchmarks.status import Status, Tracker
from benchmarks.suites import suite_names, suite_summary
from benchmarks.sweep import Planned, Sweep, planned
from dnnplan.instances import SolverError
from dnnplan.reports.runs import Row, Store, best_values, primal_integral

TICK_SECONDS = 0.5
"""How often the status is told while nothing happens."""
ATTEMPTS = 2
MOST_SUBMISSIONS = 10
"""Where a backend counts starts, a task that was lost before it began costs nothing; but not for ever."""


def list_suites() -> dict[str, str]:
    """What there is to run: name of each suite and what it is for."""
    return {name: suite_summary(name) for name in suite_names()}


def run_suite(
    name: str,
    store_path: str | Path,
    *,
    time_limit: float | None = None,
    seeds: Sequence[int] = (0,),
    workers: int = 2,
    again: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Run what is missing of a suite, one case at a time, and return all of its rows: `run_sweep` in short."""
    limits = () if time_limit is None else (time_limit,)
    sweep = Sweep(suite=name, seeds=seeds, time_limits=limits, workers=workers)
    return run_sweep(sweep, store_path, again=again, on_row=on_row)


def run_sweep(
    sweep: Sweep,
    store_path: str | Path,
    *,
    backend: Backend | None = None,
    again: bool = False,
    on_row: Callable[[Row], None] | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> list[Row]:
    """Run what is missing of a sweep, and return all of its rows in order.

    A row counts as done if the store has one of the same suite, instance, solver, objective, limits, time
    limit, seed, workers, versions (a digest of the library's sources included), processor and Python; where
    workers may be anywhere, of any processor. Failed rows count as done as well, unless the worker died;
    `again` runs everything once more and replaces it.

    Only this process writes to the store. A row is one transaction, written as soon as its answer is there.

    Parameters
    ----------
    backend
        Who does the work; None: this machine, one row at a time. It is closed at the end.
    on_row
        Called with each row that was run now, after it has been written.
    on_status
        Called twice a second, and after each row.

    Raises
    ------
    InputError
        No such suite or solver, or the store is not one.
    SolverError
        All workers are gone; what was finished is stored.
    """
    hurry = True
    backend = local_backend() if backend is None else backend
    try:
        cases = sweep.cases()
        with Store(store_path) as store:
            earlier = store.rows(sweep.suite)
            tracker = Tracker(cases, len(sweep.seeds), earlier)
            run = _Run(backend, store, tracker, again=again, on_row=on_row, on_status=on_status)
            rows = run.all(planned(sweep, cases), earlier)
            hurry = False
            return _with_integrals(store, sweep.suite, rows)
    finally:
        backend.close(hurry=hurry)


class _Run:
    """One run over what is planned."""

    def __init__(
        self,
        backend: Backend,
        store: Store,
        tracker: Tracker,
        *,
        again: bool,
        on_row: Callable[[Row], None] | None,
        on_status: Callable[[Status], None] | None,
    ) -> None:
        self._backend, self._store, self._tracker = backend, store, tracker
        self._again, self._on_row, self._on_status = again, on_row, on_status
        self._out: dict[Future[bytes], tuple[int, Planned, int]] = {}
        self._back: list[tuple[int, Planned, int, bytes]] = []
        self._rows: dict[int, Row] = {}
        self._names: dict[str, str] = {}
        self._stale: dict[str, list[str]] = {}

    def all(self, plan: Iterator[Planned], earlier: Sequence[Row]) -> list[Row]:
        """Hand out, collect, write, until all is there."""
        known = {self._key(row): row for row in earlier if row.done}
        if self._backend.anywhere:
            for row in earlier:
                self._stale.setdefault(row.case_key, []).append(row.key)
        try:
            for index, task in enumerate(plan):
                done = None if self._again else known.get(self._key(task.row))
                if done is None:
                    self._run(index, task)
                else:
                    self._rows[index] = done
                    self._tracker.skip(index)
            self._wait_for(lambda: not self._out)
        finally:
            self._write()
        self._tell()
        return [self._rows[index] for index in sorted(self._rows)]

    def _run(self, index: int, task: Planned) -> None:
        """Hand it out as soon as there is room; what must not be disturbed is waited for."""
        if task.alone:
            self._wait_for(lambda: not self._out)
        else:
            self._wait_for(lambda: len(self._out) < self._backend.capacity())
        self._hand_out(index, task, 1)
        # Workers first: what has come back is written while they work.
        self._write()
        if task.alone:
            self._wait_for(lambda: not self._out)

    def _key(self, row: Row) -> str:
        return row.case_key if self._backend.anywhere else row.key

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._write()
            finished, _ = wait(self._out, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                self._collect(future)
            self._tell()

    def _tell(self) -> None:
        if self._on_status is not None:
            self._on_status(self._tracker.status(self._backend.parallel()))

    def _hand_out(self, index: int, task: Planned, attempt: int) -> None:
        try:
            future = self._backend.submit(msgspec.json.encode(task.task), cores=task.task.job.workers)
        except (BrokenExecutor, RuntimeError) as error:
            raise SolverError(
                f"no worker takes rows any more ({error}); finished rows are stored: run the same command again"
            ) from error
        self._out[future] = (index, task, attempt)
        self._tracker.start(index, f"{task.row.instance} {task.row.solver}".rstrip())

    def _collect(self, future: Future[bytes]) -> None:
        """Take what came back; hand out again what did not."""
        index, task, attempt = self._out.pop(future)
        starts = self._backend.starts(future)
        # Each submission that came to nothing, and each start by a worker that died, was an attempt.
        before = attempt - 1 + max(0, starts - 1)
        try:
            text = future.result()
        except Exception as error:
            most = MOST_SUBMISSIONS if self._backend.counts and not starts else ATTEMPTS
            if before + 1 < most:
                self._hand_out(index, task, attempt + 1)
                return
            text = msgspec.json.encode(lost(error, before + 1))
            before = 0
        self._back.append((index, task, before, text))

    def _write(self) -> None:
        """Read what has come back, and write each row in a transaction of its own."""
        while self._back:
            index, task, before, text = self._back.pop(0)
            try:
                answer = msgspec.json.decode(text, type=Answer)
            except msgspec.DecodeError as error:
                answer = lost(error, 1)
            answer = msgspec.structs.replace(answer, attempts=before + answer.attempts)
            row = filled_in(task.row, answer, worker=self._number(answer.worker))
            self._store.add(row, instead_of=self._stale.pop(row.case_key, ()))
            self._rows[index] = row
            self._tracker.finish(index, row)
            if self._on_row is not None:
                self._on_row(row)

    def _number(self, worker: str) -> str:
        """What a worker is called in rows: its own name may be that of a machine."""
        if not worker:
            return ""
        return self._names.setdefault(worker, f"{self._backend.name}-{len(self._names) + 1}")


def _with_integrals(store: Store, suite: str, rows: Sequence[Row]) -> list[Row]:
    """The rows with primal integrals, once the best value of each question is known; the store has them too."""
    everything = store.rows(suite)
    best = best_values(everything)
    changed = {}
    for row in everything:
        known = best.get(row.question)
        integral = None if known is None else primal_integral(row, known)
        if integral != row.primal_integral:
            changed[row.key] = msgspec.structs.replace(row, primal_integral=integral)
    store.add(*changed.values())
    return [changed.get(row.key, row) for row in rows]
