"""What a suite is made of: cases, which the runner turns into jobs for processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from dnnplan.instances import Instance, Result
from dnnplan.instances.fields import Record


@dataclass(frozen=True, kw_only=True)
class Case:
    """A solver on an instance.

    Parameters
    ----------
    instance
        Name of the instance, unique in its suite.
    build
        Makes the instance; called only when the case is run.
    time_limit
        Seconds; `run_suite(time_limit=...)` replaces it.
    objective, limits
        Replace those of the instance.
    problem
        What to decide; empty: what the objective is about.
    """

    instance: str
    build: Callable[[], Instance]
    solver: str
    time_limit: float
    objective: str = ""
    limits: Mapping[str, int | float] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Something else that is measured: `module` has a function ``measure(name) -> Measured``.

    Parameters
    ----------
    seconds
        How long it takes at most, all repeats included; it is killed after ten times that.
    """

    name: str
    module: str = "benchmarks.timings"
    seconds: float = 20.0


class Measured(NamedTuple):
    """What a measurement found; `reached` is None where there is no target. The note is for people."""

    value: float
    unit: str
    target: float | None
    reached: bool | None
    note: str


class Job(Record, kw_only=True):
    """What a process is asked to do: solve `instance`, or run the measurement `measure` of `module`."""

    measure: str = ""
    module: str = ""
    instance: Instance | None = None
    solver: str = ""
    problem: str = ""
    objective: str = ""
    limits: dict[str, int | float] = {}
    time_limit: float | None = None
    seed: int = 0
    workers: int = 1


class Task(Record, kw_only=True):
    """What a worker is asked to do: run a job in a process of its own, within these limits.

    Parameters
    ----------
    patience
        Seconds after which the process is killed.
    memory
        Bytes that the process and those it starts may hold together; None: no limit.
    code
        Digest of the library that the sweep was started with; a worker that runs another one refuses.
    """

    job: Job
    patience: float
    memory: int | None = None
    code: str = ""


class SealedTask(Record, kw_only=True):
    """A `Task` whose job is left as the JSON that it came as: who only hands it on need not read it."""

    job: msgspec.Raw
    patience: float
    memory: int | None = None
    code: str = ""


class Answer(Record, omit_defaults=False, kw_only=True):
    """What a process says when it is done; `error` is empty unless it failed.

    Parameters
    ----------
    ended
        Where it failed: the stop reason of the row.
    seconds
        Wall time of `solve` as its caller sees it, or of the whole measurement.
    value, unit, target, reached, note
        Of a measurement.
    violations
        What `check` says about the plan, asked again outside the solver; None: there is no plan.
    started_at, attempts, worker, machine
        Of the worker: when it began (UTC), how often, its own name, and what it runs on.
    """

    error: str = ""
    ended: str = ""
    result: Result | None = None
    violations: tuple[str, ...] | None = None
    seconds: float = 0.0
    peak_memory: int | None = None
    value: float | None = None
    unit: str = ""
    target: float | None = None
    reached: bool | None = None
    note: str = ""
    started_at: str = ""
    attempts: int = 1
    worker: str = ""
    machine: dict[str, str | int] = {}
