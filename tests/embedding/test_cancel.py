"""Ending searches from another thread, and what callbacks raise."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

import dnnplan
from benchmarks.embedding_cases import busy
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered
from dnnplan.solvers import Progress, registry
from dnnplan.solvers.lists.constructive import SingleDevice
from dnnplan.solvers.registry import PROBLEMS, Capabilities

EVERY = [(problem, solver) for problem in PROBLEMS for solver in PROBLEMS[problem]]
PATIENCE = 60.0
"""Seconds after which a test takes something for stuck."""


@pytest.mark.parametrize(("problem", "solver"), EVERY)
def test_every_solver_returns_when_another_thread_asks(problem: str, solver: str) -> None:
    instance, cancel = busy(problem, solver), dnnplan.Cancellation()
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    result = dnnplan.solve(instance, solver, problem=problem, time_limit=PATIENCE, stop=cancel)
    over_before = not cancel.is_set()
    timer.cancel()
    assert over_before or result.stop_reason in ("interrupted", "proved", "exhausted")
    assert result.valid == (result.plan is not None)
    assert result.status in ("optimal", "feasible", "unknown", "infeasible")


@dataclass
class Deaf:
    """A solver that finds one plan, and then looks at nothing but its own switch."""

    summary: str = "looks at no limits"
    capabilities: Capabilities = field(default_factory=Capabilities)

    told = threading.Event()
    leave = threading.Event()
    gone = threading.Event()

    def run(self, problem, search) -> None:
        SingleDevice().run(problem, search)
        Deaf.told.set()
        Deaf.leave.wait(PATIENCE)
        search.improve_bound(search.value * 0.5, "late")
        Deaf.gone.set()


def test_a_solver_that_does_not_listen_is_left_behind_with_its_plan(monkeypatch) -> None:
    monkeypatch.setitem(registry.REGISTRY, "deaf", f"{__name__}:Deaf")
    seen: list[Progress] = []
    result = dnnplan.solve(
        layered(layers=20, devices=3, seed=1),
        "deaf",
        time_limit=None,
        stop=Deaf.told.is_set,
        on_progress=seen.append,
    )
    assert not Deaf.gone.is_set(), "solve has waited for the solver"
    assert (result.status, result.stop_reason, result.valid) == ("feasible", "interrupted", True)
    count, history = len(seen), result.history
    Deaf.leave.set()
    assert Deaf.gone.wait(PATIENCE)
    assert len(seen) == count, "progress was reported after the result"
    assert result.history == history
    assert result.bound is None


def test_later_stages_are_not_begun_once_asked_to_stop() -> None:
    instance = layered(layers=60, devices=4, seed=3)
    result = dnnplan.solve(instance, objective="energy>latency", time_limit=PATIENCE, stop=lambda: True)
    assert result.stop_reason == "interrupted"


class Unwell(Exception):
    """What callbacks raise here."""


HANDS = [
    ("mapping", "auto"),
    ("mapping", "cpsat"),
    ("mapping", "milp"),
    ("mapping", "local_search"),
    ("mapping", "load_milp"),
    ("grouping", "cpsat"),
    ("grouping", "local_search"),
    ("selection", "milp"),
    ("ordering", "relax_and_search"),
    ("joint", "auto"),
    ("serving", "auto"),
]


def only_own_threads(before: set[threading.Thread]) -> list[str]:
    """Names of threads that are still there after a while, and were not before."""
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:
        thread.join(PATIENCE)
    return [thread.name for thread in new if thread.is_alive()]


@pytest.mark.parametrize("asked", [False, True], ids=["progress", "progress-and-stop"])
@pytest.mark.parametrize(("problem", "solver"), HANDS)
def test_what_progress_raises_reaches_the_caller(problem: str, solver: str, asked: bool) -> None:
    before, error = set(threading.enumerate()), Unwell("the user interface is gone")

    def on_progress(progress: Progress) -> None:
        raise error

    stop = (lambda: False) if asked else None
    with pytest.raises(Unwell) as caught:
        dnnplan.solve(
            busy(problem, solver), solver, problem=problem, time_limit=30, on_progress=on_progress, stop=stop
        )
    assert caught.value is error
    assert only_own_threads(before) == []


@pytest.mark.parametrize(("problem", "solver"), HANDS)
def test_what_stop_raises_reaches_the_caller(problem: str, solver: str) -> None:
    before, error = set(threading.enumerate()), Unwell("asked too often")

    def stop() -> bool:
        raise error

    with pytest.raises(Unwell) as caught:
        dnnplan.solve(busy(problem, solver), solver, problem=problem, time_limit=30, stop=stop)
    assert caught.value is error
    assert only_own_threads(before) == []


def test_exceptions_that_are_no_errors_come_through_too() -> None:
    def on_progress(progress: Progress) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        dnnplan.solve(load_bundled("tiny/hand"), on_progress=on_progress)


def test_progress_is_told_by_one_thread_at_a_time() -> None:
    inside, most = [0], [0]
    count = threading.Lock()

    def on_progress(progress: Progress) -> None:
        with count:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.001)
        with count:
            inside[0] -= 1

    dnnplan.solve(
        layered(layers=80, devices=4, seed=1),
        "local_search",
        time_limit=1,
        workers=4,
        on_progress=on_progress,
    )
    assert most[0] == 1


def test_an_event_loop_goes_on_while_a_search_runs() -> None:
    async def cancelled_after(turns: int) -> tuple[int, str]:
        cancel, seen = dnnplan.Cancellation(), 0
        instance = layered(layers=200, devices=4, seed=1)
        search = asyncio.create_task(
            asyncio.to_thread(dnnplan.solve, instance, time_limit=PATIENCE, stop=cancel)
        )
        while seen < turns and not search.done():
            await asyncio.sleep(0.005)
            seen += 1
        cancel.set()
        return seen, (await search).stop_reason

    assert asyncio.run(cancelled_after(20)) == (20, "interrupted")
