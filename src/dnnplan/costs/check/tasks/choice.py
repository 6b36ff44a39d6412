"""Whether chosen networks serve all tasks within budget, and what they give (docs/cost-model.md, 9)."""

from __future__ import annotations

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.tasks.refuse import missing
from dnnplan.instances import Instance, Plan


def check_choice(
    instance: Instance, plan: Plan, names: list[str], found: Findings, score: str
) -> dict[str, float]:
    """Judge the candidates of a plan, whose score is a loss or an affinity; no figures where it is not whole.

    Raises
    ------
    InstanceError
        There are no candidates.
    """
    candidates = instance.sharing.candidates if instance.sharing is not None else ()
    if not candidates:
        raise missing("sharing.candidates", "networks to choose from")
    if len(set(plan.candidates)) != len(plan.candidates):
        found.report("candidates", "candidates", "a candidate is chosen twice")
    for number in plan.candidates:
        if not 0 <= number < len(candidates):
            found.report("unknown", "candidates", f"{number} is not one of the {len(candidates)} candidates")
            return {}
    chosen = [candidates[number] for number in sorted(set(plan.candidates))]
    listed = sorted(tuple(sorted(group)) for level in plan.groups for group in level)
    if plan.groups and listed != sorted(tuple(sorted(candidate.tasks)) for candidate in chosen):
        found.report("groups", "groups", "the groups are not those of the chosen candidates")
    limit = instance.limits.groups
    if limit is not None and len(chosen) > limit:
        found.report(
            "limit", "groups", f"{len(chosen)} candidates, the limit is {limit}", len(chosen) - limit
        )
    own = {"budget": sum(float(candidate.cost) for candidate in chosen)}
    loss = score == "loss"
    weights = {task.name: float(task.weight) for task in instance.effective_tasks()}
    total = 0.0
    for name in names:
        figures = [
            (c.loss if loss else c.affinity)[name] for c in chosen if name in (c.loss if loss else c.affinity)
        ]
        if not figures:
            found.report("served", name, f"no chosen candidate serves task {name}")
            return {}
        total += weights[name] * (min(figures) if loss else max(figures))
    own[score] = total
    return own
