"""Ending a search from another thread, and bringing what callbacks raise to the caller of `solve`."""

from __future__ import annotations

import contextvars
import copy
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances import Instance, ObjectiveValue, Result
from dnnplan.solvers.back_ends import back_end_failed
from dnnplan.solvers.versions import versions

if TYPE_CHECKING:
    from dnnplan.solvers.search import Progress, Run, Settings

LOOK = 0.02
"""Seconds between looks at whether somebody has asked to stop."""
GRACE = 0.15
"""Seconds that a search has to end by itself; later what it found so far is taken, and it ends in the background."""

_halt: contextvars.ContextVar[NDArray[np.uint8] | None] = contextvars.ContextVar("halt", default=None)

T = TypeVar("T")
V = TypeVar("V")


class Cancellation(threading.Event):
    """A switch that ends a search from any thread: hand it over as `stop`, and `set` it.

    Examples
    --------
    >>> import dnnplan
    >>> cancel = dnnplan.Cancellation()
    >>> cancel.set()
    >>> dnnplan.solve(dnnplan.load("tiny/hand"), stop=cancel).stop_reason
    'interrupted'
    """

    def __call__(self) -> bool:
        """Whether it has been set."""
        return self.is_set()


class Callbacks:
    """What the caller of `solve` handed over, for searches in several threads.

    `progress` is called by one thread at a time. What a callback raises ends the search like `stop` does, so that no
    thread is left behind, and is raised by `solve` when everything has ended. Once asked to stop, always asked to stop.
    """

    def __init__(
        self, on_progress: Callable[[Progress], None] | None, stop: Callable[[], bool] | None
    ) -> None:
        self._progress, self._stop = on_progress, stop
        self.watched = stop is not None
        self.stopped, self.closed = False, False
        self.failure: BaseException | None = None
        self.lock = threading.RLock()

    def stop(self) -> bool:
        """Whether to end: the caller says so, or a callback has failed."""
        if not self.stopped and self._stop is not None:
            try:
                self.stopped = bool(self._stop())
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._fail(error)
        return self.stopped

    def progress(self, progress: Progress) -> None:
        """Tell the caller, unless the search is over for it."""
        if self._progress is None:
            return
        with self.lock:
            if self.closed or self.failure is not None:
                return
            try:
                self._progress(progress)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.stopped = True

    def close(self) -> None:
        """Nothing is told any more; what a callback has raised is raised here."""
        with self.lock:
            self.closed = True
        if self.failure is not None:
            raise self.failure

    def cancellable(self, work: Callable[[], T], told: Callable[[], None] = lambda: None) -> T | None:
        """Do some work in a thread of its own where the caller may ask to stop, else in this one.

        Returns
        -------
        What `work` returns; None if it had not ended `GRACE` seconds after somebody asked. Then it goes on in the
        background, a compiler or a native library as far as it has to, and nobody looks at what it finds.
        `told` is called when somebody asks.
        """
        if not self.watched:
            return work()
        outcome: list[T] = []
        failure: list[BaseException] = []
        # An interrupted Thread.join takes the thread for ended (Python 3.11): an event says when it is.
        ended = threading.Event()
        context, halt = contextvars.copy_context(), np.zeros(1, dtype=np.uint8)
        context.run(_halt.set, halt)

        def target() -> None:
            try:
                outcome.append(context.run(work))
            except BaseException as error:
                failure.append(error)
            finally:
                ended.set()

        threading.Thread(target=target, name="dnnplan-search", daemon=True).start()
        try:
            while not ended.wait(LOOK) and not self.stop():
                pass
        except KeyboardInterrupt:
            self.stopped = True
        if not ended.is_set():
            halt[0] = 1
            told()
            ended.wait(GRACE)
        if failure:
            raise failure[0]
        return outcome[0] if outcome else None


def halt_flag() -> NDArray[np.uint8]:
    """(1,) for kernels that run long: not 0 from the moment on when the caller of `solve` has asked to stop."""
    halt = _halt.get()
    return np.zeros(1, dtype=np.uint8) if halt is None else halt


R = TypeVar("R", bound="Run[Any, Any]")


def run_cancellable(search: R, work: Callable[[], None]) -> R:
    """Run a solver; returns its search, or what it has found so far where it does not end in time when asked to."""
    callbacks = search.settings.callbacks

    def whole() -> bool:
        try:
            work()
        except KeyboardInterrupt:
            search.interrupted = True
        except Exception as error:
            back_end_failed(search, error)
        return True

    def told() -> None:
        search.interrupted = True

    if callbacks is None:
        whole()
        return search
    if callbacks.cancellable(whole, told) is not None:
        return search
    with search.lock:
        frozen = copy.copy(search)
        frozen.history = list(search.history)
    return frozen


def view_of(make: Callable[[Instance], V], instance: Instance, settings: Settings) -> V | None:
    """The view of an instance; None where somebody asked to stop before it was made."""
    callbacks = settings.callbacks
    return make(instance) if callbacks is None else callbacks.cancellable(lambda: make(instance))


def cancelled_result(instance: Instance, solver: str, settings: Settings, began: float) -> Result:
    """The result of a search that was ended before it began."""
    return Result(
        status="unknown",
        stop_reason="interrupted",
        objective=ObjectiveValue(name=instance.objective, value=None, unit=None),
        runtime=time.perf_counter() - began,
        solver=solver,
        seed=settings.seed,
        versions=versions(),
    )
