"""Running a plan of mapping: its decisions judged, and what happens when they are carried out."""

from __future__ import annotations

from dnnplan.costs.check.choices import check_instance, check_numbers, read_kept, read_pinned
from dnnplan.costs.check.deadlock import check_deadlock, check_names, check_transfer_order
from dnnplan.costs.check.figures import cost_of
from dnnplan.costs.check.limits import check_calls_per_device
from dnnplan.costs.check.memory import check_live, check_static, peaks
from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.setting import Setting
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.structure import decide
from dnnplan.costs.check.wiring import Wiring, check_routes
from dnnplan.instances import Cost, Instance, Plan, UnsupportedError


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
