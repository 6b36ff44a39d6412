"""The independent judge: everything that is wrong with a plan, worked out from docs/cost-model.md alone.

It shares no code with `dnnplan.costs.evaluate`, with the views or with any solver, so that a mistake in one
of them does not hide itself. All rules: `RULES`, explained in docs/check.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnnplan.costs.check.choices import check_instance, check_numbers, read_kept, read_pinned
from dnnplan.costs.check.deadlock import check_deadlock, check_names, check_transfer_order
from dnnplan.costs.check.figures import cost_of
from dnnplan.costs.check.limits import check_calls_per_device, check_cost, check_limits, check_objective
from dnnplan.costs.check.memory import check_live, check_static, peaks
from dnnplan.costs.check.rules import RULES, Findings
from dnnplan.costs.check.serving import check_serving
from dnnplan.costs.check.setting import Setting
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.structure import decide
from dnnplan.costs.check.tasks import TASK_PROBLEMS, check_tasks
from dnnplan.costs.check.times import check_times
from dnnplan.costs.check.wiring import Wiring, check_routes
from dnnplan.instances import (
    Cost,
    Instance,
    ObjectiveValue,
    Plan,
    PlanError,
    Problem,
    UnsupportedError,
    Violation,
)

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
        A plan of mapping (its `times`, where given, are compared with the derived ones), grouping, ordering or both, or
        serving (likewise its starts).
    cost, objective, measures
        What the answer claims; compared with what the decisions give. `cost` is of mappings, `measures` of the others.

    Raises
    ------
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


def run_plan(instance: Instance, plan: Plan, found: Findings) -> tuple[Run, Cost] | None:
    """Judge the decisions, run the plan and judge its memory; None where it cannot run."""
    if plan.problem != "mapping":
        raise UnsupportedError(f"check judges plans of problem 'mapping', this one is of {plan.problem!r}")
    setting = Setting(instance)
    if setting.execution.contention == "memory":
        raise UnsupportedError("contention 'memory' is reserved; use 'none' or 'links'")
    check_instance(setting, plan, found)
    check_numbers(plan, found)
    decisions = decide(setting, plan, found)
    pinned = read_pinned(setting, plan, decisions, found)
    kept = read_kept(setting, plan, decisions, found)
    check_static(setting, pinned, found)
    devices = [device.name for device in setting.ends.devices]
    counts = [len(calls) for calls in decisions.order]
    limited = [device.spec.slots != "unlimited" for device in setting.ends.devices]
    check_calls_per_device(devices, counts, limited, instance.limits.calls_per_device, found)
    if found.breaks("number", "unknown", "placement", "device", "calls", "order"):
        return None
    wiring = Wiring(setting, decisions, pinned, kept)
    check_routes(wiring, found)
    check_names(wiring, plan, found)
    check_transfer_order(wiring, plan, found)
    if found.breaks("route", "unknown", "transfer_order"):
        return None
    run = Run(wiring, plan)
    check_deadlock(run, plan, found)
    if found.breaks("deadlock"):
        return None
    highest = peaks(run)
    check_live(run, highest, found)
    return run, cost_of(run, highest)
