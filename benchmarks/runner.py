"""Running a suite into a store: one process a row, finished rows are not run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.case import Answer, Case, Job, Measurement
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.process import run_in_process
from benchmarks.suites import suite_cases, suite_names, suite_summary
from dnnplan.instances import Instance
from dnnplan.reports.runs import Row, Store

MEASUREMENT_PATIENCE = 10.0
"""A measurement that takes this many times longer than it should is killed."""


def list_suites() -> dict[str, str]:
    """What there is to run: name of each suite and what it is for."""
    return {name: suite_summary(name) for name in suite_names()}


def run_suite(
    name: str,
    store_path: str | Path,
    *,
    time_limit: float | None = None,
    seeds: Sequence[int] = (0,),
    workers: int = 2,
    again: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Run what is missing of a suite, and return all of its rows.

    A row counts as done if the store has one of the same suite, instance, solver, objective, limits, time
    limit, seed, workers, versions (a digest of the library's sources included), processor and Python. Failed
    rows count as done as well; `again` runs everything once more and replaces it.

    Parameters
    ----------
    time_limit
        Seconds for every case; None: the suite's own. Measurements have none.
    seeds
        Every case is run with each of them; measurements once.
    on_row
        Called with each row that was run now, after it has been written.

    Raises
    ------
    InputError
        No such suite, or the store is not one.
    """
    rows = []
    with Store(store_path) as store:
        built = _LastBuilt()
        for case in suite_cases(name):
            if isinstance(case, Measurement):
                planned = [(_measurement_row(name, case), Job(measure=case.name, module=case.module))]
                patience: float | None = MEASUREMENT_PATIENCE * case.seconds
            else:
                patience = None
                limit = case.time_limit if time_limit is None else time_limit
                instance = built.get(case)
                planned = [
                    _solve_row(name, case, instance, time_limit=limit, seed=seed, workers=workers)
                    for seed in seeds
                ]
            for row, job in planned:
                done = None if again else store.find(row.key)
                if done is None:
                    done = _run(row, job, patience)
                    store.add(done)
                    if on_row is not None:
                        on_row(done)
                rows.append(done)
    return rows


class _LastBuilt:
    """The instance that was built last: suites name one for several solvers in a row."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._instance: Instance | None = None

    def get(self, case: Case) -> Instance:
        if self._instance is None or self._name != case.instance:
            self._name, self._instance = case.instance, case.build()
        return self._instance


def _measurement_row(suite: str, case: Measurement) -> Row:
    return Row(
        suite=suite,
        kind="measure",
        instance=case.name,
        versions=describe_versions(),
        machine=describe_machine(),
        status="unknown",
        stop_reason="error",
    )


def _solve_row(
    suite: str, case: Case, instance: Instance, *, time_limit: float, seed: int, workers: int
) -> tuple[Row, Job]:
    """What is to be run, as a row without results, and as the job for the process."""
    row = Row(
        suite=suite,
        instance=case.instance,
        instance_hash=instance.hash(),
        layers=sum(len(model.layers) for model in instance.models),
        devices=0 if instance.platform is None else sum(d.count for d in instance.platform.devices),
        solver=case.solver,
        objective=case.objective,
        limits=dict(case.limits),
        time_limit=time_limit,
        seed=seed,
        workers=workers,
        versions=describe_versions(),
        machine=describe_machine(),
        status="unknown",
        stop_reason="error",
    )
    job = Job(
        instance=instance,
        solver=case.solver,
        objective=case.objective,
        limits=dict(case.limits),
        time_limit=time_limit,
        seed=seed,
        workers=workers,
    )
    return row, job


def _run(row: Row, job: Job, patience: float | None) -> Row:
    """Run the job and fill the row in."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    answer = run_in_process(job, patience=patience)
    row = msgspec.structs.replace(
        row, started_at=started, seconds=answer.seconds, peak_memory=answer.peak_memory
    )
    if answer.error:
        return msgspec.structs.replace(row, status="error", stop_reason="error", message=answer.error)
    return _measured(row, answer) if job.measure else _solved(row, answer)


def _measured(row: Row, answer: Answer) -> Row:
    return msgspec.structs.replace(
        row,
        status="measured",
        stop_reason="exhausted",
        value=answer.value,
        unit=answer.unit,
        target=answer.target,
        reached=answer.reached,
        message=answer.note,
    )


def _solved(row: Row, answer: Answer) -> Row:
    result = answer.result
    assert result is not None
    violations = answer.violations
    # A plan that `check` refuses is an error here, whatever the solver thought of it.
    refused = bool(violations)
    return msgspec.structs.replace(
        row,
        status="error" if refused else result.status,
        stop_reason=result.stop_reason,
        value=result.objective.value,
        unit=result.objective.unit,
        bound=result.bound,
        bound_name=result.bound_name,
        gap=result.gap,
        valid=None if violations is None else not violations,
        violations=violations or (),
        message=result.message,
        cost=result.cost,
        history=result.history,
        plan=result.plan,
    )
