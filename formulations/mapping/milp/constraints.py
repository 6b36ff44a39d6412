"""Constraints on layers and devices; on tensors: `direct` and `host`; on memory: `memory`.

Symbols: layers i, j; devices d, e; x[i,d] in {0,1}; s_i, e_i start and end of the call of i; C makespan;
t[i,d] compute time; M a number that makes a row idle, the smallest that the windows of the times involved
allow.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import pulp

from dnnplan.formulations.mapping.bounds import heads_and_tails, least_duration
from dnnplan.formulations.mapping.milp.variables import Linear, Move, Variables
from dnnplan.formulations.mapping.milp.windows import LIMIT_TOLERANCE
from dnnplan.formulations.mapping.symmetry import Symmetry


def one_device_each(v: Variables) -> None:
    """sum_d x[i,d] = 1 for every layer i.

    The assignment of unrelated machines (R||Cmax). Without it a layer could run nowhere, at no cost.
    """
    for row in v.x:
        if row:
            v.add(pulp.lpSum(row.values()) == 1)
        else:
            v.add(v.makespan >= v.horizon + 1)  # no device at all: infeasible


def identical_devices_are_named_in_order(v: Variables, symmetry: Symmetry) -> None:
    """x[i_r, d'] <= sum over q < r of x[i_q, d] for consecutive devices d, d' of a class, layers i_0, i_1, ...

    Redundant but for names: of the plans that differ by the names of identical devices one remains.
    """
    for row in symmetry.classes:
        for before, after in pairwise(row):
            for r, i in enumerate(symmetry.order):
                if after in v.x[i]:
                    users = [v.x[j][before] for j in symmetry.order[:r] if before in v.x[j]]
                    v.add(v.x[i][after] <= pulp.lpSum(users))


def colocated_layers_share_a_device(v: Variables) -> None:
    """x[i,d] = x[j,d] for i, j in one colocation group and every d.

    Given by the model. Without it a group would be torn apart, which `check` refuses.
    """
    for group in v.problem.colocate:
        for i, j in pairwise(group):
            for d in sorted(set(v.x[i]) | set(v.x[j])):
                v.add(v.x[i].get(d, pulp.lpSum([])) - v.x[j].get(d, 0) == 0)


def products_of_placements(v: Variables) -> None:
    """sum_e both[i,j][d,e] = x[i,d] and sum_d both[i,j][d,e] = x[j,e] for every producer i of a reader j.

    The linearisation of x[i,d] x[j,e] as a flow from the device of i to that of j (Adams and Johnson 1994
    for quadratic assignment), much tighter than both >= x + x - 1. Pairs without a route have no variable,
    so that they cannot be chosen. Without it communication would be free.
    """
    problem = v.problem
    for k, i, j in problem.edges.tolist():
        if (i, j) not in v.both:
            v.both[i, j] = {(d, e): v.share(f"both_{i}_{j}_{d}_{e}") for d in v.x[i] for e in v.x[j]}
        if problem.execution.staging == "direct":
            for d, e in [pair for pair in v.both[i, j] if pair[0] != pair[1]]:
                if problem.move_seconds(k, d, e) == float("inf"):
                    del v.both[i, j][d, e]
    for (i, j), pairs in v.both.items():
        v.pause()
        for d, x in v.x[i].items():
            v.add(pulp.lpSum(pairs.get((d, e), 0) for e in v.x[j]) == x)
        for e, x in v.x[j].items():
            v.add(pulp.lpSum(pairs.get((d, e), 0) for d in v.x[i]) == x)


def calls_run_their_steps(v: Variables) -> None:
    """Without overlap: s_i, then the sends or reads of i, its load, its compute, its writes, then e_i.

    Each step starts when the one before has ended: begin_1 >= s_i, begin_{q+1} >= begin_q + seconds_q; the
    last one ends at e_i (docs/cost-model.md, 4.1 to 4.3). `arrival[i]`, the end of its reads, is when what
    i has read is there for others. Without it transfers would not occupy the device.
    """
    reads, loads, writes = _steps(v)
    for i in range(v.problem.n):
        time: Linear = v.start[i]
        for move in reads[i]:
            time = _begin(v, move, time)
        v.arrival[i] = time + 0
        for move in loads[i]:
            time = _begin(v, move, time)
        time = time + v.work(i)
        for move in writes[i]:
            time = _begin(v, move, time)
        v.add(v.end[i] == time if not v.contended else v.end[i] >= time)


def _steps(v: Variables) -> tuple[list[list[Move]], list[list[Move]], list[list[Move]]]:
    """The reads (or sends), the load and the writes of each call, in the order of the model's tensors."""
    reads: list[list[Move]] = [[] for _ in range(v.problem.n)]
    loads: list[list[Move]] = [[] for _ in range(v.problem.n)]
    writes: list[list[Move]] = [[] for _ in range(v.problem.n)]
    for move in v.moves:
        if move.kind == "load":
            loads[move.layer].append(move)
        elif move.kind == "write":
            writes[move.layer].append(move)
        elif move.target != v.problem.m:
            reads[move.layer].append(move)
    for moves in (*reads, *writes):
        moves.sort(key=lambda move: move.tensor)
    return reads, loads, writes


def _begin(v: Variables, move: Move, time: Linear) -> Linear:
    """Let a step begin at or after `time`; returns when it ends."""
    if not v.contended:
        move.begin = time
    else:
        move.begin = v.time(f"begin_{move.kind}_{move.tensor}_{move.layer}")
        v.add(move.begin >= time)
    return move.end


def calls_compute_while_they_load(v: Variables) -> None:
    """With overlap: e_i >= s_i + sum_d t[i,d] x[i,d] and e_i >= begin of its load + seconds of its load.

    (docs/cost-model.md, 4.2.) Without it calls would take no time.
    """
    for i in range(v.problem.n):
        v.add(v.end[i] >= v.start[i] + v.work(i))
    for move in v.moves:
        if move.kind == "load":
            i = move.layer
            move.begin = v.start[i]
            if v.contended:
                move.begin = v.time(f"begin_load_{i}")
                v.add(move.begin >= v.start[i])
            v.add(v.end[i] >= move.end)


def one_call_a_slot(v: Variables) -> None:
    """before[i,j] + before[j,i] >= x[i,d] + x[j,d] - 1 and s_j >= e_i - M (1 - before[i,j]).

    Disjunctive constraints (Manne 1960) for two layers that may share device d and of which neither has to
    wait for the other. With several slots x[.,d] is the assignment to one of the slots, sum_q slot[i,d,q] =
    x[i,d]. Without it a device would run any number of calls at once.
    """
    places = [_slots_of(v, i) for i in range(v.problem.n)]
    for i, j in combinations(range(v.problem.n), 2):
        common = [p for p in places[i] if p in places[j]]
        if not common or v.precedes(i, j) or v.precedes(j, i):
            continue
        v.pause()
        first, second = v.flag(f"before_{i}_{j}"), v.flag(f"before_{j}_{i}")
        v.before[i, j], v.before[j, i] = first, second
        v.add(first + second <= 1)
        for place in common:
            v.add(first + second >= places[i][place] + places[j][place] - 1)
        for a, b, order in ((i, j, first), (j, i, second)):
            v.add(v.start[b] >= v.end[a] - max(0.0, v.latest[a] - v.earliest[b]) * (1 - order))


def _slots_of(v: Variables, i: int) -> dict[tuple[int, int], Linear]:
    """1 if layer i runs in a slot, by (device, slot), of devices with fewer slots than layers."""
    found: dict[tuple[int, int], Linear] = {}
    for d, x in v.x[i].items():
        slots = int(v.problem.slots[d])
        if slots == 1:
            found[d, 0] = x
        elif slots < v.problem.n:
            row = {(d, q): v.flag(f"slot_{i}_{d}_{q}") for q in range(slots)}
            v.add(pulp.lpSum(row.values()) == x)
            found.update(row)
    return found


def precedences_hold(v: Variables) -> None:
    """s_i >= completion of every job that the task of i waits for (releases are bounds of s_i).

    (docs/cost-model.md, 4, rule 1.) Without it tasks would overtake those before them.
    """
    for before, after in v.problem.precedences:
        for i in range(v.problem.n):
            if v.problem.job_of[i] == after:
                v.add(v.start[i] >= v.completion[before])


def jobs_complete(v: Variables) -> None:
    """completion_j >= e_i of its layers and the end of the transfers of its outputs; C >= completion_j.

    (docs/cost-model.md, 4.5.) Without it nothing would have to end.
    """
    problem = v.problem
    for i in range(problem.n):
        v.add(v.completion[int(problem.job_of[i])] >= v.end[i])
    for move in v.moves:
        if move.kind != "load" and move.target == problem.m and problem.output[move.tensor]:
            v.add(v.completion[int(problem.job_of[move.layer])] >= move.end)
    for j, job in enumerate(problem.jobs):
        v.add(v.makespan >= v.completion[j])
        if "deadline" in problem.limits:
            latest = v.scaled(job.release + problem.limits["deadline"] * (1 + LIMIT_TOLERANCE))
            v.add(v.completion[j] <= latest)


def makespan_covers_load(v: Variables) -> None:
    """slots[d] C >= sum_i t[i,d] x[i,d] + (without overlap) the transfers that occupy d.

    Redundant: it gives the linear relaxation the load of each device, which disjunctive rows hide behind M.
    """
    problem = v.problem
    for d in range(problem.m):
        slots = int(problem.slots[d])
        if slots >= problem.n:
            continue
        load = [v.scaled(problem.duration[i, d]) * row[d] for i, row in enumerate(v.x) if d in row]
        if not v.overlap:
            load += [
                o.seconds * o.use
                for move in v.moves
                for o in move.options
                if o.seconds > 0 and (o.target == d or (o.source == d and move.kind == "write"))
            ]
        v.add(slots * v.makespan >= pulp.lpSum(load))


def times_follow_critical_paths(v: Variables) -> None:
    """Let e_i >= sum_d (head[i,d] + work[i,d]) x[i,d] and C >= e_i + sum_d tail[i,d] x[i,d].

    With overlap also s_i >= sum_d head[i,d] x[i,d].
    Heads and tails of the communication-aware critical path (`bounds.heads_and_tails`). Redundant; it hands
    the bound of that dynamic programme to the linear relaxation.
    """
    heads, tails = heads_and_tails(v.problem)
    work = least_duration(v.problem)
    for i, row in enumerate(v.x):
        v.add(v.end[i] >= pulp.lpSum(v.scaled(heads[i, d] + work[i, d]) * x for d, x in row.items()))
        v.add(v.makespan >= v.end[i] + pulp.lpSum(v.scaled(tails[i, d]) * x for d, x in row.items()))
        if v.overlap:
            v.add(v.start[i] >= pulp.lpSum(v.scaled(heads[i, d]) * x for d, x in row.items()))
