"""The best plan of a small mapping instance by exhaustion: the oracle of every exact solver.

Why nothing is missed --------------------- A plan is a placement, an order of the calls of each device,
pinned weights, kept tensors, an order of the transfers of each channel, and delays. Placements and orders
are enumerated outright (orders that put a reader before its producer deadlock and are left out). For each
of them the *most generous* plan is taken first: all weights pinned, all tensors kept, channels and memories
without limit, nothing delayed. Its times are earliest times, and they can only grow when a weight is not
pinned, a tensor is not kept, or something waits for something else (one exception, below). So its value is
a lower bound on all plans of that placement and order, and if it breaks no limit it is the best of them. If
it breaks one, every plan that does not is in one of the branches:

* two transfers overlap on one channel: one of them has to end before the other starts (two branches);
* pinned weights exceed a capacity: one of them is not pinned (a branch each);
* at some moment the residents of a memory exceed it: one of its pinned weights is not pinned, or one of the
  kept tensors among the residents is not kept, or all these residents are there in the plan that we look
  for too. Then two of them do not overlap in time, for intervals that overlap pairwise have a moment in
  common (Helly), so that one of the two arrives only when the other has gone (a branch for each ordered
  pair).

Branches are searched by lower bound, smallest first; the first plan that breaks nothing is optimal. Since
all times are earliest times under the branches taken, delays need not be enumerated: `not_before` is what
they imply.

The exception: where a device has several slots, keeping a tensor that was read makes later readers wait for
the end of all reads of the first one, which may be later than reading it again. There, all subsets are
enumerated.

Times are derived here from docs/cost-model.md once more, as earliest times of activities, and every plan
that is returned has been judged by `evaluate` and by `check`, which must confirm its value to the last
digit.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, pairwise, permutations, product

from dnnplan.costs import MappingProblem, encode, evaluate
from dnnplan.costs.check import check
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.instances import Plan
from dnnplan.instances.plan import load_id, read_id, send_id, write_id

# ("start" | "compute" | "end", layer), ("load", layer), ("send", k, to), ("read", k, layer), ("write", k)
Node = tuple
Arc = tuple[frozenset, Node]
TOLERANCE = 1e-6


@dataclass(frozen=True)
class State:
    """A branch: what is pinned and kept, and which ends come before which starts."""

    place: tuple[int, ...]
    order: tuple[tuple[int, ...], ...]
    pins: frozenset  # (weights, device)
    kept: frozenset  # (tensor, device)
    arcs: frozenset  # of Arc, from memory
    queue: frozenset  # of Arc, from channels


@dataclass(frozen=True)
class Best:
    """The optimum of the first stage of the objective; `plan` is None if there is no valid plan."""

    value: float
    plan: Plan | None
    states: int


class Network:
    """The activities of a state with their earliest times (docs/cost-model.md, section 4)."""

    def __init__(self, problem: MappingProblem, state: State) -> None:
        self.p, self.s = problem, state
        self.m = problem.m
        self.seconds: dict[Node, float] = {}
        self.after: dict[Node, list[Node]] = {}
        self.route: dict[Node, tuple[int, int]] = {}
        self.size: dict[Node, float] = {}
        self.bytes: dict[Node, float] = {}
        self.earliest: dict[Node, float] = {}
        self.reads_of: dict[int, list[Node]] = {i: [] for i in range(problem.n)}
        self.writes_of: dict[int, list[Node]] = {i: [] for i in range(problem.n)}
        self.shared: list[tuple[int, int]] = []  # (layer, first reader): waits for the end of all its reads
        self.first: dict[tuple[int, int], int] = {}
        self.output_moves: dict[Node, int] = {}
        self.position = {i: p for row in state.order for p, i in enumerate(row)}
        overlap = problem.execution.overlap
        for i in range(problem.n):
            for kind in ("start", "compute", "end"):
                self._node((kind, i), 0.0)
            self.seconds["compute", i] = float(problem.duration[i, state.place[i]])
            self.earliest["start", i] = float(problem.release[i])
        for k in range(len(problem.tensors)):
            (self._direct if problem.execution.staging == "direct" else self._host)(k)
        for i in range(problem.n):
            self._loads(i)
            (self._overlapped if overlap else self._serial)(i)
        for i, first in self.shared:
            reads = self.reads_of[first]
            self.after["start", i].append(reads[-1])
        for row in state.order:
            for a, b in pairwise(row):
                self.after["start", b].append(("start", a))
        self._precedences()
        for ends, begin in chain(state.arcs, state.queue):
            self.after[begin] += list(ends)

    # -- activities ---------------------------------------------------------------------------------------

    def _node(self, node: Node, seconds: float) -> None:
        self.seconds[node] = seconds
        self.after[node] = []

    def _move(self, node: Node, a: int, b: int, seconds: float, size: float) -> None:
        self._node(node, seconds)
        self.route[node] = (a, b)
        tensor = -1 if node[0] == "load" else node[1]
        self.size[node] = size
        self.bytes[node] = 0.0 if self.p.is_free(tensor, a, b) else size

    def _direct(self, k: int) -> None:
        problem, place, m = self.p, self.s.place, self.m
        p = int(problem.source[k])
        home = place[p] if p >= 0 else m
        size, overlap = float(problem.size[k]), problem.execution.overlap
        if p < 0 and not problem.host:
            return
        host_device = problem.host_device
        at_host = home == host_device or (
            host_device >= 0 and host_device in [place[i] for i in problem.readers[k]]
        )
        if p >= 0 and problem.output[k] and problem.host and not at_host:
            node = ("send", k, m)
            self._move(node, home, m, problem.move_seconds(k, home, m), size)
            self.after[node].append(("end", p))
            self.output_moves[node] = int(problem.job_of[p])
        for d in sorted({place[i] for i in problem.readers[k]}):
            readers = sorted((i for i in problem.readers[k] if place[i] == d), key=self.position.__getitem__)
            for i in readers if p >= 0 else ():
                self.after["start", i].append(("end", p))
            if d == home:
                continue
            node = ("send", k, d)
            self._move(node, home, d, problem.move_seconds(k, home, d), size)
            self.first[k, d] = readers[0]
            if overlap:
                self.earliest[node] = float(problem.tensor_release[k])
                self.after[node] += [("end", p)] if p >= 0 else []
                for i in readers:
                    self.after["start", i].append(node)
            else:
                self.reads_of[readers[0]].append(node)
                self.shared += [(i, readers[0]) for i in readers[1:]]

    def _host(self, k: int) -> None:
        problem, place, m = self.p, self.s.place, self.m
        p = int(problem.source[k])
        home, overlap = place[p] if p >= 0 else m, problem.execution.overlap
        fetching: list[tuple[int, list[int]]] = []
        for d in sorted({place[i] for i in problem.readers[k]}):
            readers = sorted((i for i in problem.readers[k] if place[i] == d), key=self.position.__getitem__)
            if (k, d) not in self.s.kept:
                fetching += [(i, []) for i in readers]
            elif d == home:
                for i in readers:
                    self.after["start", i].append(("end", p))
            else:
                fetching.append((readers[0], readers[1:]))
                self.first[k, d] = readers[0]
        written: Node | None = None
        if p >= 0 and (fetching or problem.output[k]):
            written = ("write", k)
            self._move(written, home, m, problem.move_seconds(k, home, m), float(problem.size[k]))
            if problem.output[k]:
                self.output_moves[written] = int(problem.job_of[p])
            if overlap:
                self.after[written].append(("end", p))
            else:
                self.writes_of[p].append(written)
        for i, later in fetching:
            node, size = ("read", k, i), problem.read_sizes[k, i]
            self._move(node, m, place[i], problem.read_seconds(k, place[i], size), size)
            if overlap:
                self.earliest[node] = float(problem.tensor_release[k])
                self.after[node] += [written] if written is not None else []
                for j in (i, *later):
                    self.after["start", j].append(node)
            else:
                self.after["start", i] += [("end", p)] if p >= 0 else []
                self.reads_of[i].append(node)
                self.shared += [(j, i) for j in later]

    def _loads(self, i: int) -> None:
        problem, d = self.p, self.s.place[i]
        w, size = int(problem.weight_of[i]), float(problem.weight_bytes[i])
        if problem.host and size > 0 and (w, d) not in self.s.pins:
            routes = problem.routes
            seconds = float(routes.latency[self.m, d] + size * routes.per_byte[self.m, d])
            self._move(("load", i), self.m, d, seconds, size)

    def _overlapped(self, i: int) -> None:
        self.after["compute", i].append(("start", i))
        self.after["end", i].append(("compute", i))
        if ("load", i) in self.seconds:
            self.after["load", i].append(("start", i))
            self.after["end", i].append(("load", i))

    def _serial(self, i: int) -> None:
        load = [("load", i)] if ("load", i) in self.seconds else []
        steps: list[Node] = [
            ("start", i),
            *self.reads_of[i],
            *load,
            ("compute", i),
            *self.writes_of[i],
            ("end", i),
        ]
        for a, b in pairwise(steps):
            self.after[b].append(a)

    def _precedences(self) -> None:
        problem = self.p
        for before, later in problem.precedences:
            ends: list[Node] = [("end", i) for i in range(problem.n) if problem.job_of[i] == before]
            ends += [node for node, job in self.output_moves.items() if job == before]
            for i in range(problem.n):
                if problem.job_of[i] == later:
                    self.after["start", i] += ends

    # -- earliest times -----------------------------------------------------------------------------------

    def solve(self, horizon: float, guess: dict[Node, float]) -> bool:
        """Least fixed point of all waits; False if there is none (deadlock) or a move has no route."""
        if any(not math.isfinite(s) for s in self.seconds.values()):
            return False
        slots = self.p.slots.tolist()
        start = {n: max(self.earliest.get(n, 0.0), guess.get(n, 0.0)) for n in self.seconds}
        earlier = {}
        for d, row in enumerate(self.s.order):
            for p, i in enumerate(row):
                if p >= slots[d]:
                    earlier["start", i] = (row[:p], slots[d])
        nodes = sorted(self.seconds, key=start.__getitem__)
        changed = True
        while changed:
            changed = False
            for n in nodes:
                time = start[n]
                for a in self.after[n]:
                    time = max(time, start[a] + self.seconds[a])
                if n in earlier:
                    row, count = earlier[n]
                    time = max(time, sorted(start["end", j] for j in row)[-count])
                if time > start[n]:
                    if time > horizon:
                        return False
                    start[n] = time
                    changed = True
        self.start = start
        return True

    def end(self, node: Node) -> float:
        return self.start[node] + self.seconds[node]

    # -- value --------------------------------------------------------------------------------------------

    def measures(self) -> dict[str, float]:
        """Every regular measure, and the largest completion - release."""
        problem, place = self.p, self.s.place
        done = [job.release for job in problem.jobs]
        for i in range(problem.n):
            j = int(problem.job_of[i])
            done[j] = max(done[j], self.start["end", i])
        for node, j in self.output_moves.items():
            done[j] = max(done[j], self.end(node))
        latency = max(done)
        energy = sum(float(problem.energy[i, d]) for i, d in enumerate(place))
        energy += sum(
            self.bytes[n] * float(problem.routes.energy_per_byte[a, b]) for n, (a, b) in self.route.items()
        )
        for d in range(self.m):
            work = sum(float(problem.duration[i, e]) for i, e in enumerate(place) if e == d)
            energy += float(problem.idle_power[d]) * max(0.0, latency - work)
        return {
            "latency": latency,
            "energy": energy,
            "edp": energy * latency,
            "traffic": sum(self.bytes.values()),
            "weighted_completion": sum(
                job.weight * (t - job.release) for job, t in zip(problem.jobs, done, strict=True)
            ),
            "tardiness": sum(
                job.weight * max(0.0, t - job.due)
                for job, t in zip(problem.jobs, done, strict=True)
                if job.due is not None
            ),
            "max_load": max(self.loads()),
            "deadline": max(t - job.release for job, t in zip(problem.jobs, done, strict=True)),
            "switches": self.switches(),
        }

    def switches(self) -> int:
        """Changes of device in the job with most of them: one a tensor and device that reads and did not make it."""
        changes = set()
        for i in range(self.p.n):
            for k in self.p.inputs[i]:
                source = int(self.p.source[k])
                if source >= 0 and self.s.place[source] != self.s.place[i]:
                    changes.add((int(self.p.job_of[i]), k, self.s.place[i]))
        jobs = [job for job, _, _ in changes]
        return max((jobs.count(job) for job in jobs), default=0)

    def loads(self) -> list[float]:
        """Seconds of work of each device in one period (docs/cost-model.md, 6)."""
        problem, place, m = self.p, self.s.place, self.m
        direct = problem.execution.staging == "direct"
        work, moves = [0.0] * m, [0.0] * m
        for i, d in enumerate(place):
            work[d] += float(problem.duration[i, d])
            moves[d] += self.seconds.get(("load", i), 0.0)
        for k, readers in enumerate(problem.readers):
            p = int(problem.source[k])
            home = place[p] if p >= 0 else m
            outside = sorted({place[i] for i in readers} - {home})
            for d in outside if p >= 0 or problem.host else ():
                if direct:
                    moves[d] += problem.move_seconds(k, home, d)
                else:
                    sizes = [problem.read_sizes[k, i] for i in readers if place[i] == d]
                    moves[d] += max(problem.read_seconds(k, d, size) for size in sizes)
            if not direct and p >= 0 and (outside or problem.output[k]):
                moves[home] += problem.move_seconds(k, home, m)
        combine = max if problem.execution.overlap else lambda a, b: a + b
        return [combine(a, b) for a, b in zip(work, moves, strict=True)]

    # -- what is broken -----------------------------------------------------------------------------------

    def branches(self) -> Iterator[State] | None:
        """None if nothing is broken; else states of which one leads to every plan that breaks nothing."""
        for find in (self._weights_too_heavy, self._two_on_a_channel, self._memory_too_full):
            found = find()
            if found is not None:
                return iter(found)
        return None

    def _with(self, **changes: frozenset) -> State:
        fields = {name: changes.get(name, getattr(self.s, name)) for name in State.__dataclass_fields__}
        return State(**fields)

    def _unpin(self, pairs: set) -> list[State]:
        choice = self.p.host and self.p.execution.weights == "choice"
        return [self._with(pins=self.s.pins - {pair}) for pair in sorted(pairs)] if choice else []

    def _weight_sizes(self) -> dict[int, float]:
        return {int(w): float(b) for w, b in zip(self.p.weight_of, self.p.weight_bytes, strict=True)}

    def _weights_too_heavy(self) -> list[State] | None:
        problem = self.p
        if problem.execution.memory == "none":
            return None
        size = self._weight_sizes()
        groups = [([d], float(problem.weight_capacity[d])) for d in range(self.m)]
        for memory, capacity in enumerate(problem.capacity.tolist()):
            groups.append(([d for d in range(self.m) if problem.memory_of[d] == memory], capacity))
        for devices, capacity in groups:
            pairs = {(w, d) for w, d in self.s.pins if d in devices and size[w] > 0}
            if sum(size[w] for w, _ in pairs) > capacity:
                return self._unpin(pairs)
        return None

    def _two_on_a_channel(self) -> list[State] | None:
        if self.p.execution.contention != "links":
            return None
        for queue in self.channels().values():
            for a, b in pairwise(queue):
                if self.start[b] < self.end(a):
                    arcs = ((frozenset({a}), b), (frozenset({b}), a))
                    return [self._with(queue=self.s.queue | {arc}) for arc in arcs]
        return None

    def channels(self) -> dict[str, list[Node]]:
        """Transfers that take time by channel, by start."""
        found: dict[str, list[Node]] = {}
        for node, (a, b) in self.route.items():
            channel = int(self.p.routes.channel[a, b])
            if channel >= 0 and self.seconds[node] > 0:
                found.setdefault(self.p.routes.channels[channel], []).append(node)
        for queue in found.values():
            queue.sort(key=self.start.__getitem__)
        return found

    def residents(self) -> list[tuple[int, float, Node, frozenset, tuple[int, int] | None]]:
        """(memory, bytes, node whose start begins it, nodes whose ends end it, kept pair) of section 5."""
        problem, place, m = self.p, self.s.place, self.m
        memory, direct = problem.memory_of.tolist(), problem.execution.staging == "direct"
        found: list[tuple[int, float, Node, frozenset, tuple[int, int] | None]] = []
        for i, d in enumerate(place):
            held = float(problem.workspace[i])
            if problem.host and (int(problem.weight_of[i]), d) not in self.s.pins:
                held += float(problem.weight_bytes[i])
            found.append((memory[d], held, ("start", i), frozenset({("end", i)}), None))
        for k, readers in enumerate(problem.readers):
            p = int(problem.source[k])
            home = place[p] if p >= 0 else m
            moves = [n for n in self.route if n[0] != "load" and n[1] == k]
            used = {n: self._users(n) for n in moves if n[0] != "write" and self.route[n][1] != m}
            written = any(n[0] == "write" and not self._free(n) for n in moves)
            shared = {n for n in used if self._free(n) and (p < 0 or not written)}
            if p >= 0:
                near = [i for i in readers if place[i] == home and (direct or (k, home) in self.s.kept)]
                ends = {("end", p), *(("end", i) for i in near)}
                ends |= {("end", i) for n in shared for i in used[n]}
                ends |= {
                    n for n in moves if self.route[n][0] in (home, m if home == problem.host_device else home)
                }
                pair = (k, home) if not direct and near else None
                found.append((memory[home], float(problem.size[k]), ("start", p), frozenset(ends), pair))
            for n in used:
                if n not in shared:
                    d = self.route[n][1]
                    requester = self.first[k, d] if n[0] == "send" else n[2]
                    begin: Node = n if problem.execution.overlap else ("start", requester)
                    kept = (k, d) if n[0] == "read" and (k, d) in self.s.kept else None
                    ends = frozenset(("end", i) for i in used[n])
                    found.append((memory[d], self.size[n], begin, ends, kept))
        return found

    def _free(self, node: Node) -> bool:
        return self.p.is_free(node[1], *self.route[node])

    def _users(self, node: Node) -> list[int]:
        """The layers that use what a send or read brings to a device."""
        k, d = node[1], self.route[node][1]
        if node[0] == "read" and (k, d) not in self.s.kept:
            return [node[2]]
        return [i for i in self.p.readers[k] if self.s.place[i] == d]

    def _memory_too_full(self) -> list[State] | None:
        problem = self.p
        live, limit = problem.execution.memory == "live", problem.limits.get("memory", math.inf)
        if not live and limit == math.inf:
            return None
        size = self._weight_sizes()
        items = [r for r in self.residents() if r[1] > 0]
        spans = [(self.start[begin], max(self.end(e) for e in ends)) for _, _, begin, ends, _ in items]
        for memory, bytes_there in enumerate(problem.capacity.tolist()):
            capacity = min(limit * (1 + TOLERANCE), bytes_there if live else math.inf)
            pins = {(w, d) for w, d in self.s.pins if problem.memory_of[d] == memory and size[w] > 0}
            pinned = sum(size[w] for w, _ in pins)
            for moment in sorted({s[0] for s in spans}):
                there = [
                    r
                    for r, (begin, end) in zip(items, spans, strict=True)
                    if r[0] == memory and begin <= moment < end
                ]
                if pinned + sum(r[1] for r in there) > capacity:
                    return self._unpin(pins) + self._make_room(there)
        return None

    def _make_room(self, there: list) -> list[State]:
        states = [
            self._with(kept=self.s.kept - {pair})
            for pair in sorted({r[4] for r in there if r[4] is not None})
        ]
        for a, b in permutations(there, 2):
            # An arc from an end to the begin of the same call (or of one that it starts with) is a deadlock.
            if a[2] != b[2]:
                states.append(self._with(arcs=self.s.arcs | {(a[3], b[2])}))
        return states

    # -- the plan -----------------------------------------------------------------------------------------

    def name(self, node: Node) -> str:
        problem = self.p
        if node[0] == "start":
            return problem.layers[node[1]]
        if node[0] == "load":
            return load_id(problem.layers[node[1]])
        tensor = problem.tensors[node[1]]
        if node[0] == "send":
            return send_id(tensor, problem.ends[node[2]])
        return write_id(tensor) if node[0] == "write" else read_id(tensor, problem.layers[node[2]])

    def plan(self) -> Plan:
        problem, state = self.p, self.s
        links = problem.execution.contention == "links"
        return encode(
            problem,
            state.place,
            state.order,
            pinned=[{w for w, e in state.pins if e == d} for d in range(self.m)],
            kept=state.kept,
            transfer_order={c: [self.name(n) for n in q] for c, q in self.channels().items()}
            if links
            else None,
            not_before={self.name(begin): self.start[begin] for _, begin in state.arcs},
        )


def ancestors(problem: MappingProblem) -> list[set[int]]:
    """The layers that have to end before each layer starts: producers and preceding tasks, transitively."""
    before: list[set[int]] = [set() for _ in range(problem.n)]
    for i in problem.topological:
        direct = {int(problem.source[k]) for k in problem.inputs[i] if problem.source[k] >= 0}
        jobs = {b for b, later in problem.precedences if later == problem.job_of[i]}
        direct |= {j for j in range(problem.n) if int(problem.job_of[j]) in jobs}
        before[i] = direct.union(*(before[j] for j in direct))
    return before


def placements(problem: MappingProblem) -> Iterator[tuple[int, ...]]:
    """All placements on devices that can run the layers, colocated groups together."""
    for place in product(*problem.allowed):
        if all(len({place[i] for i in group}) == 1 for group in problem.colocate):
            yield place


def orders(problem: MappingProblem, place: tuple[int, ...], before: list[set[int]]) -> Iterator[tuple]:
    """All orders of the calls of each device that put no layer before one that it waits for."""
    rows = []
    for d in range(problem.m):
        here = [i for i in range(problem.n) if place[i] == d]
        rows.append(
            [
                row
                for row in permutations(here)
                if not any(b in before[a] for p, a in enumerate(row) for b in row[p + 1 :])
            ]
        )
    return product(*rows)


def first_pins(problem: MappingProblem, place: tuple[int, ...]) -> frozenset:
    """Everything pinned, or nothing where weights are streamed."""
    if problem.host and problem.execution.weights == "streamed":
        return frozenset()
    return frozenset((int(w), d) for w, d in zip(problem.weight_of, place, strict=True))


def first_kept(problem: MappingProblem, place: tuple[int, ...]) -> Iterator[frozenset]:
    """Everything kept; where several slots make keeping a decision (see above), with every subset of it."""
    if problem.execution.staging == "direct":
        yield frozenset()
        return
    sure, open_pairs = set(), []
    for k, readers in enumerate(problem.readers):
        home = place[int(problem.source[k])] if problem.source[k] >= 0 else -1
        for d in sorted({place[i] for i in readers}):
            count = sum(place[i] == d for i in readers)
            if d != home and count > 1 and problem.slots[d] > 1:
                open_pairs.append((k, d))
            elif d == home or count > 1:
                sure.add((k, d))
    for size in range(len(open_pairs) + 1):
        for chosen in combinations(open_pairs, size):
            yield frozenset(sure | set(chosen))


def horizon_of(problem: MappingProblem) -> float:
    """No earliest time of any state is later: everything done one after the other, at its slowest."""
    ends = range(problem.m + 1)
    slowest = [max(float(problem.duration[i, d]) for d in problem.allowed[i]) for i in range(problem.n)]
    loads = [max((float(v) for v in row if math.isfinite(v)), default=0.0) for row in problem.load]
    moves = 0.0
    for k, readers in enumerate(problem.readers):
        times = [problem.move_seconds(k, a, b) for a in ends for b in ends]
        times += [
            problem.read_seconds(k, d, problem.read_sizes[k, i]) for i in readers for d in range(problem.m)
        ]
        moves += (len(readers) + 2) * max((t for t in times if math.isfinite(t)), default=0.0)
    return sum(slowest) + sum(loads) + moves + float(problem.release.max(initial=0.0)) + 1.0


class Oracle:
    """States by lower bound, smallest first."""

    def __init__(self, problem: MappingProblem, max_states: int) -> None:
        self.problem, self.max_states = problem, max_states
        self.horizon = horizon_of(problem)
        self.heap: list[tuple[float, int, int, Network]] = []
        self.seen: set[State] = set()
        self.count = 0

    def push(self, state: State, depth: int, guess: dict[Node, float]) -> None:
        """Queue a state with its lower bound, if it can run at all and keeps the limits."""
        if state in self.seen:
            return
        self.count += 1
        if self.count > self.max_states:
            raise RuntimeError(f"{self.problem.instance.name}: more than {self.max_states} branches")
        network = Network(self.problem, state)
        if not network.solve(self.horizon, guess):
            return
        measures = network.measures()
        limits = {name: limit for name, limit in self.problem.limits.items() if name != "memory"}
        if any(measures[name] > limit * (1 + TOLERANCE) for name, limit in limits.items()):
            return
        for terms, most in self.problem.sums_at_most:
            if sum(weight * measures[name] for name, weight in terms) > most * (1 + TOLERANCE):
                return
        value = sum(weight * measures[name] for name, weight in self.problem.stages[0])
        heapq.heappush(self.heap, (value, -depth, self.count, network))
        if depth:
            self.seen.add(state)

    def push_roots(self) -> None:
        """Queue the most generous state of every placement and order."""
        before = ancestors(self.problem)
        for place in placements(self.problem):
            pins = first_pins(self.problem, place)
            for order in orders(self.problem, place, before):
                for kept in first_kept(self.problem, place):
                    self.push(State(place, order, pins, kept, frozenset(), frozenset()), 0, {})


def brute_force(problem: MappingProblem, *, max_states: int = 2_000_000) -> Best:
    """The optimum of the first stage of the objective over all plans in which every layer is a call.

    Raises
    ------
    RuntimeError
        More than `max_states` branches: the instance is too large for an oracle.
    """
    oracle = Oracle(problem, max_states)
    oracle.push_roots()
    while oracle.heap:
        value, depth, _, network = heapq.heappop(oracle.heap)
        branches = network.branches()
        if branches is None:
            return Best(value, judged(problem, network, value), oracle.count)
        for state in branches:
            oracle.push(state, 1 - depth, network.start)
    return Best(math.inf, None, oracle.count)


def judged(problem: MappingProblem, network: Network, value: float) -> Plan:
    """The plan of a network, once `evaluate` and `check` have confirmed that it is valid at that `value`."""
    plan = network.plan()
    evaluation = evaluate(problem, plan)
    found = objective_value(problem.stages[0], evaluation.cost)
    name = problem.instance.name
    assert abs(found - value) <= 1e-9 * max(1.0, abs(value)), (
        f"{name}: evaluate {found}, oracle {value}: {plan}"
    )
    assert is_feasible(evaluation), f"{name}: evaluate calls the plan of the oracle infeasible: {plan}"
    violations = check(problem.instance, plan, cost=evaluation.cost)
    assert not violations, f"{name}: check finds {violations[:3]} in {plan}"
    return plan
