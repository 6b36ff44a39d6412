"""Rules on stored times: they are the derived ones, and where they are not, what they break."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappush, heappushpop
from itertools import pairwise

from dnnplan.costs.check.rules import TIME_TOLERANCE, Findings, differs, exceeds
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.wiring import READ, WRITE, Flow, Wiring
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
    before = len(found)
    compare_times(run, times, found)
    if len(found) == before:
        # The derived times keep every constraint, and these are the same.
        return
    starts = Starts(wiring, times, found)
    check_releases(run, starts)
    check_precedences(starts)
    check_inputs(starts)
    check_devices(starts)


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


@dataclass(frozen=True, slots=True)
class Starts:
    """Reports calls that start, by stored times, before something they have to wait for."""

    wiring: Wiring
    times: Times
    found: Findings

    def early(self, rule: str, call: int, bound: float, event: str) -> None:
        """Report `call` under `rule` if it starts before `bound`, which is when `event`."""
        start = self.times[call][0]
        if exceeds(bound, start):
            message = (
                f"{layer_on(self.wiring, call)} starts at {start:.9g} s, {bound - start:.6g} s before {event}"
            )
            self.found.report(rule, self.wiring.decisions.names[call], message, bound - start, "s")


def check_releases(run: Run, starts: Starts) -> None:
    """Rule `times_release`: no call starts before its job's release or its not_before."""
    for call in starts.times:
        moment = run.earliest[call]
        event = "its job is released" if moment == run.wiring.call_job[call].release else "its not_before"
        starts.early("times_release", call, moment, event)


def check_precedences(starts: Starts) -> None:
    """Rule `times_precedence`: no call starts before the tasks that precede its own have ended."""
    wiring = starts.wiring
    finish: dict[str, float] = {}
    calls_of: dict[str, list[int]] = {}
    for call, (_, end) in starts.times.items():
        task = wiring.call_job[call].task.name
        finish[task] = max(finish.get(task, 0.0), end)
        calls_of.setdefault(task, []).append(call)
    for precedence in wiring.setting.instance.precedences:
        bound = finish.get(precedence.before, 0.0)
        for call in calls_of.get(precedence.after, ()):
            starts.early("times_precedence", call, bound, f"task {precedence.before} has ended")


def check_inputs(starts: Starts) -> None:
    """Rule `times_input`: no call starts before its inputs can be there at the earliest."""
    times = starts.times
    for flow in starts.wiring.flows:
        if flow.call >= 0 and flow.call not in times:
            continue
        made = times[flow.call][1] if flow.call >= 0 else flow.job.release
        there = arrivals(starts.wiring, flow, made)
        event = f"tensor {flow.job.key(flow.tensor.name)} is there"
        for calls in flow.readers.values():
            for call in calls:
                if call in times:
                    starts.early("times_input", call, there.get(call, made), event)


def arrivals(wiring: Wiring, flow: Flow, made: float) -> dict[int, float]:
    """Earliest moment at which each reading call of a tensor can start, given when the tensor was made."""
    if not wiring.overlap:
        return {}
    written, there = made, {}
    for moved in flow.moved:
        transfer = wiring.transfers[moved]
        if transfer.kind == WRITE:
            written = made + transfer.seconds
        for call in wiring.after_transfer.get(moved, ()):
            there[call] = (written if transfer.kind == READ else made) + transfer.seconds
    return there


def check_devices(starts: Starts) -> None:
    """Rule `times_device`: calls start in the order of their device, and find one of its slots free."""
    times, decisions = starts.times, starts.wiring.decisions
    for device, sequence in zip(starts.wiring.setting.ends.devices, decisions.order, strict=True):
        known = [call for call in sequence if call in times]
        for before, after in pairwise(known):
            event = f"{decisions.names[before]}, which is earlier in the order"
            starts.early("times_device", after, times[before][0], event)
        if device.spec.slots == "unlimited":
            continue
        latest: list[float] = []  # the largest ends of the calls so far, as many as there are slots
        for call in known:
            if len(latest) == device.spec.slots:
                starts.early("times_device", call, latest[0], f"a slot of {device.name} is free")
                heappushpop(latest, times[call][1])
            else:
                heappush(latest, times[call][1])
