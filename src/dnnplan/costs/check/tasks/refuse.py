"""What cannot be judged: instances that lack something, and settings that docs/cost-model.md has no cost for."""

from __future__ import annotations

from collections.abc import Iterable

from dnnplan.instances import Instance, InstanceError, Ordering, Problem, UnsupportedError

GRAPH_FIGURES = ("variety", "task_variety", "size", "execution_cost")
ORDER_FIGURES = ("switching", "expected", "energy")
KEPT = {
    "grouping": GRAPH_FIGURES,
    "selection": ("loss", "budget", "groups"),
    "ordering": ("switching", "energy"),
    "joint": (*GRAPH_FIGURES, "switching", "energy"),
}
"""Limits that plans are held to."""
MOST_OUTCOMES = 16
"""Uncertain outcomes whose combinations are gone through."""


def missing(where: str, expected: str) -> InstanceError:
    """The error for something that an instance lacks."""
    return InstanceError(problems=[Problem(where, f"missing, expected {expected}")])


def names_of(objective: str) -> set[str]:
    """Figures that an objective is made of."""
    return {term.partition("=")[0].strip() for stage in objective.split(">") for term in stage.split(",")}


def limited(instance: Instance) -> set[str]:
    """Figures that have a limit."""
    limits = instance.limits
    return {
        name
        for name in limits.__struct_fields__
        if name != "extensions" and getattr(limits, name) is not None
    }


def require_limits(instance: Instance, problem: str) -> None:
    """Refuse limits that mean nothing for such a plan.

    Raises
    ------
    UnsupportedError
        Names the first one.
    """
    for name in sorted(limited(instance) - set(KEPT[problem])):
        raise UnsupportedError(
            f"limit '{name}' is not one of {problem}, whose are {', '.join(KEPT[problem])}"
        )


def cost_of_order(instance: Instance, stated: Iterable[str]) -> str:
    """``energy`` or ``time``: what an order costs, by what is stated and limited, else by the objective.

    Raises
    ------
    UnsupportedError
        Both at once.
    """
    asked = set(stated) & set(ORDER_FIGURES) or names_of(instance.objective) & set(ORDER_FIGURES)
    asked |= limited(instance) & set(ORDER_FIGURES)
    if "energy" not in asked:
        return "time"
    if len(asked) > 1:
        raise UnsupportedError(f"an order has one cost at a time, not {' and '.join(sorted(asked))}")
    return "energy"


def score_of_choice(instance: Instance, stated: Iterable[str]) -> str:
    """``loss`` or ``affinity``: what networks are chosen for, by what is stated, else by the objective.

    Raises
    ------
    UnsupportedError
        Both at once.
    """
    kinds = {"loss", "affinity"}
    asked = set(stated) & kinds or names_of(instance.objective) & kinds or {"loss"}
    if len(asked | limited(instance) & kinds) > 1:
        raise UnsupportedError("networks are chosen for loss or affinity, not for both")
    return asked.pop()


def require_order(instance: Instance, problem: str) -> None:
    """Refuse orders whose cost is not known.

    Raises
    ------
    InstanceError
        No costs to order by, tools without slots or of more than there are, gates of different probabilities.
    UnsupportedError
        Costs that do not come from the task graph of the plan, conditions beside a memory that keeps something, or
        too many uncertain outcomes.
    """
    ordering = instance.ordering or Ordering()
    given = bool(ordering.switch or ordering.resources)
    if problem == "joint" and given:
        raise UnsupportedError("ordering.switch and ordering.resources do not come from a task graph")
    if not given and instance.sharing is None:
        raise missing("ordering.switch", "switching costs, tools or a task graph (sharing)")
    if not given and problem == "ordering" and instance.sharing is not None and not instance.sharing.groups:
        raise missing("sharing.groups", "the task graph whose tasks are ordered")
    if ordering.resources:
        if ordering.slots is None:
            raise missing("ordering.slots", "how many tools fit at once")
        most = max(sum(row) for row in ordering.resources)
        if most > ordering.slots:
            raise InstanceError(
                problems=[Problem("ordering.slots", f"{ordering.slots}, but a task needs {most} tools")]
            )
    _require_conditions(
        ordering, keeps=bool(ordering.resources) or (not given and ordering.cache_bytes is not None)
    )


def _require_conditions(ordering: Ordering, *, keeps: bool) -> None:
    if ordering.conditions and keeps:
        raise UnsupportedError("conditions do not go together with a memory that keeps tools or blocks")
    gates: dict[str | None, float] = {}
    uncertain = 0
    for number, condition in enumerate(ordering.conditions):
        if condition.model == "gated" and condition.given in gates:
            if gates[condition.given] != condition.probability:
                message = f"{condition.probability}, expected {gates[condition.given]} as for the same gate"
                raise InstanceError(problems=[Problem(f"ordering.conditions[{number}].probability", message)])
            continue
        if condition.model == "gated":
            gates[condition.given] = condition.probability
        uncertain += 0.0 < condition.probability < 1.0
    if uncertain > MOST_OUTCOMES:
        raise UnsupportedError(f"{uncertain} uncertain outcomes, expected at most {MOST_OUTCOMES}")
