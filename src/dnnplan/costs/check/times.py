"""Rules on stored times: they are the derived ones, and where they are not, what they break."""

from __future__ import annotations

from heapq import heappush, heappushpop

from dnnplan.costs.check.rules import TIME_TOLERANCE, Findings, differs, exceeds
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.wiring import Wiring
from dnnplan.instances import Plan

Times = dict[int, tuple[float, float]]


def check_times(run: Run, plan: Plan, found: Findings) -> None:
    """Report stored times that differ from the derived ones, and every constraint that they break."""
    if not plan.times:
        return
    wiring = run.wiring
    numbers = {name: call for call, name in enumerate(wiring.decisions.names)}
    times: Times = {}
    for name, pair in plan.times.items():
        if name in numbers:
            times[numbers[name]] = pair
        else:
            found.report("unknown", name, f"times names unknown call {name!r}")
    compare_times(run, times, found)
    check_releases(run, times, found)
    check_precedences(run, times, found)
    check_inputs(wiring, times, found)
    check_devices(wiring, times, found)


def layer_on(wiring: Wiring, call: int) -> str:
    """How messages name a call: its name and its device."""
    device = wiring.setting.ends.devices[wiring.decisions.call_device[call]].name
    what = "layer" if wiring.decisions.names is wiring.setting.keys else "call"
    return f"{what} {wiring.decisions.names[call]} on {device}"


def compare_times(run: Run, times: Times, found: Findings) -> None:
    """Rule `times`: the start and end of each call are those of the simulation."""
    names = run.wiring.decisions.names
    for call, name in enumerate(names):
        if call not in times:
            found.report("times", name, f"times has no entry for call {name}")
            continue
        for word, stated, own in zip(
            ("starts", "ends"), times[call], (run.start[call], run.end[call]), strict=True
        ):
            if differs(stated, own, TIME_TOLERANCE):
                message = f"{layer_on(run.wiring, call)} {word} at {stated:.9g} s by plan.times, "
                message += f"at {own:.9g} s by the decisions"
                found.report("times", name, message, abs(stated - own), "s")


def report_early(
    rule: str, wiring: Wiring, call: int, start: float, bound: float, event: str, found: Findings
) -> None:
    """Report a call that starts before something it has to wait for."""
    if exceeds(bound, start):
        message = f"{layer_on(wiring, call)} starts at {start:.9g} s, {bound - start:.6g} s before {event}"
        found.report(rule, wiring.decisions.names[call], message, bound - start, "s")


def check_releases(run: Run, times: Times, found: Findings) -> None:
    """Rule `times_release`: no call starts before its job's release or its not_before."""
    for call, (start, _) in times.items():
        moment = run.earliest[call]
        event = "its job is released" if moment == run.wiring.call_job[call].release else "its not_before"
        report_early("times_release", run.wiring, call, start, moment, event, found)


def check_precedences(run: Run, times: Times, found: Findings) -> None:
    """Rule `times_precedence`: no call starts before the calls of the tasks that precede its own have ended."""
    wiring, setting = run.wiring, run.wiring.setting
    finish: dict[str, float] = {}
    calls_of: dict[str, list[int]] = {}
    for call, (_, end) in times.items():
        task = wiring.call_job[call].task.name
        finish[task] = max(finish.get(task, 0.0), end)
        calls_of.setdefault(task, []).append(call)
    for precedence in setting.instance.precedences:
        bound = finish.get(precedence.before, 0.0)
        event = f"task {precedence.before} has ended"
        for call in calls_of.get(precedence.after, ()):
            report_early("times_precedence", wiring, call, times[call][0], bound, event, found)


def check_inputs(wiring: Wiring, times: Times, found: Findings) -> None:
    """Rule `times_input`: no call starts before its inputs can be there at the earliest."""
    for flow in wiring.flows:
        if flow.call >= 0 and flow.call not in times:
            continue
        made = times[flow.call][1] if flow.call >= 0 else flow.job.release
        there = arrivals(wiring, flow.number, made)
        key = flow.job.key(flow.tensor.name)
        for calls in flow.readers.values():
            for call in calls:
                if call in times:
                    bound = there.get(call, made)
                    report_early(
                        "times_input", wiring, call, times[call][0], bound, f"tensor {key} is there", found
                    )


def arrivals(wiring: Wiring, number: int, made: float) -> dict[int, float]:
    """Earliest moment at which each reading call of a tensor can start, given when the tensor was made."""
    flow = wiring.flows[number]
    if not wiring.overlap:
        return {}
    written, there = made, {}
    for moved in flow.moved:
        transfer = wiring.transfers[moved]
        if moved in wiring.requests_transfer:
            written = made + transfer.seconds
        for call in wiring.after_transfer.get(moved, ()):
            base = written if wiring.setting.execution.staging == "host" else made
            there[call] = base + transfer.seconds
    return there


def check_devices(wiring: Wiring, times: Times, found: Findings) -> None:
    """Rule `times_device`: calls start in the order of their device, and find one of its slots free."""
    ends, decisions = wiring.setting.ends, wiring.decisions
    for device, sequence in enumerate(decisions.order):
        slots = ends.devices[device].spec.slots
        known = [call for call in sequence if call in times]
        for before, after in zip(known, known[1:], strict=False):
            event = f"{decisions.names[before]}, which is earlier in the order"
            report_early("times_device", wiring, after, times[after][0], times[before][0], event, found)
        if slots == "unlimited":
            continue
        latest: list[float] = []  # the largest ends of the calls so far, as many as there are slots
        for call in known:
            if len(latest) == slots:
                event = f"a slot of {ends.devices[device].name} is free"
                report_early("times_device", wiring, call, times[call][0], latest[0], event, found)
                heappushpop(latest, times[call][1])
            else:
                heappush(latest, times[call][1])
