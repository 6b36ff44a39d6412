"""What `dnnplan pipe` reads and writes, one JSON object a line (docs/embedding.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from dnnplan.instances.errors import Problem
from dnnplan.instances.fields import NonNegative, Number, Record
from dnnplan.instances.result import Cost, Result, Violation

Id = Annotated[str, Meta(max_length=256)] | int
Method = Literal["solve", "check", "evaluate", "cancel", "version"]


class PipeRequest(Record, kw_only=True):
    """One line of input.

    Parameters
    ----------
    id
        Chosen by the caller; every event says whose it is. No two requests that run may share one.
    method
        ``solve``, ``check`` and ``evaluate`` need an instance, the last two a plan as well; ``cancel`` ends the
        request of that id; ``version`` says what runs.
    instance
        A native instance, or the name of a bundled one. Never a file.
    plan
        The plan to check or evaluate.
    warm_start
        A plan to start from.
    solver, problem, objective, limits, work_limit, seed, gap
        As in `dnnplan.solve`.
    time_limit
        Seconds, at most what the server allows; null: 60, or none where work is limited, if the server has no limit.
    workers
        Threads, at most what the server allows; 1 if not stated.
    progress
        Whether to write an event whenever the value or the bound improves.
    """

    id: Id
    method: Method
    instance: dict[str, Any] | Annotated[str, Meta(max_length=256)] | None = None
    plan: dict[str, Any] | None = None
    warm_start: dict[str, Any] | None = None
    solver: str = "auto"
    problem: str | None = None
    objective: str | None = None
    limits: dict[str, Number] = {}
    time_limit: NonNegative | None = None
    work_limit: NonNegative | None = None
    workers: Annotated[int, Meta(ge=1, le=4096)] = 1
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    gap: NonNegative = 1e-4
    progress: bool = False


class PipeProgress(Record, omit_defaults=False, kw_only=True):
    """Seconds since the start, best value and bound in the unit of the objective, relative gap, and who found it."""

    seconds: float
    value: float | None
    bound: float | None
    gap: float | None
    solver: str


class PipeCheck(Record, omit_defaults=False, kw_only=True):
    """Whether a plan keeps every rule, and the rules that it breaks."""

    valid: bool
    violations: tuple[Violation, ...] = ()


class PipeEvaluation(Record, omit_defaults=False, kw_only=True):
    """What a plan costs: `cost` of a mapping, `measures` by name of everything else."""

    feasible: bool
    cost: Cost | None = None
    measures: dict[str, float] = {}


class PipeError(Record, omit_defaults=False, kw_only=True):
    """Why a request was not done.

    Parameters
    ----------
    kind
        Class of the error in `dnnplan.instances.errors`; ``Busy``: too many requests wait.
    problems
        All reasons, with the place in the instance or the request.
    """

    kind: str
    message: str
    problems: tuple[Problem, ...] = ()


class PipeEvent(Record, kw_only=True):
    """One line of output: `event` says which of the other members is there.

    Parameters
    ----------
    id
        That of the request; null where the line could not be read so far.
    event
        ``progress`` comes any number of times, then once ``result`` or ``error``, and nothing after that.
    result
        Of ``solve``: what ``dnnplan solve --json`` prints.
    check, evaluation
        Of these methods.
    cancelled
        Of ``cancel``: whether the request was still running or waiting. Its own result comes as well.
    versions
        Of ``version``: versions of dnnplan and the packages that answers depend on.
    """

    id: Id | None
    event: Literal["progress", "result", "error"]
    progress: PipeProgress | None = None
    result: Result | None = None
    check: PipeCheck | None = None
    evaluation: PipeEvaluation | None = None
    cancelled: bool | None = None
    versions: dict[str, str] | None = None
    error: PipeError | None = None
