"""The machine itself: a thread a job, which waits for the process that does the work."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from benchmarks.children import end_all, warm_up
from benchmarks.executors.backend import ExecutorBackend
from benchmarks.executors.work import run_task
from benchmarks.process import Turn


class LocalBackend(ExecutorBackend):
    """So many processes at once; the threads only wait for them, so the interpreter's lock is in nobody's way.

    One more is handed out: its process reads the job while the others solve, and begins when one of them is through.
    """

    def __init__(self, jobs: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=jobs + 1, thread_name_prefix="bench")
        self._free: SimpleQueue[int] = SimpleQueue()
        for place in range(jobs):
            self._free.put(place)
        super().__init__(self._threads, slots=jobs, name="local")
        warm_up()

    def capacity(self) -> int:
        return super().capacity() + 1

    def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
        return self._threads.submit(run_task, task, Turn(self._free))

    def close(self, *, hurry: bool) -> None:
        if hurry:
            end_all(stop=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        if hurry:
            # What forks is started again when it is needed again.
            end_all()


def local_backend(jobs: int = 1) -> LocalBackend:
    """So many processes of this machine at once."""
    return LocalBackend(jobs)
