"""The machine itself: a thread a job, which waits for the process that does the work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.children import end_all, warm_up
from benchmarks.executors.backend import ExecutorBackend


class LocalBackend(ExecutorBackend):
    """So many processes at once; the threads only wait for them, so the interpreter's lock is in nobody's way."""

    def __init__(self, jobs: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="bench")
        super().__init__(self._threads, slots=jobs, name="local")
        warm_up()

    def capacity(self) -> int:
        """One more than run, so that the next one begins while the sweep reads what the last one said."""
        return super().capacity() + 1

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
