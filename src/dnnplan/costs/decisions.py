"""A plan's decisions as indices into a mapping problem, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dnnplan.costs.mapping import MappingProblem
from dnnplan.instances import Plan, PlanError, Problem

MAX_PROBLEMS = 20


@dataclass(kw_only=True, eq=False)
class Decisions:
    """Everything that a mapping plan decides; indices are those of the problem.

    Parameters
    ----------
    place
        (n,) device of each layer.
    calls, call_names
        Layers of each call, in the order of the instance, and its name.
    order
        (m,) calls of each device in the order in which they start.
    pinned
        (m,) weights that stay on each device.
    kept
        (tensor, device) pairs that stay after they arrive (host staging; under direct staging all stay).
    transfer_order
        Transfer identifiers by channel name.
    not_before
        Seconds by call name or transfer identifier.
    """

    place: list[int]
    calls: list[tuple[int, ...]]
    call_names: list[str]
    order: list[list[int]]
    pinned: list[set[int]]
    kept: set[tuple[int, int]]
    transfer_order: dict[str, list[str]] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)


def decode(problem: MappingProblem, plan: Plan) -> Decisions:
    """Read the decisions of a plan.

    Raises
    ------
    PlanError
        A key is unknown, or a layer has no device or no place in the order of its device.
    """
    wrong: list[Problem] = []
    device_of = {name: d for d, name in enumerate(problem.devices)}
    place = _placement(problem, plan.placement, device_of, wrong)
    if wrong:
        raise PlanError(problems=wrong[:MAX_PROBLEMS])
    calls, names = _calls(problem, plan, place, wrong)
    if wrong:
        raise PlanError(problems=wrong[:MAX_PROBLEMS])
    order = _order(problem, plan.order, names, [place[c[0]] for c in calls], device_of, wrong)
    pinned = _pinned(problem, plan.pinned, place, device_of, wrong)
    tensor_of = {name: k for k, name in enumerate(problem.tensors)} if plan.kept else {}
    kept = set()
    for tensor, device in plan.kept:
        if tensor not in tensor_of or device not in device_of:
            wrong.append(Problem("kept", f"unknown pair ({tensor}, {device})"))
        else:
            kept.add((tensor_of[tensor], device_of[device]))
    if wrong:
        raise PlanError(problems=wrong[:MAX_PROBLEMS])
    return Decisions(
        place=place,
        calls=calls,
        call_names=names,
        order=order,
        pinned=pinned,
        kept=kept,
        transfer_order={channel: list(ids) for channel, ids in plan.transfer_order.items()},
        not_before=dict(plan.not_before),
    )


def _placement(
    problem: MappingProblem, placement: Mapping[str, str], device_of: dict[str, int], wrong: list[Problem]
) -> list[int]:
    try:
        place = [device_of[placement[key]] for key in problem.layers]
    except KeyError:
        place = []
        for key in problem.layers:
            if key not in placement:
                wrong.append(Problem("placement", f"layer {key} has no device"))
            elif placement[key] not in device_of:
                wrong.append(Problem("placement", f"layer {key} is on unknown device {placement[key]}"))
    if len(placement) != problem.n:
        known = set(problem.layers)
        wrong += [Problem("placement", f"unknown layer {key}") for key in placement if key not in known]
    return place


def _calls(
    problem: MappingProblem, plan: Plan, place: list[int], wrong: list[Problem]
) -> tuple[list[tuple[int, ...]], list[str]]:
    if plan.calls is None:
        return [(i,) for i in range(problem.n)], list(problem.layers)
    index = {key: i for i, key in enumerate(problem.layers)}
    seen: dict[int, str] = {}
    calls: list[tuple[int, ...]] = []
    for name, keys in plan.calls.items():
        layers = [index[key] for key in keys if key in index]
        if len(layers) != len(keys) or not layers:
            wrong.append(Problem(f"calls.{name}", "empty, or holds unknown layers"))
            continue
        if len({place[i] for i in layers}) > 1 or len({int(problem.job_of[i]) for i in layers}) > 1:
            wrong.append(Problem(f"calls.{name}", "its layers must be of one job and on one device"))
        for i in layers:
            if (other := seen.get(i)) is not None:
                where = "there twice" if other == name else f"also in call {other}"
                wrong.append(Problem(f"calls.{name}", f"layer {problem.layers[i]} is {where}"))
            seen[i] = name
        calls.append(tuple(sorted(layers)))
    wrong += [
        Problem("calls", f"layer {problem.layers[i]} is in no call")
        for i in range(problem.n)
        if i not in seen
    ]
    return calls, list(plan.calls)


def _order(
    problem: MappingProblem,
    order: Mapping[str, Sequence[str]],
    names: list[str],
    call_device: list[int],
    device_of: dict[str, int],
    wrong: list[Problem],
) -> list[list[int]]:
    index = {name: c for c, name in enumerate(names)}
    result: list[list[int]] = [[] for _ in range(problem.m)]
    seen = 0
    for device, calls in order.items():
        d = device_of.get(device)
        if d is None:
            wrong.append(Problem("order", f"unknown device {device}"))
            continue
        for name in calls:
            c = index.get(name)
            if c is None or call_device[c] != d:
                wrong.append(Problem(f"order.{device}", f"call {name} is not placed on this device"))
            else:
                result[d].append(c)
                seen += 1
    if seen != len(names) or len({c for calls in result for c in calls}) != len(names):
        listed = [c for calls in result for c in calls]
        counts = {c: listed.count(c) for c in listed} if len(listed) < 1000 else dict.fromkeys(listed, 1)
        wrong += [
            Problem("order", f"call {names[c]} is listed {k} times") for c, k in counts.items() if k > 1
        ]
        wrong += [
            Problem("order", f"call {name} is not listed") for c, name in enumerate(names) if c not in counts
        ]
        if not wrong:
            wrong.append(Problem("order", "calls are listed more than once"))
    return result


def _pinned(
    problem: MappingProblem,
    pinned: Mapping[str, Iterable[str]],
    place: list[int],
    device_of: dict[str, int],
    wrong: list[Problem],
) -> list[set[int]]:
    """Pinned weights of each device: all in use without host or if resident, none if streamed."""
    result: list[set[int]] = [set() for _ in range(problem.m)]
    if not problem.host or problem.execution.weights == "resident":
        for w, d in zip(problem.weight_of.tolist(), place, strict=True):
            result[d].add(w)
        return result
    if problem.execution.weights == "streamed":
        return result
    index = {name: w for w, name in enumerate(problem.weights)} if pinned else {}
    for device, names in pinned.items():
        owner = device_of.get(device)
        for name in names:
            if owner is None or name not in index:
                wrong.append(Problem(f"pinned.{device}", f"unknown device or weights {name}"))
            else:
                result[owner].add(index[name])
    return result


def to_plan(problem: MappingProblem, decisions: Decisions) -> Plan:
    """The plan that `decode` reads these decisions from."""
    devices, names = problem.devices, decisions.call_names
    choice = problem.host and problem.execution.weights == "choice"
    single = names == list(problem.layers)
    return Plan(
        instance=problem.instance_hash,
        placement={problem.layers[i]: devices[d] for i, d in enumerate(decisions.place)},
        calls=None
        if single
        else {
            name: tuple(problem.layers[i] for i in layers)
            for name, layers in zip(names, decisions.calls, strict=True)
        },
        order={devices[d]: tuple(names[c] for c in row) for d, row in enumerate(decisions.order)},
        pinned={
            devices[d]: tuple(problem.weights[w] for w in sorted(weights))
            for d, weights in enumerate(decisions.pinned)
            if choice and weights
        },
        kept=tuple((problem.tensors[k], devices[d]) for k, d in sorted(decisions.kept)),
        transfer_order={channel: tuple(ids) for channel, ids in decisions.transfer_order.items()},
        not_before=dict(decisions.not_before),
    )


def decisions_of(
    problem: MappingProblem,
    place: Sequence[int],
    order: Sequence[Sequence[int]],
    *,
    pinned: Sequence[Iterable[int]] | None = None,
    kept: Iterable[tuple[int, int]] | None = None,
    transfer_order: Mapping[str, Sequence[str]] | None = None,
    not_before: Mapping[str, float] | None = None,
) -> Decisions:
    """Decisions in which every layer is a call of its own.

    Pins of weights and pairs of tensors that nothing on the device uses are dropped.

    Parameters
    ----------
    place
        (n,) device of each layer.
    order
        (m,) layers of each device in the order in which they start.
    pinned
        (m,) weights pinned on each device; only read where weights are a choice. None: what
        `dnnplan.costs.pinning.pin_greedily` chooses.
    kept
        (tensor, device) pairs; None: all that save a transfer, except under live memory, where nothing is kept.
    """
    from dnnplan.costs.pinning import pin_greedily

    if kept is None:
        kept = all_kept(problem, place) if problem.execution.memory != "live" else ()
    if not problem.host or problem.execution.weights == "resident":
        chosen: list[set[int]] = [set() for _ in range(problem.m)]
        for w, d in zip(problem.weight_of.tolist(), place, strict=True):
            chosen[d].add(w)
    elif problem.execution.weights == "streamed":
        chosen = [set() for _ in range(problem.m)]
    else:
        used: list[set[int]] = [set() for _ in range(problem.m)]
        for w, d in zip(problem.weight_of.tolist(), place, strict=True):
            used[d].add(w)
        wanted = pinned if pinned is not None else pin_greedily(problem, place)
        chosen = [set(p) & use for p, use in zip(wanted, used, strict=True)]
    return Decisions(
        place=list(place),
        calls=[(i,) for i in range(problem.n)],
        call_names=list(problem.layers),
        order=[list(row) for row in order],
        pinned=chosen,
        kept={(k, d) for k, d in kept if any(place[i] == d for i in problem.readers[k])},
        transfer_order={channel: list(ids) for channel, ids in (transfer_order or {}).items()},
        not_before=dict(not_before or {}),
    )


def encode(
    problem: MappingProblem, place: Sequence[int], order: Sequence[Sequence[int]], **choices: Any
) -> Plan:
    """The plan of `decisions_of` with the same arguments."""
    return to_plan(problem, decisions_of(problem, place, order, **choices))


def all_kept(problem: MappingProblem, place: Sequence[int]) -> set[tuple[int, int]]:
    """Every (tensor, device) pair that saves a transfer under host staging; empty under direct staging."""
    if problem.execution.staging == "direct":
        return set()
    pairs: set[tuple[int, int]] = set()
    for k, readers in enumerate(problem.readers):
        source = int(problem.source[k])
        home = place[source] if source >= 0 else -1
        count: dict[int, int] = {}
        for i in readers:
            count[place[i]] = count.get(place[i], 0) + 1
        pairs.update((k, d) for d, times in count.items() if d == home or times > 1)
    return pairs
