"""Dask distributed: a cluster that is there, by its address, or one on this machine that is started for the sweep."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from benchmarks.executors.work import code_digest, run_task
from dnnplan.instances import InputError
from dnnplan.instances.errors import MissingDependencyError

LOCAL = "local"
TOPIC = "dnnplan-bench"
CORES = "cores"
"""The resource that workers are started with, ``dask worker --resources cores=8``, and that tasks ask for."""
WAIT_SECONDS = 600.0
AHEAD = 2
"""Tasks that wait at the scheduler: a cluster that grows with its queue has to see one."""


def dask_backend(address: str, *, jobs: int | None = None, cores: int = 1) -> DaskBackend:
    """Tasks for Dask.

    Parameters
    ----------
    address
        Of a scheduler, ``tcp://host:8786``, or ``local``: a cluster of this machine.
    jobs, cores
        Of a local cluster: how many workers, and how many cores each of them has.

    Raises
    ------
    MissingDependencyError
        `distributed` is not installed.
    InputError
        There is no such scheduler, no worker comes, or workers run other code than this process.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingDependencyError('Dask is needed for --dask: pip install "dnnplan[cluster]"') from error
    cluster = None
    if address == LOCAL:
        dask.config.set({"distributed.scheduler.allowed-failures": 1})
        cluster = LocalCluster(
            n_workers=jobs or 1,
            threads_per_worker=1,
            resources={CORES: cores},
            # What solves hold is in processes of their own, with limits of their own.
            memory_limit=0,
            dashboard_address=None,
            host="127.0.0.1",
        )
    try:
        client = Client(cluster if cluster is not None else address, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"no Dask scheduler answers: {error}", source=address) from error
    backend = DaskBackend(client, cluster)
    try:
        backend.greet(address)
    except BaseException:
        backend.close(hurry=True)
        raise
    return backend


class DaskBackend:
    """Tasks as Dask futures; Dask gives those of a worker that dies to another one."""

    name, anywhere, counts = "dask", True, True

    def __init__(self, client: Any, cluster: Any = None) -> None:
        self._client, self._cluster = client, cluster
        self._numbers = count()
        # Weak: a future holds its answer, and the runner is done with it once the row is written.
        self._keys: WeakKeyDictionary[Future[bytes], str] = WeakKeyDictionary()
        self._starts: Counter[str] = Counter()
        self._asked_cores = 1
        self._known: list[Any] = []
        self._known_until = 0.0
        client.subscribe_topic(TOPIC, self._note_start)

    def greet(self, address: str) -> None:
        """Wait for a worker, and make sure that all can do the work."""
        try:
            self._client.wait_for_workers(1, timeout=WAIT_SECONDS)
            digests = self._client.run(code_digest)
        except Exception as error:
            raise InputError(
                f"the workers cannot do the work ({type(error).__name__}: {error}); each needs this checkout and its "
                f"environment: start it as `PYTHONPATH=CHECKOUT dask worker ADDRESS --resources {CORES}=N`",
                source=address,
            ) from error
        own = own_digest()
        others = sorted({digest for digest in digests.values() if digest != own})
        if others:
            raise InputError(
                f"workers run other code ({', '.join(others)}) than this process ({own}): give all the "
                "same checkout and start them again",
                source=address,
            )

    def capacity(self) -> int:
        return self.parallel() + AHEAD

    def parallel(self) -> int:
        workers = self._workers()
        declared = [w["resources"][CORES] for w in workers if CORES in w["resources"]]
        offered = declared or [w["nthreads"] for w in workers]
        return max(1, sum(max(1, int(n // self._asked_cores)) for n in offered))

    def submit(self, task: bytes, *, cores: int) -> Future[bytes]:
        declared = [w["resources"][CORES] for w in self._workers() if CORES in w["resources"]]
        # More than the largest worker has would wait for ever.
        self._asked_cores = cores = min(cores, int(max(declared))) if declared else cores
        key = f"dnnplan-bench-{id(self):x}-{next(self._numbers)}"
        theirs = self._client.submit(
            run_counted,
            task,
            key,
            cores,
            key=key,
            pure=False,
            resources={CORES: cores} if declared else None,
        )
        ours: Future[bytes] = Future()
        self._keys[ours] = key
        theirs.add_done_callback(lambda done: _hand_over(done, ours))
        # Dask forgets a task once nobody holds its future.
        ours.add_done_callback(lambda done: theirs.release())
        return ours

    def starts(self, future: Future[bytes]) -> int:
        return self._starts[self._keys.get(future, "")]

    def close(self, *, hurry: bool) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _workers(self) -> list[Any]:
        """Those that are there; the scheduler is asked once a second."""
        if time.monotonic() >= self._known_until:
            self._known = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
            self._known_until = time.monotonic() + 1.0
        return self._known

    def _note_start(self, event: tuple[float, Any]) -> None:
        self._starts[str(event[1])] += 1


def own_digest() -> str:
    """What the workers have to have."""
    return code_digest()


def _hand_over(theirs: Any, ours: Future[bytes]) -> None:
    """From a Dask future to one of the standard library."""
    try:
        result = theirs.result()
    except Exception as error:
        ours.set_exception(error)
    except BaseException as error:
        # Cancelled: of asyncio, which is no `Exception`.
        ours.set_exception(CancelledError(str(error)))
    else:
        ours.set_result(result)


def run_counted(task: bytes, key: str, cores: int) -> bytes:
    """On the worker: say that the task starts, wait for as many of its threads as cores are needed, run it."""
    from distributed import get_worker

    worker = get_worker()
    taken = nullcontext() if CORES in worker.state.total_resources else _threads(worker).taken(cores)
    with taken:
        worker.log_event(TOPIC, key)
        return run_task(task)


class _Threads:
    """So many cores; where workers declare none, each of their threads counts as one."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, cores: int) -> Iterator[None]:
        """Wait until so many are free, and keep them for the block."""
        cores = min(cores, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cores)
            self._free -= cores
        try:
            yield
        finally:
            with self._changed:
                self._free += cores
                self._changed.notify_all()


_LOCK = threading.Lock()
_THREADS: list[_Threads] = []


def _threads(worker: Any) -> _Threads:
    with _LOCK:
        if not _THREADS:
            _THREADS.append(_Threads(worker.state.nthreads))
        return _THREADS[0]
