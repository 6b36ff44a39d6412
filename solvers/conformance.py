"""Whether a solver does what a solver has to do: for authors of solvers in other packages.

`check_solver` runs a solver by its registered name on small instances, through `solve` as its users do, and compares
with what `auto` proves. The tests of dnnplan ask more of its own solvers, of the same kind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from dnnplan.costs import mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.objectives import UNITS
from dnnplan.instances import Instance, Ordering, Precedence, Result, Sharing, Task, UnsupportedError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import all_executions, layered, random_small, task_sharing, whole_instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.sections import Arrivals, Candidate, Costs, Limits, Stream, Workload
from dnnplan.solvers.facade import solve
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, Settings, TaskSearch
from dnnplan.solvers.tasks import VIEWS

SECONDS, WORK, SLACK = 10.0, 0.05, 1e-6
"""Time limit of a run, limit of work of searches that prove nothing, and relative differences of floats."""
LONG = 60.0
"""Seconds after which a solver that was asked to stop is taken for deaf."""


@dataclass
class _Report:
    """What is wrong so far."""

    name: str
    problem: str
    found: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.found.append(f"{self.name} ({self.problem}): {what}")

    def run(self, instance: Instance, **options: Any) -> Result | None:
        """The result on an instance; None where the solver says that it is for others, or fails."""
        try:
            return solve(
                instance, self.name, problem=self.problem, **{"time_limit": SECONDS, "workers": 1, **options}
            )
        except UnsupportedError:
            return None
        except Exception as error:
            self.expect(False, f"fails on {instance.name}: {type(error).__name__}: {error}")
            return None


def check_solver(name: str, problem: str = "mapping") -> tuple[str, ...]:
    """What is wrong with a registered solver; empty: nothing was found.

    Its plans are valid and keep limits, its bounds hold, nothing is better than a proven optimum, exact solvers prove
    it, warm starts are not lost, it ends when asked to, and one seed gives one answer.

    Raises
    ------
    UnsupportedError
        There is no such solver.
    PluginError
        It is one of another package, and cannot be loaded.

    Examples
    --------
    >>> check_solver("nearest_neighbour", "ordering")
    ()
    """
    solver = get_solver(name, problem)
    report = _Report(name, problem)
    able = solver.capabilities
    report.expect(len(solver.summary) > 10, "its summary says nothing")
    report.expect(bool(able.objectives), "it names no objective")
    if problem == "mapping":
        unknown = set(able.objectives) - set(UNITS)
        report.expect(not unknown, f"unknown objectives {', '.join(sorted(unknown))}")
    if report.found:
        return tuple(report.found)
    answers = 0
    for number, instance in enumerate(_instances(problem)):
        # All objectives on the first one, which is proven at once whatever it is about.
        for objective in able.objectives if number == 0 else able.objectives[:1]:
            answers += _against_proof(report, replace(instance, objective=objective), exact=able.exact)
    report.expect(answers > 0, "it has found no plan on any instance")
    instance = replace(next(_instances(problem)), objective=able.objectives[0])
    _warm_start_is_kept(report, instance)
    _one_seed_one_answer(report, instance)
    _ends_when_asked(report, replace(_larger(problem), objective=able.objectives[0]))
    return tuple(report.found)


def _against_proof(report: _Report, instance: Instance, *, exact: bool) -> bool:
    """Compare with the proven optimum; True if the solver has found a plan."""
    try:
        best = solve(instance, problem=report.problem, time_limit=SECONDS)
    except UnsupportedError:
        return False
    mine = report.run(instance, work_limit=None if exact else WORK)
    if mine is None:
        return False
    where = f"on {instance.name}, {instance.objective}:"
    report.expect(mine.valid or mine.plan is None, f"{where} {[str(v) for v in mine.violations]}")
    if best.status == "infeasible":
        report.expect(mine.plan is None or not mine.valid, f"{where} has a plan where none exists")
        return False
    optimum = best.objective.value
    if best.status != "optimal" or optimum is None:
        return mine.plan is not None
    sign = -1.0 if best.objective.sense == "max" else 1.0
    slack = SLACK * max(abs(optimum), 1e-9) + 1e-4 * abs(optimum) * (not exact)
    report.expect(mine.status != "infeasible", f"{where} says infeasible, and {optimum:g} is possible")
    if mine.bound is not None:
        holds = sign * mine.bound <= sign * optimum + 2e-4 * abs(optimum)
        report.expect(holds, f"{where} its bound {mine.bound!r} does not hold: {optimum!r} is possible")
    if mine.plan is None or mine.objective.value is None:
        report.expect(not exact, f"{where} found no plan in {SECONDS:g} s")
        return False
    better = sign * mine.objective.value < sign * optimum - 2e-4 * abs(optimum) - slack
    report.expect(not better, f"{where} {mine.objective.value!r} is better than the optimum {optimum!r}")
    report.expect(not exact or mine.status == "optimal", f"{where} does not prove it in {SECONDS:g} s")
    report.expect(not check(instance, mine.plan), f"{where} its plan breaks rules")
    return True


def _warm_start_is_kept(report: _Report, instance: Instance) -> None:
    best = solve(instance, problem=report.problem, time_limit=SECONDS)
    if best.plan is None or best.objective.value is None:
        return
    mine = report.run(instance, warm_start=best.plan, work_limit=WORK)
    if mine is not None:
        sign = -1.0 if mine.objective.sense == "max" else 1.0
        kept = mine.objective.value is not None
        kept = kept and sign * mine.objective.value <= sign * best.objective.value * (1 + sign * SLACK)  # type: ignore[operator]
        report.expect(bool(kept), f"loses the warm start on {instance.name}")


def _one_seed_one_answer(report: _Report, instance: Instance) -> None:
    answers = [report.run(instance, seed=3, time_limit=None, work_limit=WORK) for _ in range(2)]
    plans = [None if result is None else result.plan for result in answers]
    report.expect(plans[0] == plans[1], f"one seed gives two plans on {instance.name}")


def _ends_when_asked(report: _Report, instance: Instance) -> None:
    """A thread asks to stop after a moment. `solve` would return whatever the solver does: so it is run alone."""
    ended, asked = threading.Event(), threading.Event()
    settings = Settings(time_limit=None, workers=1, stop=asked.is_set)
    view: Any
    search: Any
    if report.problem == "mapping":
        view = mapping_problem(instance)
        search = Search(view, settings, name=report.name)
    else:
        view = VIEWS[report.problem](instance)
        search = TaskSearch(view, settings, name=report.name)

    def run() -> None:
        try:
            get_solver(report.name, report.problem).run(view, search)
        except UnsupportedError:
            pass
        except Exception as error:
            report.expect(False, f"fails on {instance.name}: {type(error).__name__}: {error}")
        finally:
            ended.set()

    timer = threading.Timer(0.2, asked.set)
    timer.start()
    threading.Thread(target=run, name="dnnplan-conformance", daemon=True).start()
    report.expect(ended.wait(LONG), f"still runs {LONG:g} s after it was asked to stop, on {instance.name}")
    timer.cancel()


# -- instances -------------------------------------------------------------------------------------------------


def _instances(problem: str) -> Iterator[Instance]:
    """Small ones, on which optima are proven at once."""
    return _SMALL[problem]()


def _larger(problem: str) -> Instance:
    """One on which searches go on for a while."""
    return _LARGE[problem]()


def _mapping() -> Iterator[Instance]:
    yield load_bundled("tiny/hand")
    yield layered(layers=8, devices=3, seed=2, restrict=0.3)
    for number, execution in enumerate(all_executions()[::25]):
        yield replace(random_small(number, execution), name=f"small-{number}")


def _grouping() -> Iterator[Instance]:
    for seed in range(3):
        yield task_sharing(4, 2, seed=seed)


def _selection() -> Iterator[Instance]:
    for seed in range(3):
        yield _candidates(4, 8, seed)


def _candidates(tasks: int, count: int, seed: int) -> Instance:
    rng = np.random.default_rng(seed)
    names = [f"t{k}" for k in range(tasks)]
    found = [Candidate(tasks=tuple(names), cost=1.0, loss={name: 2.0 for name in names})]
    for _ in range(count):
        served = [name for name in names if rng.random() < 0.5] or names[:1]
        loss = {name: float(rng.integers(10, 99)) / 50 for name in served}
        found.append(Candidate(tasks=tuple(served), cost=float(rng.integers(1, 4)), loss=loss))
    return Instance(
        name=f"candidates-{tasks}-{seed}",
        tasks=tuple(Task(name=name, model="net") for name in names),
        sharing=Sharing(candidates=tuple(found)),
        limits=Limits(budget=5.0),
    )


def _ordering() -> Iterator[Instance]:
    for seed in range(3):
        yield _switches(5, seed)


def _switches(count: int, seed: int) -> Instance:
    rng = np.random.default_rng(seed)
    names = [f"t{k}" for k in range(count)]
    rows = rng.integers(1, 100, (count, count)).tolist()
    return Instance(
        name=f"switches-{count}-{seed}",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=(Precedence(before=names[0], after=names[-1]),),
        ordering=Ordering(switch=tuple(map(tuple, rows)), closed=bool(seed % 2)),
    )


def _joint() -> Iterator[Instance]:
    for seed in range(2):
        yield _shared_order(4, 2, seed)


def _shared_order(tasks: int, levels: int, seed: int) -> Instance:
    return replace(task_sharing(tasks, levels, seed=seed), ordering=Ordering())


def _serving() -> Iterator[Instance]:
    for seed in range(3):
        yield _samples(4, seed)


def _samples(count: int, seed: int) -> Instance:
    rng = np.random.default_rng(seed)
    layers = tuple(Layer(name=f"l{k}", exit=f"e{k}") for k in (1, 2))
    trace = Arrivals(
        kind="trace",
        times=tuple(map(float, np.sort(rng.integers(0, count, count)))),
        exits=tuple(f"e{k}" for k in rng.integers(1, 3, count)),
    )
    chain = Model(
        name="net", layers=layers, tensors=(Tensor(name="t", source="l1", targets=("l2",), bytes=1),)
    )
    table = {f"e{k}": {str(b): 1.0 + 0.25 * b for b in (1, 2, 3)} for k in (1, 2)}
    return Instance(
        name=f"samples-{count}-{seed}",
        models=(chain,),
        tasks=(Task(name="see", model="net"),),
        workload=Workload(streams=(Stream(name="camera", task="see", arrivals=trace, slo=6.0),)),
        costs=Costs(batch_latency=table),
    )


def _whole() -> Iterator[Instance]:
    yield whole_instance(2, 3, 2)


_SMALL: dict[str, Callable[[], Iterator[Instance]]] = {
    "mapping": _mapping,
    "grouping": _grouping,
    "selection": _selection,
    "ordering": _ordering,
    "joint": _joint,
    "serving": _serving,
    "whole": _whole,
}
_LARGE: dict[str, Callable[[], Instance]] = {
    "mapping": lambda: layered(layers=80, devices=4, seed=3),
    "grouping": lambda: task_sharing(20, 5, seed=3),
    "selection": lambda: _candidates(14, 100, 3),
    "ordering": lambda: _switches(30, 3),
    "joint": lambda: _shared_order(14, 4, 3),
    "serving": lambda: _samples(60, 3),
    "whole": lambda: whole_instance(6, 6, 3, seed=3),
}
