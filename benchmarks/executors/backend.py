"""What a sweep needs of those who do the work, and how any executor becomes that."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Protocol

from benchmarks.executors.work import run_task


class Backend(Protocol):
    """Where tasks run.

    Parameters
    ----------
    name
        What its workers are called in the rows: ``local-1``, ``local-2``, ...
    anywhere
        Its workers may be on other machines, so that a row counts as done whatever machine it was run on.
    counts
        It knows how often a task was started.
    """

    name: str
    anywhere: bool
    counts: bool

    def capacity(self) -> int:
        """How many tasks to have handed out: those that run, and what should wait for them."""

    def parallel(self) -> int:
        """How many tasks run at once, for estimates."""

    def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
        """Have a task run that keeps so many cores busy."""

    def starts(self, future: Future[bytes]) -> int:
        """How often the task is known to have been started; 0: nobody counts."""

    def close(self, *, hurry: bool) -> None:
        """Let go of the workers; `hurry`: end what still runs."""


class ExecutorBackend:
    """Any executor that somebody made; it is left open for them.

    Parameters
    ----------
    executor
        A pool of threads or processes, of MPI ranks, of anything that can call a function of one argument.
        Its workers need the same checkout.
    slots
        How many tasks it runs at once.
    anywhere
        Its workers may be on other machines.
    """

    def __init__(
        self, executor: Executor, *, slots: int, name: str = "worker", anywhere: bool = False
    ) -> None:
        self.name, self.anywhere, self.counts = name, anywhere, False
        self._executor, self._slots = executor, slots

    def capacity(self) -> int:
        return self._slots

    def parallel(self) -> int:
        return self._slots

    def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
        return self._executor.submit(run_task, task)

    def starts(self, future: Future[bytes]) -> int:
        return 0

    def close(self, *, hurry: bool) -> None:
        """The executor belongs to the one who made it."""
