"""A row of the store: what was run, on what, and what came out."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from dnnplan.instances import Cost, Plan
from dnnplan.instances.fields import Record

Kind = Literal["solve", "measure"]


class Row(Record, omit_defaults=False, kw_only=True):
    """One finished run: a solver on an instance (``solve``), or a timing of the library (``measure``).

    Parameters
    ----------
    suite, kind, instance, instance_hash, solver, objective, limits, time_limit, seed, workers
        What was run. The objective is empty where the instance's own was used. Seconds.
    versions, machine
        What it was run with and on.
    status, stop_reason, value, unit, bound, bound_name, gap, cost, message, history, plan
        As in `Result`.
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
    """

    suite: str
    kind: Kind = "solve"
    instance: str
    instance_hash: str = ""
    layers: int = 0
    devices: int = 0
    solver: str = ""
    objective: str = ""
    limits: dict[str, float] = {}
    time_limit: float | None = None
    seed: int = 0
    workers: int = 1
    versions: dict[str, str] = {}
    machine: dict[str, str | int] = {}
    status: str
    stop_reason: str
    value: float | None = None
    unit: str | None = None
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
    history: tuple[tuple[float, float | None, float | None], ...] = ()
    plan: Plan | None = None
    target: float | None = None
    reached: bool | None = None

    @property
    def key(self) -> str:
        """Identity of what was run, with what and on what kind of machine; results have no part in it."""
        return row_key(
            suite=self.suite,
            kind=self.kind,
            instance=self.instance,
            instance_hash=self.instance_hash,
            solver=self.solver,
            objective=self.objective,
            limits=self.limits,
            time_limit=self.time_limit,
            seed=self.seed,
            workers=self.workers,
            versions=self.versions,
            machine={k: v for k, v in self.machine.items() if k in ("cpu", "cores", "python")},
        )


def row_key(**identity: Any) -> str:
    """SHA-256 of the identity as JSON with sorted keys, hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
