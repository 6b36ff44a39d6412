"""Constraints of the model of calls (docs/cost-model.md, sections 1 and 4.2: host staging, no overlap).

Symbols: layer i, call c on device d(c), tensor k from layer p (or an input) to layers j; r and w ticks to read
and to write it.
"""

from __future__ import annotations

import math
from itertools import pairwise

from dnnplan.formulations.mapping.calls.cpsat.variables import BoolVar, CallVariables
from dnnplan.formulations.mapping.symmetry import symmetry_of


def one_place_each(v: CallVariables) -> None:
    """sum_c z[i,c] + host[i] = 1, once for each group of layers that share a device."""
    seen: set[int] = set()
    for row, home in zip(v.z, v.host, strict=True):
        if id(row) not in seen:
            seen.add(id(row))
            v.model.add_exactly_one([*row.values(), *([] if home is None else [home])])


def weights_fit(v: CallVariables) -> None:
    """sum_{i, c on d} bytes[i] z[i,c] <= room[d]."""
    problem = v.problem
    if problem.execution.memory == "none":
        return
    for d in sorted(set(v.device)):
        room = min(float(problem.weight_capacity[d]), float(problem.capacity[problem.memory_of[d]]))
        if math.isfinite(room):
            terms = [
                int(problem.weight_bytes[i]) * row[c]
                for i, row in enumerate(v.z)
                for c in row
                if v.device[c] == d and problem.weight_bytes[i] > 0
            ]
            v.model.add(sum(terms) <= int(room))


def calls_move_what_crosses(v: CallVariables) -> None:
    """read[k,c] >= z[j,c] - z[p,c], write[k,c] >= z[p,c] - z[j,c], write[k,c] >= z[p,c] for outputs.

    A move without a route forbids what needs it.
    """
    problem = v.problem
    for k, p in enumerate(problem.source.tolist()):
        readers = problem.readers[k]
        made = v.z[p] if p >= 0 else {}
        for c in v.labels:
            d = v.device[c]
            inside = made.get(c)
            size = max((problem.read_sizes[k, j] for j in readers), default=0.0)
            fetched = [(v.z[j][c], inside) for j in readers if c in v.z[j] and v.z[j] is not made]
            _crosses(v, v.read, (k, c), problem.read_seconds(k, d, size), fetched)
            if inside is not None:
                left: list[tuple[BoolVar, BoolVar | None]] = [
                    (inside, v.z[j].get(c)) for j in readers if v.z[j] is not made
                ]
                left += [(inside, None)] if problem.output[k] else []
                _crosses(v, v.write, (k, c), problem.move_seconds(k, d, problem.m), left)


def _crosses(
    v: CallVariables,
    moves: dict[tuple[int, int], BoolVar],
    key: tuple[int, int],
    ticks: float,
    pairs: list[tuple[BoolVar, BoolVar | None]],
) -> None:
    """A move that takes place if for some pair the first holds and the second does not."""
    if not pairs or ticks == 0:
        return
    forbidden = math.isinf(ticks)
    if not forbidden:
        moves[key] = v.model.new_bool_var("")
    for here, there in pairs:
        literals = [~here] + ([] if there is None else [there]) + ([] if forbidden else [moves[key]])
        v.model.add_bool_or(literals)


def calls_last(v: CallVariables) -> None:
    """E_c = S_c + sum_k r[k,d] read[k,c] + sum_i t[i,d] z[i,c] + sum_k w[k,d] write[k,c]."""
    problem = v.problem
    for c in v.labels:
        d = v.device[c]
        work = sum(int(problem.duration[i, d]) * row[c] for i, row in enumerate(v.z) if c in row)
        reads = sum(
            int(problem.read_seconds(k, d, max(problem.read_sizes[k, j] for j in problem.readers[k])))
            * literal
            for (k, e), literal in v.read.items()
            if e == c
        )
        writes = sum(
            int(problem.move_seconds(k, d, problem.m)) * literal
            for (k, e), literal in v.write.items()
            if e == c
        )
        v.model.add(v.end[c] == v.start[c] + work + reads + writes)


def layers_wait_for_producers(v: CallVariables) -> None:
    """A_i >= E_c if z[i,c];  S_c >= A_p if z[j,c] and not z[p,c];  A_j >= A_p + t[j,host] if host[j].

    What is released later than 0 waits for that; inputs are on the host then.
    """
    problem, model = v.problem, v.model
    for i, row in enumerate(v.z):
        release = int(problem.release[i])
        for c, here in row.items():
            model.add(v.ready[i] >= v.end[c]).only_enforce_if(here)
            if release:
                model.add(v.start[c] >= release).only_enforce_if(here)
        home = v.host[i]
        if home is not None:
            least = release + int(problem.duration[i, problem.host_device])
            model.add(v.ready[i] >= least).only_enforce_if(home)
    for _, p, j in problem.edges.tolist():
        for c, here in v.z[j].items():
            if v.z[p] is v.z[j]:
                continue
            same = v.z[p].get(c)
            model.add(v.start[c] >= v.ready[p]).only_enforce_if(here, *([] if same is None else [~same]))
        home = v.host[j]
        if home is not None:
            ticks = int(problem.duration[j, problem.host_device])
            model.add(v.ready[j] >= v.ready[p] + ticks).only_enforce_if(home)


def calls_are_convex(v: CallVariables) -> None:
    """b[i,c] >= z[i,c], b[j,c] >= b[p,c], and z[j,c] + b[p,c] - z[p,c] <= 1: who left a call does not come back.

    Follows from the times, since calls wait for each other otherwise; b[i,c] = 1 if an ancestor of i, or i, is in c.
    """
    model = v.model
    below = [{c: model.new_bool_var("") for c in v.labels} for _ in range(v.problem.n)]
    for i, row in enumerate(v.z):
        for c, here in row.items():
            model.add_implication(here, below[i][c])
    for _, p, j in v.problem.edges.tolist():
        for c in v.labels:
            model.add_implication(below[p][c], below[j][c])
            here, before = v.z[j].get(c), v.z[p].get(c)
            if here is not None and v.z[j] is not v.z[p]:
                model.add_bool_or([~below[p][c], ~here, *([] if before is None else [before])])


def calls_of_a_device_in_turn(v: CallVariables) -> None:
    """S of a label >= E of the label before it on the same device: one call at a time, named in order."""
    for a, b in pairwise(v.labels):
        if v.device[a] == v.device[b]:
            v.model.add(v.start[b] >= v.end[a])


def identical_devices_in_order(v: CallVariables) -> None:
    """S of the first call of a device <= S of that of the next identical device.

    Calls that hold no layer last no time, and start when it suits.
    """
    first = {d: c for c, d in reversed(list(enumerate(v.device)))}
    v.identical = tuple(tuple(d for d in row if d in first) for row in symmetry_of(v.original).classes)
    for devices in v.identical:
        for d, e in pairwise(devices):
            v.model.add(v.start[first[d]] <= v.start[first[e]])
