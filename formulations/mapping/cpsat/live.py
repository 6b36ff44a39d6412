"""Live memory: what is resident fits at every moment (docs/cost-model.md, section 5)."""

from __future__ import annotations

import math

from dnnplan.formulations.mapping.cpsat.direct import _stays
from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Move, Variables


class _Demands:
    """Optional intervals and the bytes they hold, by memory."""

    def __init__(self, v: Variables) -> None:
        self.v = v
        self.rows: dict[int, list[tuple[object, int]]] = {}

    def add(self, device: int, span: tuple[object, object], size: float, present: list[BoolVar]) -> None:
        """`size` bytes in the memory of `device` from span[0] to span[1] if all of `present` hold."""
        v = self.v
        if int(size) <= 0:
            return
        literal = present[0]
        if len(present) > 1:
            literal = v.flag("")
            v.model.add_bool_or([literal, *(~p for p in present)])
            for p in present:
                v.model.add_implication(literal, p)
        length = v.model.new_int_var(0, v.horizon, "")
        interval = v.model.new_optional_interval_var(span[0], length, span[1], literal, "")
        self.rows.setdefault(int(v.problem.memory_of[device]), []).append((interval, int(size)))


def memory_fits_at_every_moment(v: Variables) -> None:
    """At every moment, for each memory: pinned weights + live tensors + workspace <= bytes (and <= the peak).

    Cumulative over optional intervals; tensors of a device from the start of their producer (of their transfer)
    to the end of their last use; weights pinned for the whole horizon. Without it, plans that no memory holds.
    """
    if not v.live:
        return
    demands = _Demands(v)
    for i, row in enumerate(v.x):
        for d, x in row.items():
            demands.add(d, (v.start[i], v.end[i]), float(v.problem.workspace[i]), [x])
            if v.problem.host and v.problem.execution.weights != "resident" and v.problem.weight_bytes[i] > 0:
                demands.add(d, (v.start[i], v.end[i]), float(v.problem.weight_bytes[i]), [x, ~v.pin_of(i, d)])
    for k in range(len(v.problem.tensors)):
        if v.problem.source[k] >= 0:
            _home_copy(v, demands, k)
        if v.problem.execution.staging == "direct":
            _sent_copies(v, demands, k)
        else:
            _read_copies(v, demands, k)
    size = {int(w): int(b) for w, b in zip(v.problem.weight_of, v.problem.weight_bytes, strict=True)}
    for (w, d), pin in v.pin.items():
        demands.add(d, (0, v.horizon), size[w], [pin])
    _books_fit(v, demands)


def _books_fit(v: Variables, demands: _Demands) -> None:
    """One cumulative for each memory that is limited, and one for the peak where that is measured."""
    problem = v.problem
    sums = (*problem.stages, *(terms for terms, _ in problem.sums_at_most))
    measured = any(name == "memory" for terms in sums for name, _ in terms)
    if measured:
        highest = max((sum(size for _, size in rows) for rows in demands.rows.values()), default=0)
        v.extra["memory", 0] = v.model.new_int_var(0, highest, "peak")
    for memory, rows in demands.rows.items():
        intervals, sizes = [interval for interval, _ in rows], [size for _, size in rows]
        capacity = _capacity(v, memory)
        if math.isfinite(capacity):
            v.model.add_cumulative(intervals, sizes, int(capacity))
        if measured:
            v.model.add_cumulative(intervals, sizes, v.extra["memory", 0])


def _capacity(v: Variables, memory: int) -> float:
    """Bytes that may be in use: those of the memory where it is limited, and the limit on peaks."""
    problem = v.problem
    own = float(problem.capacity[memory]) if problem.execution.memory == "live" else math.inf
    return min(own, problem.limits.get("memory", math.inf))


def _moves(v: Variables, k: int) -> list[Move]:
    return [move for move in v.moves if move.tensor == k and move.kind != "load"]


def _home_copy(v: Variables, demands: _Demands, k: int) -> None:
    """The copy where tensor k is made: until its producer, its transfers away, and its readers there have ended."""
    problem = v.problem
    i = int(problem.source[k])
    until = v.time(f"until_{k}")
    v.model.add(until >= v.end[i])
    for move in _moves(v, k):
        if move.kind != "read":
            v.model.add(until >= move.end).only_enforce_if(move.present)
        elif problem.host_device in v.x[i]:
            # The host reads out of this very copy.
            v.model.add(until >= move.end).only_enforce_if(move.present, v.x[i][problem.host_device])
    for d, x in v.x[i].items():
        for j in problem.readers[k]:
            for b, reads in v.x[j].items():
                if problem.execution.staging == "direct":
                    if _stays(v, k, d, b):
                        v.model.add(until >= v.end[j]).only_enforce_if(x, reads)
                elif b == d:
                    v.model.add(until >= v.end[j]).only_enforce_if(x, reads, v.keep[k, b])
                if problem.execution.staging == "host" and _through_host(v, k, d, b):
                    v.model.add(until >= v.end[j]).only_enforce_if(x, reads)
        demands.add(d, (v.start[i], until), float(problem.size[k]), [x])


def _through_host(v: Variables, k: int, a: int, b: int) -> bool:
    """Whether a reader on b uses the copy that was made on a, written and read zero-copy."""
    problem = v.problem
    return problem.is_free(k, a, problem.m) and problem.is_free(k, problem.m, b)


def _sent_copies(v: Variables, demands: _Demands, k: int) -> None:
    """Copies that a send brings: from its start (of the call, without overlap) to the last reader there."""
    problem, overlap = v.problem, v.problem.execution.overlap
    for move in _moves(v, k):
        targets = [move.device] if move.device >= 0 else sorted(v.x[move.layer])
        for b in targets:
            if b == problem.m:
                continue
            until = v.time("")
            present = [move.present] if move.device >= 0 else [move.present, v.x[move.layer][b]]
            begin = move.start if overlap else v.start[move.layer]
            v.model.add(until >= move.end).only_enforce_if(*present)
            for j in problem.readers[k]:
                if b in v.x[j]:
                    v.model.add(until >= v.end[j]).only_enforce_if(*present, v.x[j][b])
            present += _not_free(v, k, b)
            demands.add(b, (begin, until), float(problem.size[k]), present)


def _not_free(v: Variables, k: int, b: int) -> list[BoolVar]:
    """Literals under which the send to b makes a second copy: not where it is zero-copy."""
    problem = v.problem
    i = int(problem.source[k])
    if i < 0:
        return [v.never] if problem.is_free(k, problem.m, b) else []
    return [~x for a, x in v.x[i].items() if a != b and problem.is_free(k, a, b)]


def _read_copies(v: Variables, demands: _Demands, k: int) -> None:
    """Copies that a read brings: to the end of the call, or of the last reader on the device if kept."""
    problem, overlap = v.problem, v.problem.execution.overlap
    for move in _moves(v, k):
        if move.kind != "read":
            continue
        for b, x in v.x[move.layer].items():
            source = int(problem.source[k])
            if source < 0 and problem.is_free(k, problem.m, b):
                continue
            elsewhere = (
                [~at for a, at in v.x[source].items() if _through_host(v, k, a, b)] if source >= 0 else []
            )
            until = v.time("")
            v.model.add(until >= v.end[move.layer]).only_enforce_if(move.present, x)
            for j in problem.readers[k]:
                if j != move.layer and b in v.x[j]:
                    v.model.add(until >= v.end[j]).only_enforce_if(move.present, x, v.x[j][b], v.keep[k, b])
            begin = move.start if overlap else v.start[move.layer]
            size = problem.read_sizes[k, move.layer]
            demands.add(b, (begin, until), float(size), [move.present, x, *elsewhere])
