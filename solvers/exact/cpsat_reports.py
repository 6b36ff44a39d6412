"""CP-SAT beside the thread that started it: reports on their way to a search, limits, and Ctrl-C."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from dnnplan.costs import Decisions
from dnnplan.solvers.search import Search


def safe_bound(bound: float, unit: float) -> float:
    """A bound of the integer model, rounded up to whole steps, in the unit of the objective."""
    return math.ceil(bound - 1e-6) * unit * (1 - 1e-12)


class Reports:
    """Plans and bounds that CP-SAT finds, handed to the search from the thread that started it.

    Of plans that come quickly one after the other only the last ones are handed on; all of them, in their turn and
    when CP-SAT is through, where runs are to be repeatable: with one worker and a limit on work instead of time.
    """

    def __init__(self, search: Search, unit: float) -> None:
        self.search, self.unit = search, unit
        settings = search.settings
        by_work = settings.work_limit is not None or settings.time_limit is None
        self.repeatable = settings.workers == 1 and by_work
        self.lock = threading.Lock()
        self.found: list[Decisions | float] = []

    def plan(self, decisions: Decisions) -> None:
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
                self.search.improve_bound(safe_bound(item, self.unit), "CP-SAT")


def run_in_thread(work: Callable[[], int], stop: Callable[[], None], reports: Reports, search: Search) -> int:
    """Run the native search beside this thread, which stays free for Ctrl-C, limits and reports.

    Under a work limit reports wait for the end (`Reports`): what is kept and when the run stops must not depend on the
    clock.
    """
    return run_beside(work, stop, search, reports.flush)


def run_beside(
    work: Callable[[], int],
    stop: Callable[[], None],
    search: Search,
    between: Callable[[], None] = lambda: None,
) -> int:
    """Run native code in a thread until it ends or the search is finished, calling `between` again and again."""
    outcome: list[int] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target, name="cp-sat", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
            between()
            if search.finished():
                stop()
                thread.join()
    except KeyboardInterrupt:
        search.interrupted = True
        stop()
        thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
