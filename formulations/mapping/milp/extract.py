"""From the values of the variables to a plan."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from dnnplan.costs import Evaluation, MappingProblem, encode, evaluate
from dnnplan.formulations.mapping.milp.residency import Event, Lifetime, Residency
from dnnplan.formulations.mapping.milp.variables import Linear, Move, Option, Variables
from dnnplan.instances import Plan, PlanError
from dnnplan.instances.plan import load_id, read_id, send_id, write_id

ROUNDS = 1000


class Values:
    """What the variables are in one solution, by name."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    def of(self, expression: Linear) -> float:
        """Value of a number, a variable or an expression."""
        if isinstance(expression, int | float):
            return float(expression)
        if hasattr(expression, "items"):
            terms = sum(
                factor * self.values.get(variable.name, 0.0) for variable, factor in expression.items()
            )
            return float(expression.constant + terms)
        return self.values.get(expression.name, 0.0)

    def holds(self, expression: Linear) -> bool:
        """Whether a binary expression is 1."""
        return self.of(expression) > 0.5


def extract(v: Variables, values: Values) -> Plan | None:
    """The plan of a solution; None if it is broken by the tolerances of the solver."""
    problem = v.problem
    place = [max(row, key=lambda d: values.of(row[d])) for row in v.x]
    order = device_orders(v, values, place)
    pinned: list[set[int]] = [set() for _ in range(problem.m)]
    for w, d in pinned_weights(v, values, place):
        pinned[d].add(w)
    kept = kept_tensors(v, values, place)
    queues = transfer_orders(v, values) if v.contended else None
    plan = encode(problem, place, order, pinned=pinned, kept=kept, transfer_order=queues)
    if v.residency is not None:
        return with_delays(v, values, plan)
    return plan


def device_orders(v: Variables, values: Values, place: list[int]) -> list[list[int]]:
    """Layers of each device by start; ties by what has to be first.

    Kahn's algorithm over tensors, precedences, the binaries `before`, and readers that fetch a copy for
    others, the smallest start first. If zero-length calls contradict each other, the binaries give way.
    """
    n = v.problem.n
    start = [round(values.of(v.start[i]), 6) for i in range(n)]
    rank = {i: p for p, i in enumerate(v.problem.topological)}
    soft: set[tuple[int, int]] = {(i, j) for (i, j), flag in v.before.items() if values.holds(flag)}
    hard = {(i, j) for j in range(n) for i in range(n) if v.precedes(i, j)}
    for move in v.moves:
        if move.kind == "read":
            k, i = move.tensor, move.layer
            for j in v.problem.readers[k]:
                mine = values.holds(v.reads[k, i][place[i]])
                if j != i and place[j] == place[i] and mine and not values.holds(v.reads[k, j][place[j]]):
                    soft.add((i, j))
    sequence = _sorted(n, hard | soft, start, rank) or _sorted(n, hard, start, rank)
    order: list[list[int]] = [[] for _ in range(v.problem.m)]
    for i in sequence:
        order[place[i]].append(i)
    return order


def _sorted(n: int, arcs: set[tuple[int, int]], start: list[float], rank: dict[int, int]) -> list[int]:
    """Topological order, the smallest start first; empty if there is a cycle."""
    after: list[list[int]] = [[] for _ in range(n)]
    waiting = [0] * n
    for i, j in sorted(arcs):
        after[i].append(j)
        waiting[j] += 1
    ready = [(start[i], rank[i], i) for i in range(n) if waiting[i] == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, _, i = heapq.heappop(ready)
        order.append(i)
        for j in after[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready, (start[j], rank[j], j))
    return order if len(order) == n else []


def pinned_weights(v: Variables, values: Values, place: list[int]) -> list[tuple[int, int]]:
    """Weights in use that are pinned; all in use where pinning is free."""
    problem = v.problem
    if not problem.host or problem.execution.weights != "choice":
        return []
    used = {(int(problem.weight_of[i]), d) for i, d in enumerate(place) if problem.weight_bytes[i] > 0}
    if v.pins_are_free:
        return sorted(used)
    return sorted(pair for pair in used if pair in v.pin and values.holds(v.pin[pair]))


def kept_tensors(v: Variables, values: Values, place: list[int]) -> list[tuple[int, int]]:
    """Pairs that save a transfer, where the solution keeps them."""
    problem, found = v.problem, []
    if problem.execution.staging == "direct":
        return []
    for k, readers in enumerate(problem.readers):
        home = place[int(problem.source[k])] if problem.source[k] >= 0 else -1
        here = [place[j] for j in readers]
        for d in sorted(set(here)):
            if (d == home or here.count(d) > 1) and values.holds(v.kept(k, d)):
                found.append((k, d))
    return found


def transfer_orders(v: Variables, values: Values) -> dict[str, list[str]]:
    """Transfers that take time, by channel and start."""
    found: dict[str, list[tuple[float, str]]] = {}
    for move in v.moves:
        for channel in sorted(move.channels):
            if values.holds(move.on(channel)):
                name = v.problem.routes.channels[channel]
                found.setdefault(name, []).append((values.of(move.begin), move_name(v.problem, values, move)))
    return {name: [identifier for _, identifier in sorted(queue)] for name, queue in sorted(found.items())}


def move_name(problem: MappingProblem, values: Values, move: Move) -> str:
    """Identifier of a transfer in plans."""
    if move.kind == "load":
        return load_id(problem.layers[move.layer])
    tensor = problem.tensors[move.tensor]
    if move.kind == "write":
        return write_id(tensor)
    if move.kind == "read":
        return read_id(tensor, problem.layers[move.layer])
    target = max(move.options, key=lambda o: values.of(o.use)).target
    return send_id(tensor, problem.ends[target])


# -- delays (live memory) --------------------------------------------------------------------------------


def with_delays(v: Variables, values: Values, plan: Plan) -> Plan | None:
    """The plan with the delays that memory asks for, as exact moments.

    The solution says which event is not before which, and which resident is gone at which event. From the
    earliest times of the plan, events are moved to the moments that these need (as computed by `evaluate`,
    so that no rounding of the solver is left in them) until all hold. Times only grow, up to those of the
    solution.
    """
    residency: Residency = v.residency
    present = [event for event in residency.events if _happens(values, event)]
    lives = [life for life in residency.lifetimes if any(values.holds(use) for _, _, use in life.items)]
    names = {
        e.number: v.problem.layers[e.layer] if e.move is None else move_name(v.problem, values, e.move)
        for e in present
    }
    delays: dict[str, float] = {}
    for _ in range(ROUNDS):
        delayed = Plan(
            **{f: getattr(plan, f) for f in plan.__struct_fields__ if f != "not_before"}, not_before=delays
        )
        try:
            evaluation = evaluate(v.problem, delayed)
        except PlanError:
            return None
        moments = _Moments(evaluation)
        wanted = dict(delays)
        for event in present:
            moment = _needed(values, residency, moments, (event, present, lives), names)
            if moment > moments.begin(names[event.number]):
                wanted[names[event.number]] = moment
        if wanted == delays:
            return delayed
        delays = wanted
    return None


def _happens(values: Values, event: Event) -> bool:
    """Whether the moment of an event is one of the plan."""
    return event.move is None or any(
        values.holds(o.use) for o in event.move.options if not _unbooked(event, o)
    )


def _unbooked(event: Event, option: Option) -> bool:
    """Zero-copy sends bring no copy; zero-copy reads may."""
    assert event.move is not None
    return option.free and event.move.kind == "send"


class _Moments:
    """Begin of calls and transfers, and end of lifetimes, in an evaluated plan."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.transfers = {
            t.name(evaluation.graph): t for t in (*evaluation.transfers, *evaluation.times.free)
        }

    def begin(self, name: str) -> float:
        known = self.evaluation.starts.get(name)
        return known if known is not None else self.transfers[name].start

    def end(self, problem: MappingProblem, values: Values, life: Lifetime) -> float:
        moments = [0.0]
        for end, counts in life.ends:
            if not values.holds(counts):
                continue
            if isinstance(end, int):
                moments.append(self.evaluation.times.end[end])
            elif (transfer := self.transfers.get(move_name(problem, values, end))) is not None:
                moments.append(transfer.end)
        return max(moments)


def _needed(
    values: Values,
    residency: Residency,
    moments: _Moments,
    item: tuple[Event, list[Event], list[Lifetime]],
    names: dict[int, str],
) -> float:
    """The moment that an event must not be before."""
    event, present, lives = item
    needed = 0.0
    for other in present:
        flag: Any = residency.first.get((other.number, event.number))
        if flag is not None and values.holds(flag):
            needed = max(needed, moments.begin(names[other.number]))
    for life in lives:
        gone = residency.gone.get((life.number, event.number))
        if gone is not None and values.holds(gone):
            needed = max(needed, moments.end(moments.evaluation.problem, values, life))
    return needed
