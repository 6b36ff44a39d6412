"""Rules `limit`, `cost` and `objective`: figures against what the instance allows and the answer states."""

from __future__ import annotations

from math import inf

from dnnplan.costs.check.rules import FIGURE_TOLERANCE, Findings, differs, exceeds
from dnnplan.costs.check.simulate import Run
from dnnplan.instances import Cost, ObjectiveValue

UNITS = {
    "latency": "s",
    "energy": "J",
    "edp": "J s",
    "traffic": "B",
    "max_load": "s",
    "weighted_completion": "s",
    "tardiness": "s",
}


def check_limits(run: Run, cost: Cost, found: Findings) -> None:
    """Rule `limit`: each figure that has a limit, every job's deadline, every memory's peak."""
    setting = run.wiring.setting
    limits = setting.instance.limits
    for name, unit in UNITS.items():
        bound, value = getattr(limits, name), getattr(cost, name)
        if bound is not None and exceeds(value, bound):
            message = f"{name} is {value:.9g} {unit}, {value - bound:.6g} {unit} above its limit of {bound:g}"
            found.report("limit", name, message, value - bound, unit)
    if limits.deadline is not None:
        for job, done in zip(setting.jobs, run.completion, strict=True):
            took = done - job.release
            if exceeds(took, limits.deadline):
                late, where = took - limits.deadline, job.key("").rstrip("/")
                message = (
                    f"job {where} takes {took:.9g} s from its release, {late:.6g} s above limits.deadline"
                )
                found.report("limit", where, message, late, "s")
    if limits.memory is not None:
        for name, peak in cost.memory.items():
            if peak > limits.memory:
                message = f"memory {name} peaks at {peak} B, {peak - limits.memory:g} B above limits.memory"
                found.report("limit", name, message, peak - limits.memory, "B")
    check_switches(run, found)


def check_switches(run: Run, found: Findings) -> None:
    """Rule `limit` for limits.switches: changes of device, counted for each job."""
    wiring = run.wiring
    bound = wiring.setting.instance.limits.switches
    changes = {job.key("").rstrip("/"): 0 for job in wiring.setting.jobs}
    for flow in wiring.flows:
        if flow.device >= 0:
            others = sum(1 for device, calls in flow.readers.items() if calls and device != flow.device)
            changes[flow.job.key("").rstrip("/")] += others
    for job, count in changes.items():
        if bound is not None and count > bound:
            message = f"job {job} changes its device {count} times, limits.switches is {bound}"
            found.report("limit", job, message, float(count - bound), "switches")


def check_calls_per_device(
    names: list[str], counts: list[int], limited: list[bool], bound: int | None, found: Findings
) -> None:
    """Rule `limit` for limits.calls_per_device; devices with unlimited slots run any number of calls."""
    for name, count, counts_here in zip(names, counts, limited, strict=True):
        if bound is not None and counts_here and count > bound:
            message = f"device {name} runs {count} calls, limits.calls_per_device is {bound}"
            found.report("limit", name, message, float(count - bound), "calls")


def check_cost(stated: Cost, cost: Cost, found: Findings) -> None:
    """Rule `cost`: every stated figure is the recomputed one."""
    for name, unit in UNITS.items():
        compare(found, "cost", (getattr(stated, name), getattr(cost, name)), name=name, unit=unit)
    for group, unit in (("memory", "B"), ("load", "s")):
        ours, theirs = getattr(cost, group), getattr(stated, group)
        for name in sorted(ours.keys() | theirs.keys()):
            pair = (theirs.get(name, 0.0), ours.get(name, 0.0))
            compare(found, "cost", pair, name=f"{group}.{name}", unit=unit)


def compare(found: Findings, rule: str, pair: tuple[float, float], *, name: str, unit: str) -> None:
    """Report a stated number that is not the recomputed one (`pair`: stated, recomputed)."""
    stated, own = pair
    if differs(stated, own, FIGURE_TOLERANCE):
        off = stated - own
        message = f"{name} is stated as {stated!r} {unit}, recomputed {own!r} (off by {off:.6g})"
        found.report(rule, name, message, abs(off), unit)


def check_objective(stated: ObjectiveValue, cost: Cost, found: Findings) -> None:
    """Rule `objective`: the stated value is that of the named objective (of the first part of `a>b`)."""
    if stated.value is None:
        found.report(
            "objective", stated.name, f"objective {stated.name} has no value although there is a plan"
        )
        return
    values = {name: float(getattr(cost, name)) for name in UNITS}
    values["memory"] = float(max(cost.memory.values(), default=0.0))
    total = 0.0
    for term in stated.name.split(">")[0].split(","):
        name, _, weight = term.strip().partition("=")
        if name not in values:
            known = ", ".join(sorted(values))
            found.report("objective", stated.name, f"unknown objective {name!r}; known: {known}")
            return
        total += values[name] * as_number(weight or "1")
    compare(found, "objective", (stated.value, total), name=stated.name, unit=stated.unit or "")


def as_number(text: str) -> float:
    """The weight of an objective; infinite where it is no number, so that the comparison fails."""
    try:
        return float(text)
    except ValueError:
        return inf
