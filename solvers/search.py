"""What a solver is handed for one run: limits, randomness, and where it reports plans and bounds."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dnnplan.costs import Decisions, Evaluation, MappingProblem, evaluate
from dnnplan.costs.judged import Judged, TaskProblem, broken_limits
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.instances import Plan, PlanError
from dnnplan.instances import Problem as Reason
from dnnplan.instances.result import GAP_TOLERANCE, StopReason, relative_gap
from dnnplan.solvers.cancellation import Callbacks

log = logging.getLogger("dnnplan")
UNLIMITED_SECONDS = 60.0
"""What a search that cannot prove anything takes, where there is no limit, before the next one has its turn."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A snapshot for people who watch: seconds since the start, best value, best bound, gap, who found it."""

    seconds: float
    value: float | None
    bound: float | None
    gap: float | None
    solver: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and switches of a run.

    Parameters
    ----------
    time_limit
        Seconds of wall time, model building included; None: no limit.
    work_limit
        Deterministic units of work (one unit is about one second of CP-SAT's deterministic time, 10,000
        decoded schedules, or 50,000 steps of local search); None: no limit.
    workers
        Threads.
    seed
        Seed of all random choices.
    gap
        Relative gap at which a plan counts as optimal.
    warm_start
        A plan to start from.
    on_progress
        Called whenever value or bound improves.
    stop
        Asked often, from several threads; True ends the run with the incumbent.
    callbacks
        What `on_progress` and `stop` are part of, where `solve` has put them there.
    """

    time_limit: float | None = 60.0
    work_limit: float | None = None
    workers: int = 2
    seed: int = 0
    gap: float = GAP_TOLERANCE
    warm_start: Plan | None = None
    on_progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    callbacks: Callbacks | None = None


View = TypeVar("View")
Answer = TypeVar("Answer")
Problem = TypeVar("Problem", bound=TaskProblem)


@dataclass(eq=False)
class Run(Generic[View, Answer]):
    """One run on a view: keeps the incumbent, the best bound, the history, and the clock.

    A solver calls `propose` with every plan it finds and `improve_bound` with every proven bound, and asks
    `finished` whether to go on. Threads may report at the same time.
    """

    problem: View
    settings: Settings
    name: str = ""
    began: float = field(default_factory=time.perf_counter)
    best: Answer | None = None
    value: float | None = None
    bound: float | None = None
    bound_name: str | None = None
    history: list[tuple[float, float | None, float | None]] = field(default_factory=list)
    infeasible: str | None = None
    interrupted: bool = False
    exhausted: bool = False
    work: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without time limit."""
        limit = self.settings.time_limit
        return float("inf") if limit is None else max(0.0, limit - self.seconds)

    def share(self, part: float) -> float:
        """Seconds: that part of the time that is left; `UNLIMITED_SECONDS` where nothing is limited.

        Under a work limit alone it is infinite: the work ends the run then, and the clock decides nothing.
        """
        if math.isfinite(self.remaining) or self.settings.work_limit is not None:
            return part * self.remaining
        return UNLIMITED_SECONDS

    @property
    def remaining_work(self) -> float:
        """Units of work left; infinite without work limit."""
        limit = self.settings.work_limit
        return float("inf") if limit is None else max(0.0, limit - self.work)

    @property
    def gap(self) -> float | None:
        """Relative gap between incumbent and bound."""
        return relative_gap(self.value, self.bound)

    @property
    def proved(self) -> bool:
        """Whether the incumbent is optimal within the tolerance, or there is provably no plan."""
        return self.infeasible is not None or (self.gap is not None and self.gap <= self.settings.gap)

    def finished(self) -> bool:
        """Whether to stop now: proved, out of time or work, or asked to."""
        if self.settings.stop is not None and self.settings.stop():
            self.interrupted = True
        return self.interrupted or self.proved or self.remaining <= 0 or self.remaining_work <= 0

    @property
    def stop_reason(self) -> StopReason:
        """Why the run ended, as far as this object knows."""
        if self.proved:
            return (
                "proved"
                if self.settings.gap <= GAP_TOLERANCE or (self.gap or 0.0) <= GAP_TOLERANCE
                else "gap_limit"
            )
        if self.interrupted:
            return "interrupted"
        if self.remaining <= 0:
            return "time_limit"
        return "work_limit" if self.remaining_work <= 0 else "exhausted"

    def keep(self, answer: Answer, value: float) -> bool:
        """Keep a feasible answer if it is better than the incumbent; True if it was kept."""
        with self.lock:
            if not self.improves(value):
                return False
            self.best, self.value = answer, value
            self._record()
        return True

    def improves(self, value: float) -> bool:
        """Whether a value is better than that of the incumbent."""
        return self.value is None or value < self.value - 1e-12 * abs(self.value)

    def improve_bound(self, bound: float, name: str) -> bool:
        """Report a proven lower bound on the objective; True if it is better than what was known."""
        with self.lock:
            if self.bound is not None and bound <= self.bound:
                return False
            self.bound, self.bound_name = bound, name
            self._record()
        return True

    def _record(self) -> None:
        self.history.append((self.seconds, self.value, self.bound))
        log.info(
            "%s: value %s bound %s (%s) after %.2f s",
            self.name,
            self.value,
            self.bound,
            self.bound_name,
            self.seconds,
        )
        if self.settings.on_progress is not None:
            self.settings.on_progress(
                Progress(
                    seconds=self.seconds, value=self.value, bound=self.bound, gap=self.gap, solver=self.name
                )
            )


@contextmanager
def _of_warm_start() -> Iterator[None]:
    """Errors of a plan say that it is the warm start."""
    try:
        yield
    except PlanError as error:
        problems = [
            Reason(f"warm_start.{p.path}" if p.path else "warm_start", p.message) for p in error.problems
        ]
        raise PlanError(problems=problems) from None


@dataclass(eq=False)
class Search(Run[MappingProblem, Evaluation]):
    """A run whose plans are mappings."""

    def propose(self, plan: Plan | Decisions) -> bool:
        """Evaluate a plan and keep it if it is feasible and better than the incumbent; True if it was kept."""
        try:
            evaluation = evaluate(self.problem, plan)
        except PlanError as error:
            log.debug("%s proposed a plan that cannot run: %s", self.name, error)
            return False
        return self.accept(evaluation)

    def start_from(self, plan: Plan) -> None:
        """Begin with a plan that somebody handed over.

        Raises
        ------
        PlanError
            It does not fit the instance, or cannot run.
        """
        with _of_warm_start():
            self.accept(evaluate(self.problem, plan))

    def accept(self, evaluation: Evaluation) -> bool:
        """Keep an evaluated plan if it is feasible and better than the incumbent; True if it was kept."""
        value = objective_value(self.problem.stages[0], evaluation.cost)
        return self.improves(value) and is_feasible(evaluation) and self.keep(evaluation, value)


@dataclass(eq=False)
class TaskSearch(Run[Problem, Judged]):
    """A run whose plans are task graphs, orders or choices of networks."""

    def propose(self, answer: Any) -> bool:
        """Judge an answer, a plan or decisions as indices, and keep it if it is feasible and better."""
        try:
            judged = self.problem.judge(answer)
        except PlanError as error:
            log.debug("%s proposed a plan that does not fit: %s", self.name, error)
            return False
        return self.accept(judged)

    def start_from(self, plan: Plan) -> None:
        """Begin with a plan that somebody handed over.

        Raises
        ------
        PlanError
            It does not fit the instance.
        """
        with _of_warm_start():
            self.accept(self.problem.judge(plan))

    def accept(self, judged: Judged) -> bool:
        """Keep a judged answer if it is feasible and better than the incumbent; True if it was kept."""
        return judged.feasible and self.keep(judged, judged.value)

    def improve_bound(self, bound: float, name: str) -> bool:
        """Report a proven lower bound; one above what the limits allow says that there is no answer."""
        better = super().improve_bound(bound, name)
        if better and self.best is None and self.infeasible is None:
            self.infeasible = broken_limits(self.problem.stages[0], self.problem.limits, bound)
        return better
