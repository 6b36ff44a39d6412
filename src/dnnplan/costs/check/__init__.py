"""The independent judge: everything that is wrong with a plan, worked out from docs/cost-model.md alone.

It shares no code with `dnnplan.costs.evaluate`, with the views or with any solver, so that a mistake in one
of them does not hide itself. All rules: `RULES`, explained in docs/check.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnnplan.costs.check.limits import check_cost, check_limits, check_objective
from dnnplan.costs.check.rules import RULES, Findings
from dnnplan.costs.check.running import run_plan
from dnnplan.costs.check.serving import check_serving
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.tasks import TASK_PROBLEMS, check_tasks
from dnnplan.costs.check.times import check_times
from dnnplan.costs.check.whole import check_whole, is_whole
from dnnplan.instances import (
    Cost,
    Instance,
    ObjectiveValue,
    Plan,
    PlanError,
    Problem,
    Violation,
)
from dnnplan.instances.arguments import require_instance, require_plan

__all__ = ["RULES", "Simulation", "check", "simulate"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happens when a plan runs.

    Parameters
    ----------
    calls, transfers
        (start, end) in seconds, by call name and by transfer identifier.
    channels
        The transfers that took time on each channel, in the order of their starts: a `transfer_order`.
    completion
        Seconds at which each job (``task/number``) is complete.
    cost
        Every figure of the plan.
    """

    calls: dict[str, tuple[float, float]]
    transfers: dict[str, tuple[float, float]]
    channels: dict[str, tuple[str, ...]]
    completion: dict[str, float]
    cost: Cost


def check(
    instance: Instance,
    plan: Plan,
    *,
    cost: Cost | None = None,
    objective: ObjectiveValue | None = None,
    measures: Mapping[str, float] | None = None,
) -> tuple[Violation, ...]:
    """List every rule that a plan breaks; an empty tuple means that the plan is valid.

    Parameters
    ----------
    instance
        A valid instance; plans of mapping need its platform.
    plan
        A plan of mapping (its `times`, where given, are compared with the derived ones), grouping, ordering or both, a
        whole plan (a joint plan with a placement), or serving (likewise its starts).
    cost, objective, measures
        What the answer claims; compared with what the decisions give. `cost` is of mappings, `measures` of the others;
        whole plans have both.

    Raises
    ------
    InputError
        No instance, or no plan.
    InstanceError
        The instance lacks what such a plan is checked against.
    UnsupportedError
        The plan is of another problem, contention is ``memory``, or a plan of tasks has a cost that cannot be worked
        out or a limit that means nothing for it.

    Notes
    -----
    Rules that need a plan that can run (times, live memory, limits, costs) are only judged where the
    decisions before them are whole. Complexity: O((C + T) log(C + T)) for C calls and T transfers.
    """
    require_instance(instance)
    require_plan(plan)
    if is_whole(plan):
        return check_whole(instance, plan, cost=cost, measures=measures, objective=objective)
    if plan.problem in TASK_PROBLEMS:
        return check_tasks(instance, plan, measures=measures, objective=objective)
    if plan.problem == "serving":
        return check_serving(instance, plan, measures=measures, objective=objective)
    found = Findings()
    judged = run_plan(instance, plan, found)
    if judged is None:
        return tuple(found)
    run, figures = judged
    check_limits(run, figures, found)
    check_times(run, plan, found)
    if cost is not None:
        check_cost(cost, figures, found)
    if objective is not None:
        check_objective(objective, figures, found)
    return tuple(found)


def simulate(instance: Instance, plan: Plan) -> Simulation:
    """Derive all times and figures of a plan.

    Raises
    ------
    PlanError
        The plan cannot run as it stands; lists why.
    """
    found = Findings()
    judged = run_plan(instance, plan, found)
    if judged is None:
        raise PlanError(problems=[Problem(violation.where, str(violation)) for violation in found])
    run, figures = judged
    wiring = run.wiring
    names = [wiring.transfer_name(number) for number in range(len(wiring.transfers))]
    jobs = [job.key("").rstrip("/") for job in wiring.setting.jobs]
    return Simulation(
        calls=dict(zip(wiring.decisions.names, zip(run.start, run.end, strict=True), strict=True)),
        transfers=dict(zip(names, zip(run.transfer_start, run.transfer_end, strict=True), strict=True)),
        channels=served(run, names),
        completion=dict(zip(jobs, run.completion, strict=True)),
        cost=figures,
    )


def served(run: Run, names: list[str]) -> dict[str, tuple[str, ...]]:
    """What each channel carried, in the order of starts."""
    carried: dict[int, list[int]] = {number: [] for number in run.wiring.channels.values()}
    for number, transfer in enumerate(run.wiring.transfers):
        if transfer.channel >= 0 and transfer.seconds > 0:
            carried[transfer.channel].append(number)
    return {
        name: tuple(names[number] for number in sorted(carried[channel], key=run.transfer_start.__getitem__))
        for name, channel in run.wiring.channels.items()
    }
