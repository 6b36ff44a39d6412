"""Rules on what is placed where: keys, coverage, devices, calls and orders."""

from __future__ import annotations

from dataclasses import dataclass, field

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.setting import Setting
from dnnplan.instances import Plan


@dataclass(slots=True)
class Decisions:
    """The plan in numbers.

    Parameters
    ----------
    device_of
        Device of each layer; -1 where it has none.
    layer_seconds
        Compute time of each layer there.
    names, members
        Name and layers of each call.
    call_of
        Call of each layer; -1 where it has none.
    call_device, position
        Device of each call, and its place in the order of that device.
    order
        Calls of each device.
    """

    device_of: list[int]
    layer_seconds: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    members: list[tuple[int, ...]] = field(default_factory=list)
    call_of: list[int] = field(default_factory=list)
    call_device: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    order: list[list[int]] = field(default_factory=list)


def decide(setting: Setting, plan: Plan, found: Findings) -> Decisions:
    """Resolve placement, calls and orders, and report what is wrong with them."""
    decisions = Decisions(read_placement(setting, plan, found))
    check_devices(setting, decisions, found)
    check_colocation(setting, decisions, found)
    if plan.calls is None:
        decisions.names = setting.keys
        decisions.members = [(number,) for number in range(len(setting.keys))]
        decisions.call_of = list(range(len(setting.keys)))
        decisions.call_device = list(decisions.device_of)
    else:
        read_calls(setting, plan.calls, decisions, found)
    read_order(setting, plan, decisions, found)
    return decisions


def read_placement(setting: Setting, plan: Plan, found: Findings) -> list[int]:
    """Rules `placement` and `unknown`: every layer of every job is placed on a device that exists."""
    devices, placement = setting.ends.index, plan.placement
    device_of = [-1] * len(setting.keys)
    for number, key in enumerate(setting.keys):
        name = placement.get(key)
        if name is None:
            found.report("placement", key, f"layer {key} is not placed on any device")
        elif name in devices:
            device_of[number] = devices[name]
        else:
            found.report(
                "unknown", key, f"layer {key} is placed on unknown device {name!r}; known: {list(devices)}"
            )
    for key in placement:
        if key not in setting.number_of:
            found.report("unknown", key, f"placement names unknown layer {key!r}")
    return device_of


def check_devices(setting: Setting, decisions: Decisions, found: Findings) -> None:
    """Rule `device`: each device can run the layers placed on it."""
    decisions.layer_seconds = [0.0] * len(decisions.device_of)
    for number, device in enumerate(decisions.device_of):
        if device < 0:
            continue
        seconds = setting.seconds(number, device)
        reason = setting.refusal(number, device, seconds)
        decisions.layer_seconds[number] = seconds or 0.0
        if reason is not None:
            key, name = setting.keys[number], setting.ends.devices[device].name
            found.report("device", key, f"layer {key} is placed on {name}, which cannot run it: {reason}")


def check_colocation(setting: Setting, decisions: Decisions, found: Findings) -> None:
    """Rule `colocate`: the layers of a group are on one device, job by job."""
    for job in setting.jobs:
        for group in job.model.colocate:
            numbers = [job.first + job.layer_index[name] for name in group]
            homes = {
                number: decisions.device_of[number] for number in numbers if decisions.device_of[number] >= 0
            }
            if len(set(homes.values())) > 1:
                where = ", ".join(
                    f"{setting.keys[n]} on {setting.ends.devices[d].name}" for n, d in homes.items()
                )
                found.report(
                    "colocate", job.key(group[0]), f"layers that must share a device do not: {where}"
                )


def read_calls(
    setting: Setting, calls: dict[str, tuple[str, ...]], decisions: Decisions, found: Findings
) -> None:
    """Rules `calls` and `unknown`: each layer in exactly one call; a call is of one job and on one device."""
    decisions.call_of = [-1] * len(setting.keys)
    for call, (name, layers) in enumerate(calls.items()):
        members = []
        for key in layers:
            number = setting.number_of.get(key)
            if number is None:
                found.report("unknown", name, f"call {name} names unknown layer {key!r}")
            elif decisions.call_of[number] >= 0:
                other = (
                    decisions.names[decisions.call_of[number]] if decisions.call_of[number] < call else name
                )
                found.report("calls", key, f"layer {key} is in call {name} and already in call {other}")
            else:
                decisions.call_of[number] = call
                members.append(number)
        decisions.names.append(name)
        decisions.members.append(tuple(members))
        decisions.call_device.append(call_home(setting, name, members, decisions, found))
    for number, call in enumerate(decisions.call_of):
        if call < 0:
            key = setting.keys[number]
            found.report("calls", key, f"layer {key} is in no call")


def call_home(setting: Setting, name: str, members: list[int], decisions: Decisions, found: Findings) -> int:
    """The one device of a call (-1 where there is none), after reporting what splits it."""
    if not members:
        found.report("calls", name, f"call {name} holds no layer")
        return -1
    jobs = list(dict.fromkeys(setting.job_of[number].key("").rstrip("/") for number in members))
    if len(jobs) > 1:
        found.report("calls", name, f"call {name} holds layers of several jobs: {', '.join(jobs)}")
    homes = list(dict.fromkeys(decisions.device_of[n] for n in members if decisions.device_of[n] >= 0))
    if len(homes) > 1:
        names = ", ".join(setting.ends.devices[home].name for home in homes)
        found.report("calls", name, f"call {name} holds layers placed on several devices: {names}")
    return homes[0] if homes else -1


def read_order(setting: Setting, plan: Plan, decisions: Decisions, found: Findings) -> None:
    """Rules `order` and `unknown`: each call once, in the order of its device."""
    devices = setting.ends.index
    call_number = {name: call for call, name in enumerate(decisions.names)}
    decisions.order = [[] for _ in devices]
    decisions.position = [-1] * len(decisions.names)
    for device_name, calls in plan.order.items():
        device = devices.get(device_name)
        if device is None:
            found.report(
                "unknown", device_name, f"order names unknown device {device_name!r}; known: {list(devices)}"
            )
            continue
        sequence = decisions.order[device]
        for name in calls:
            call = call_number.get(name)
            if call is None:
                found.report("unknown", name, f"the order of {device_name} names unknown call {name!r}")
                continue
            home = decisions.call_device[call]
            if home >= 0 and home != device:
                owner = setting.ends.devices[home].name
                found.report(
                    "order", name, f"call {name} is in the order of {device_name}, but placed on {owner}"
                )
            elif decisions.position[call] >= 0:
                found.report("order", name, f"call {name} is listed twice in the order of {device_name}")
            else:
                decisions.position[call] = len(sequence)
                sequence.append(call)
    for call, name in enumerate(decisions.names):
        if decisions.position[call] < 0 and decisions.call_device[call] >= 0:
            owner = setting.ends.devices[decisions.call_device[call]].name
            found.report("order", name, f"call {name} is missing from the order of {owner}")
