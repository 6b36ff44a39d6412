"""What the views of grouping and ordering share: a judged answer, weighted sums, limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dnnplan.costs.objectives import TOLERANCE, Terms
from dnnplan.instances import Instance, Plan, UnsupportedError
from dnnplan.instances.objective import parse_objective
from dnnplan.instances.wording import suggestion

__all__ = ["Judged", "TaskProblem", "Terms", "broken_limits", "keeps_limits", "stages_of", "weighted"]

SAME_FIGURE = {"expected": "switching"}
"""Measures that are other names of one that can have a limit."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """An answer with its figures.

    Parameters
    ----------
    decisions
        The answer as indices; what it is depends on the problem.
    measures
        Figures by name.
    value
        The first stage of the objective, to be minimised; infinite where the answer cannot run.
    feasible
        Whether it can run and keeps all limits.
    """

    decisions: Any
    measures: dict[str, float]
    value: float
    feasible: bool


class TaskProblem(Protocol):
    """What the views of grouping and ordering have in common; each says more in its own class."""

    @property
    def instance(self) -> Instance:
        """The instance it is a view of."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""

    @property
    def stages(self) -> tuple[Terms, ...]:
        """The objective."""

    @property
    def limits(self) -> dict[str, float]:
        """Upper limits by measure."""

    @property
    def sense(self) -> str:
        """``min``, or ``max`` where the value of an answer is minus what is to be large."""

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""

    def judge(self, answer: Any) -> Judged:
        """Measure an answer, a `Plan` or decisions as indices."""

    def plan(self, judged: Judged) -> Plan:
        """An answer as a file has it."""


def weighted(terms: Terms, measures: Mapping[str, float]) -> float:
    """Weighted sum of the terms (name, weight) of one stage."""
    return math.fsum(weight * measures[name] for name, weight in terms)


def keeps_limits(
    measures: Mapping[str, float],
    limits: Mapping[str, float],
    sums_at_most: Sequence[tuple[Terms, float]] = (),
) -> bool:
    """Whether measures keep upper limits, with the tolerance of the cost model."""
    return all(
        measures[name] <= loosened(limit) for name, limit in limits.items() if name in measures
    ) and all(weighted(terms, measures) <= loosened(limit) for terms, limit in sums_at_most)


def loosened(limit: float) -> float:
    """An upper limit with the tolerance of the cost model."""
    return limit + TOLERANCE * abs(limit) + 1e-12


def broken_limits(terms: Terms, limits: Mapping[str, float], bound: float) -> str | None:
    """That no answer keeps all limits, where a lower bound on a weighted sum says so; None if it does not.

    The bound may rest on the limits, so it is no least value without them.

    >>> broken_limits((("size", 2.0),), {"size": 10.0}, 24.0)
    'limits.size: 10 cannot be kept'
    """
    most = 0.0
    for name, weight in terms:
        limit = limits.get(SAME_FIGURE.get(name, name))
        if limit is None:
            return None
        most += weight * loosened(limit)
    # A bound is summed in another order than measures are.
    if not bound > most + 1e-9 * abs(most):
        return None
    named = " and ".join(f"limits.{name}: {limit:g}" for name, limit in limits.items())
    return f"{named} cannot be kept" + (" together" if len(limits) > 1 else "")


def stages_of(
    instance: Instance, measures: Sequence[str], problem: str, others: Sequence[str] = ()
) -> tuple[tuple[Terms, ...], dict[str, float]]:
    """The objective in stages, and the limits on measures and `others`, of an instance.

    Raises
    ------
    UnsupportedError
        The problem has no such measure, or no such limit.
    """
    stages = parse_objective(instance.objective)
    for name in (name for stage in stages for name, _ in stage):
        if name not in measures:
            hint = suggestion(name, measures) or f"; expected one of {', '.join(measures)}"
            raise UnsupportedError(f"objective '{name}' is not one of {problem}{hint}")
    limits = {
        name: float(value)
        for name in instance.limits.__struct_fields__
        if name != "extensions" and (value := getattr(instance.limits, name)) is not None
    }
    kept = [name for name in (*measures, *others) if name in instance.limits.__struct_fields__]
    for name in limits:
        if name not in kept:
            raise UnsupportedError(f"limit '{name}' is not kept by {problem}; it keeps {', '.join(kept)}")
    return stages, limits
