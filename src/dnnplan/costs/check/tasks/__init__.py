"""Plans of grouping and ordering, judged from docs/cost-model.md, sections 9 to 11, alone."""

from __future__ import annotations

from collections.abc import Mapping

from dnnplan.instances import Instance, Plan, Violation

TASK_PROBLEMS = ("grouping", "ordering", "joint")


def check_tasks(
    instance: Instance, plan: Plan, *, measures: Mapping[str, float] | None = None
) -> tuple[Violation, ...]:
    """List every rule that a plan breaks."""
    return ()
