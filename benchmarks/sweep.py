"""What a sweep runs: the cases of a suite over seeds, limits, objectives and solvers, as rows without results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.case import Case, Job, Measurement, Task
from benchmarks.executors.work import code_digest
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.process import default_patience
from benchmarks.suites import suite_cases
from dnnplan.instances import InputError, Instance
from dnnplan.instances.wording import suggestion
from dnnplan.reports.runs import Row
from dnnplan.solvers import solver_names
from dnnplan.solvers.registry import PROBLEMS

MEASUREMENT_PATIENCE = 10.0
"""A measurement that takes this many times longer than it should is killed."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A suite, and what is varied in it.

    Parameters
    ----------
    suite
        Its name.
    seeds
        Every case is run with each of them; measurements once.
    time_limits
        Seconds; every case is run with each of them. Empty: the limits of the suite.
    objectives
        Every instance is solved for each of them. Empty: as the suite says.
    solvers
        Of the suite's cases only those of these solvers; one that the suite does not name is run on all its
        questions. Empty: as the suite says. With any, measurements are left out.
    workers
        Threads that each solve may use.
    memory
        Bytes that each solve may hold, with the processes that it starts.
    grace
        Seconds after its time limit at which a solve is killed; None: as long as the limit, and a minute.
    given
        Cases to run instead of those of the suite, whose name is then only a name.
    """

    suite: str
    seeds: Sequence[int] = (0,)
    time_limits: Sequence[float] = ()
    objectives: Sequence[str] = ()
    solvers: Sequence[str] = ()
    workers: int = 2
    memory: int | None = None
    grace: float | None = None
    given: Sequence[Case | Measurement] = ()

    def cases(self) -> list[Case | Measurement]:
        """All cases in the order in which they are run; seeds aside.

        Raises
        ------
        InputError
            There is no such suite, or no such solver.
        """
        listed = list(self.given or suite_cases(self.suite))
        if self.solvers:
            listed = list(_with_solvers([case for case in listed if isinstance(case, Case)], self.solvers))
        cases: list[Case | Measurement] = []
        for case in listed:
            if isinstance(case, Measurement):
                cases.append(case)
                continue
            for objective in self.objectives or (case.objective,):
                for limit in self.time_limits or (case.time_limit,):
                    cases.append(replace(case, objective=objective, time_limit=limit))
        # Cases that differ only in what is replaced are one.
        return list({_identity(case): case for case in cases}.values())

    def count(self, cases: Sequence[Case | Measurement]) -> int:
        """How many rows these cases make."""
        return sum(1 if isinstance(case, Measurement) else len(self.seeds) for case in cases)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A row without results, and the task that fills it in.

    Parameters
    ----------
    alone
        Nothing else may run meanwhile: it measures time.
    seconds
        What it should take at most.
    """

    row: Row
    task: Task
    alone: bool
    seconds: float


def planned(sweep: Sweep, cases: Sequence[Case | Measurement]) -> Iterator[Planned]:
    """Everything the sweep runs, one after the other; an instance is built when it is needed."""
    built = _LastBuilt()
    for case in cases:
        if isinstance(case, Measurement):
            yield _measurement(sweep, case)
        else:
            instance = built.get(case)
            for seed in sweep.seeds:
                yield _solve(sweep, case, instance, seed)


class _LastBuilt:
    """The instance that was built last: suites name one for several solvers in a row."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._instance: Instance | None = None

    def get(self, case: Case) -> Instance:
        if self._instance is None or self._name != case.instance:
            self._name, self._instance = case.instance, case.build()
        return self._instance


def _measurement(sweep: Sweep, case: Measurement) -> Planned:
    row = Row(
        suite=sweep.suite,
        kind="measure",
        instance=case.name,
        versions=describe_versions(),
        machine=describe_machine(),
        status="unknown",
        stop_reason="error",
    )
    job = Job(measure=case.name, module=case.module)
    task = Task(job=job, patience=MEASUREMENT_PATIENCE * case.seconds, code=code_digest())
    return Planned(row=row, task=task, alone=True, seconds=case.seconds)


def _solve(sweep: Sweep, case: Case, instance: Instance, seed: int) -> Planned:
    row = Row(
        suite=sweep.suite,
        instance=case.instance,
        instance_hash=instance.hash(),
        layers=sum(len(model.layers) for model in instance.models),
        devices=0 if instance.platform is None else sum(d.count for d in instance.platform.devices),
        solver=case.solver,
        problem=case.problem,
        objective=case.objective,
        limits=dict(case.limits),
        time_limit=case.time_limit,
        seed=seed,
        workers=sweep.workers,
        limit_memory=sweep.memory,
        versions=describe_versions(),
        machine=describe_machine(),
        status="unknown",
        stop_reason="error",
    )
    job = Job(
        instance=instance,
        solver=case.solver,
        problem=case.problem,
        objective=case.objective,
        limits=dict(case.limits),
        time_limit=case.time_limit,
        seed=seed,
        workers=sweep.workers,
    )
    patience = default_patience(case.time_limit)
    if sweep.grace is not None:
        patience = case.time_limit + sweep.grace
    task = Task(job=job, patience=patience, memory=sweep.memory, code=code_digest())
    return Planned(row=row, task=task, alone=False, seconds=case.time_limit)


def _identity(case: Case | Measurement) -> tuple[object, ...]:
    if isinstance(case, Measurement):
        return (case.name,)
    return (*_question(case), case.solver, case.time_limit)


def _question(case: Case) -> tuple[object, ...]:
    return (case.instance, case.problem, case.objective, tuple(sorted(case.limits.items())))


def _with_solvers(cases: Sequence[Case], solvers: Sequence[str]) -> Iterator[Case]:
    """Of each question of a suite the cases of these solvers, made where the suite does not have them."""
    known = dict.fromkeys(name for problem in PROBLEMS for name in solver_names(problem))
    for solver in solvers:
        if solver not in known:
            raise InputError(f"{solver}: no such solver{suggestion(solver, list(known))}")
    own = {case.solver for case in cases}
    seen: set[tuple[object, ...]] = set()
    for case in cases:
        if case.solver in solvers:
            yield case
        question = _question(case)
        if question not in seen:
            seen.add(question)
            for solver in solvers:
                if solver not in own:
                    yield replace(case, solver=solver)
