"""CP-SAT beside the thread that started it: reports on their way to a search, limits, and Ctrl-C."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from typing import Any

from dnnplan.instances.errors import DnnplanError, SolverError
from dnnplan.solvers.search import Search, TaskSearch

EPSILON = sys.float_info.epsilon


def safe_bound(bound: float, unit: float, constant: float = 0.0) -> float:
    """A bound of the integer model, rounded up to whole steps, in the unit of the objective; `constant` is added."""
    steps = math.ceil(bound - 1e-6) * unit
    lowered = steps - 1e-12 * abs(steps)
    return lowered + constant - 4 * EPSILON * (abs(steps) + abs(constant)) if constant else lowered


class Reports:
    """Plans and bounds that CP-SAT finds, handed to the search from the thread that started it.

    Of plans that come quickly one after the other only the last ones are handed on; all of them, in their turn and
    when CP-SAT is through, where runs are to be repeatable: with one worker and a limit on work instead of time.
    """

    def __init__(self, search: Search | TaskSearch[Any], unit: float, constant: float = 0.0) -> None:
        self.search, self.unit, self.constant = search, unit, constant
        settings = search.settings
        by_work = settings.work_limit is not None or settings.time_limit is None
        self.repeatable = settings.workers == 1 and by_work
        self.lock = threading.Lock()
        self.found: list[Any] = []

    def plan(self, decisions: Any) -> None:
        """Note a plan; called from any thread."""
        with self.lock:
            self.found.append(decisions)

    def bound(self, value: float) -> None:
        """Note a bound of the integer model; called from any thread."""
        with self.lock:
            self.found.append(value)

    def flush(self, *, ended: bool = False) -> None:
        """Hand on what has come in, from the thread of the search; `ended`: CP-SAT is through."""
        if self.repeatable and not ended:
            return
        with self.lock:
            found, self.found = self.found, []
        if not self.repeatable:
            plans = [item for item in found if not isinstance(item, float)][-3:]
            bounds = [item for item in found if isinstance(item, float)][-1:]
            found = [*plans, *bounds]
        for item in found:
            if not isinstance(item, float):
                self.search.propose(item)
            elif math.isfinite(item):
                self.search.improve_bound(safe_bound(item, self.unit, self.constant), "CP-SAT")


def run_in_thread(
    work: Callable[[], int], stop: Callable[[], None], reports: Reports, search: Search | TaskSearch[Any]
) -> int:
    """Run the native search beside this thread, which stays free for Ctrl-C, limits and reports.

    Under a work limit reports wait for the end (`Reports`): what is kept and when the run stops must not depend on the
    clock.
    """
    return run_beside(work, stop, search, reports.flush)


def run_beside(
    work: Callable[[], int],
    stop: Callable[[], None],
    search: Search | TaskSearch[Any],
    between: Callable[[], None] = lambda: None,
) -> int:
    """Run native code in a thread until it ends or the search is finished, calling `between` again and again."""
    outcome: list[int] = []
    failure: list[BaseException] = []
    # An interrupted Thread.join takes the thread for ended (Python 3.11): an event says when it is.
    ended = threading.Event()

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=target, name="cp-sat", daemon=True).start()
    try:
        while not ended.wait(0.05):
            between()
            if search.finished():
                break
    except KeyboardInterrupt:
        search.interrupted = True
    finally:
        # Again and again: a stop that comes before the native search has begun is lost.
        while not ended.is_set():
            stop()
            ended.wait(0.05)
    if failure:
        raise _typed(failure[0]) from failure[0]
    return outcome[0]


def _typed(error: BaseException) -> BaseException:
    """What native code, or what reads its answer, has raised."""
    if isinstance(error, DnnplanError) or not isinstance(error, Exception):
        return error
    return SolverError(
        f"a native back end failed, or its answer is none: {type(error).__name__}: {str(error)[:300]}"
    )
