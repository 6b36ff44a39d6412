"""How far a sweep is: what is done, what runs, and how long the rest should take."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.case import Case, Measurement
from dnnplan.reports.runs import Row


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where a sweep stands.

    Parameters
    ----------
    done, total
        Rows; those that were there before count as done.
    failed
        Rows of this run that are errors.
    running
        What runs now, and for how long, seconds.
    elapsed, remaining
        Seconds since the start, and until the end as far as limits and earlier rows tell.
    """

    done: int
    total: int
    failed: int
    running: tuple[tuple[str, float], ...]
    elapsed: float
    remaining: float

    def line(self) -> str:
        """One line for people.

        >>> Status(done=3, total=8, failed=0, running=(("tiny heft", 1.0),), elapsed=9.0, remaining=75.0).line()
        '3 of 8 rows, 9 s, about 1 min 15 s to go: tiny heft'
        """
        text = f"{self.done} of {self.total} rows, {duration(self.elapsed)}"
        if self.done < self.total:
            text += f", about {duration(self.remaining)} to go"
        if self.failed:
            text += f", {self.failed} failed"
        return text + (f": {', '.join(name for name, _ in self.running)}" if self.running else "")


def duration(seconds: float) -> str:
    """Whole seconds, minutes or hours.

    >>> duration(4.6), duration(75), duration(7_500)
    ('5 s', '1 min 15 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Estimate:
    """What rows should take: as long as the same question took before, else a usual share of the limit."""

    def __init__(self, earlier: Iterable[Row]) -> None:
        self._known: dict[tuple[object, ...], _Mean] = {}
        self._shares: dict[str, _Mean] = {}
        for row in earlier:
            self.learn(row)

    def learn(self, row: Row) -> None:
        """Take note of a row, of this run or of an earlier one."""
        name = (row.kind, row.instance, row.solver, row.objective, row.time_limit)
        self._known.setdefault(name, _Mean()).add(row.seconds)
        if row.time_limit:
            self._shares.setdefault(row.solver, _Mean()).add(row.seconds / row.time_limit)

    def seconds(self, case: Case | Measurement) -> float:
        """For one row of a case."""
        if isinstance(case, Measurement):
            known = self._known.get(("measure", case.name, "", "", None))
            return case.seconds if known is None else known.mean
        known = self._known.get(("solve", case.instance, case.solver, case.objective, case.time_limit))
        if known is not None:
            return known.mean
        # Until anything is known of a solver, the limit: better early than never.
        share = self._shares.get(case.solver)
        return case.time_limit * (1.0 if share is None else share.mean)


class _Mean:
    def __init__(self) -> None:
        self.mean, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self._count += 1
        self.mean += (value - self.mean) / self._count


class Tracker:
    """Counts what happens, for `Status`."""

    def __init__(self, cases: Sequence[Case | Measurement], seeds: int, earlier: Iterable[Row]) -> None:
        self._estimate = Estimate(earlier)
        self._cases = [case for case in cases for _ in range(1 if isinstance(case, Measurement) else seeds)]
        self._began = time.monotonic()
        self._running: dict[int, tuple[str, float]] = {}
        self._done = self._failed = self._reached = 0

    def skip(self, index: int) -> None:
        """The row of that number was there."""
        self._done += 1
        self._reached = max(self._reached, index + 1)

    def start(self, index: int, name: str) -> None:
        """It has been handed out, for the first time or again."""
        self._running[index] = (name, time.monotonic())
        self._reached = max(self._reached, index + 1)

    def finish(self, index: int, row: Row) -> None:
        """It has come back and is stored."""
        self._running.pop(index, None)
        self._done += 1
        self._failed += row.status == "error"
        self._estimate.learn(row)

    def status(self, parallel: int) -> Status:
        """Where it stands, with so many rows at once."""
        now = time.monotonic()
        left = sum(map(self._estimate.seconds, self._cases[self._reached :]))
        for index, (_, since) in self._running.items():
            left += max(0.0, self._estimate.seconds(self._cases[index]) - (now - since))
        return Status(
            done=self._done,
            total=len(self._cases),
            failed=self._failed,
            running=tuple((name, now - since) for name, since in self._running.values()),
            elapsed=now - self._began,
            remaining=left / max(1, parallel),
        )
