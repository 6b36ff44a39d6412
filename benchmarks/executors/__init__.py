"""Who runs the tasks of a sweep: any `concurrent.futures.Executor`; ready-made: this machine, and Dask."""

from benchmarks.executors.backend import Backend, ExecutorBackend
from benchmarks.executors.local import local_backend

__all__ = ["Backend", "ExecutorBackend", "local_backend"]
