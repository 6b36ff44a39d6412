"""A row of the store: what was run, on what, and what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Literal

import msgspec

from dnnplan.instances import Cost, Plan
from dnnplan.instances.fields import Record

Kind = Literal["solve", "measure"]

KILLED_TIME = "killed:time"
"""Stop reason: the process was killed some time after its limit."""
KILLED_MEMORY = "killed:memory"
"""Stop reason: the process and those it started held more memory than allowed, or the system ran out of it."""
CRASHED = "crashed"
"""Stop reason: the process died of a signal of its own making, or ended without an answer."""
LOST = "lost"
"""Stop reason: worker or process was killed from outside, twice; such a row does not count as done."""
REFUSED = "refused"
"""Stop reason: the worker runs other code; such a row does not count as done."""


class Row(Record, omit_defaults=False, kw_only=True):
    """One finished run: a solver on an instance (``solve``), or a timing of the library (``measure``).

    Parameters
    ----------
    suite, kind, instance, instance_hash, solver, problem, objective, limits, time_limit, seed, workers, limit_memory
        What was run. The objective is empty where the instance's own was used, the problem where the objective
        says it. Seconds, bytes.
    versions, machine
        What it was run with and on.
    status, stop_reason, value, unit, sense, bound, bound_name, gap, cost, measures, message, history, plan
        As in `Result`. A run that was killed or died has the status ``error`` and one of the stop reasons
        ``killed:time``, ``killed:memory``, ``crashed``, ``lost``.
    seconds
        Wall time of `solve` (validation, model building and the final check included), or of the measurement.
    peak_memory
        Largest resident set of the process, or of a process it started, bytes.
    valid, violations
        Verdict of `check`, run again on the plan that came back; None: there is no plan.
    started_at
        UTC, ISO 8601.
    target, reached
        What a measurement is compared with, in `unit`, and whether that was reached.
    primal_integral
        Seconds: integral over the time limit of the gap to the best value that the store knows for the same
        question; None where it is not known or the sweep has not ended. See `primal_integral`.
    attempts
        How often it was started; 2 where a worker or a process was killed from outside.
    worker
        Which of the workers ran it: ``local-1``, ``dask-3``. No host name.
    """

    suite: str
    kind: Kind = "solve"
    instance: str
    instance_hash: str = ""
    layers: int = 0
    devices: int = 0
    solver: str = ""
    problem: str = ""
    objective: str = ""
    limits: dict[str, float] = {}
    time_limit: float | None = None
    seed: int = 0
    workers: int = 1
    limit_memory: int | None = None
    versions: dict[str, str] = {}
    machine: dict[str, str | int] = {}
    status: str
    stop_reason: str
    value: float | None = None
    unit: str | None = None
    sense: Literal["min", "max"] = "min"
    bound: float | None = None
    bound_name: str | None = None
    gap: float | None = None
    seconds: float = 0.0
    peak_memory: int | None = None
    valid: bool | None = None
    violations: tuple[str, ...] = ()
    message: str = ""
    started_at: str = ""
    cost: Cost | None = None
    measures: dict[str, float] = {}
    history: tuple[tuple[float, float | None, float | None], ...] = ()
    plan: Plan | None = None
    target: float | None = None
    reached: bool | None = None
    primal_integral: float | None = None
    attempts: int = 1
    worker: str = ""

    @property
    def key(self) -> str:
        """Identity of what was run, with what and on what kind of machine; results have no part in it."""
        return self._key({k: v for k, v in self.machine.items() if k in ("cpu", "cores", "python")})

    @property
    def case_key(self) -> str:
        """As `key`, whatever the machine: workers of a cluster need not be alike."""
        return self._key({})

    @property
    def done(self) -> bool:
        """Whether there is no reason to run it again: a failure is a result, a worker's death is none."""
        return self.stop_reason not in (LOST, REFUSED)

    @property
    def question(self) -> tuple[object, ...]:
        """What is asked, whoever answers: rows of one question can be compared by their values."""
        limits = tuple(sorted(self.limits.items()))
        return (self.kind, self.instance, self.instance_hash, self.problem, self.objective, limits)

    @property
    def asked(self) -> tuple[object, ...]:
        """What was run, by its names and limits: of the same an older or a newer row, of other versions or machines."""
        limits = tuple(sorted(self.limits.items()))
        what = (self.suite, self.kind, self.instance, self.solver, self.problem, self.objective, limits)
        return (*what, self.time_limit, self.seed, self.workers, self.limit_memory)

    def _key(self, machine: dict[str, str | int]) -> str:
        identity: dict[str, Any] = {
            "suite": self.suite,
            "kind": self.kind,
            "instance": self.instance,
            "instance_hash": self.instance_hash,
            "solver": self.solver,
            "objective": self.objective,
            "limits": self.limits,
            "time_limit": self.time_limit,
            "seed": self.seed,
            "workers": self.workers,
            "versions": self.versions,
            "machine": machine,
        }
        # Only where there is one: rows of the first schema keep their keys.
        if self.limit_memory is not None:
            identity["limit_memory"] = self.limit_memory
        if self.problem:
            identity["problem"] = self.problem
        return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()


def newest(rows: Iterable[Row], what: Callable[[Row], object] = attrgetter("asked")) -> list[Row]:
    """Of several rows of one thing the one that was run last; of things in the order in which they came first."""
    found: dict[object, Row] = {}
    for row in rows:
        key = what(row)
        if key not in found or row.started_at >= found[key].started_at:
            found[key] = row
    return list(found.values())
