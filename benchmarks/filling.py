"""From an answer to a row."""

from __future__ import annotations

import msgspec

from benchmarks.case import Answer
from dnnplan.reports.runs import Row
from dnnplan.reports.runs.row import LOST


def filled_in(row: Row, answer: Answer, *, worker: str) -> Row:
    """The row with what came out."""
    row = msgspec.structs.replace(
        row,
        started_at=answer.started_at,
        seconds=answer.seconds,
        peak_memory=answer.peak_memory,
        attempts=answer.attempts,
        worker=worker,
        machine=answer.machine or row.machine,
    )
    if answer.error:
        return msgspec.structs.replace(
            row, status="error", stop_reason=answer.ended or "error", message=answer.error
        )
    return _measured(row, answer) if row.kind == "measure" else _solved(row, answer)


def lost(error: BaseException, attempts: int) -> Answer:
    """What is said of a task whose workers died."""
    text = f"the worker is gone: {type(error).__name__}: {error}"
    return Answer(error=text[:500], ended=LOST, attempts=attempts)


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
        sense=result.objective.sense,
        bound=result.bound,
        bound_name=result.bound_name,
        gap=result.gap,
        valid=None if violations is None else not violations,
        violations=violations or (),
        message=result.message,
        cost=result.cost,
        measures=dict(result.measures),
        history=result.history,
        plan=result.plan,
    )
