"""Times of a plan under link contention: an event simulation (docs/cost-model.md, section 4.4).

Without contention it gives the same times as `timeline`; the tests hold the two against each other.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from dnnplan.costs.calls import CallGraph
from dnnplan.costs.timeline import Times, Transfer, graph_sends_output
from dnnplan.instances import PlanError, Problem
from dnnplan.instances.plan import load_id, read_id, send_id, write_id

NO_CHANNEL = -1
Token = tuple[str, int, int]


@dataclass(eq=False)
class Move:
    """A transfer that will happen: what, between which ends, how long, on which channel."""

    kind: str
    tensor: int
    call: int
    source: int
    target: int
    seconds: float
    bytes: float
    channel: int
    name: str
    tie: tuple[int, int, int]
    start: float = 0.0


@dataclass(eq=False)
class Script:
    """What a call waits for, and what it does one after the other once it has started."""

    needs: set[Token] = field(default_factory=set)
    before: list[Move] = field(default_factory=list)
    load: Move | None = None
    after: list[Move] = field(default_factory=list)


class EventSimulation:
    """Runs the calls and transfers of one plan in time order."""

    def __init__(self, graph: CallGraph, *, contended: bool = True) -> None:
        self.graph = graph
        self.problem = graph.problem
        self.decisions = graph.decisions
        self.contended = contended
        count = len(graph.device)
        self.start = [-1.0] * count
        self.end = [-1.0] * count
        self.transfers: list[Transfer] = []
        self.free: list[Transfer] = []
        self.heap: list[tuple[float, int, str, object]] = []
        self.serial = 0
        self.now = 0.0
        self.happened: set[Token] = set()
        self.requests: dict[Token, list[Move]] = {}
        self.pending: list[list[tuple[float, tuple[int, int, int], int, Move]]] = [
            [] for _ in self.problem.routes.channels
        ]
        self.busy = [False] * len(self.problem.routes.channels)
        self.next_call = [0] * self.problem.m
        self.running = [0] * self.problem.m
        self.phase = [0] * count
        self.job_left = [0] * len(self.problem.jobs)
        self.scripts = [Script() for _ in range(count)]
        self._write_scripts()
        self.forced = self._forced_order()

    # -- what has to happen -------------------------------------------------------------------------------

    def _move(
        self, kind: str, item: tuple[int, int], ends: tuple[int, int], seconds: float, size: float
    ) -> Move:
        tensor, call = item
        graph, problem = self.graph, self.problem
        name = self._name(kind, tensor, call, ends[1])
        tie = (graph.position[call], graph.device[call], tensor)
        channel = int(problem.routes.channel[ends]) if self.contended and seconds > 0 else NO_CHANNEL
        return Move(kind, tensor, call, ends[0], ends[1], seconds, size, channel, name, tie)

    def _name(self, kind: str, tensor: int, call: int, target: int) -> str:
        problem, calls = self.problem, self.decisions.call_names
        if kind == "load":
            return load_id(calls[call])
        if kind == "send":
            return send_id(problem.tensors[tensor], problem.ends[target])
        return (
            write_id(problem.tensors[tensor])
            if kind == "write"
            else read_id(problem.tensors[tensor], calls[call])
        )

    def _write_scripts(self) -> None:
        graph, problem = self.graph, self.problem
        for c, job in enumerate(graph.job):
            self.job_left[job] += 1
            if graph.load_bytes[c] > 0:
                ends = (problem.m, graph.device[c])
                self.scripts[c].load = self._move("load", (-1, c), ends, graph.load[c], graph.load_bytes[c])
        direct = problem.execution.staging == "direct"
        for k in range(len(problem.tensors)):
            (self._direct if direct else self._host)(k)
        for before, later in problem.precedences:
            for c, job in enumerate(graph.job):
                if job == later:
                    self.scripts[c].needs.add(("job", before, 0))

    def _request_on(self, token: Token, move: Move) -> None:
        self.requests.setdefault(token, []).append(move)
        if move.kind == "write" or (move.kind == "send" and move.target == self.problem.m):
            self.job_left[self.graph.job[move.call]] += 1

    def _produced(self, k: int) -> Token:
        """The token of a tensor being finished where it is made."""
        p = self.graph.producer[k]
        return ("call", p, 0) if p >= 0 else ("input", k, 0)

    def _direct(self, k: int) -> None:
        graph, problem = self.graph, self.problem
        p = graph.producer[k]
        source = graph.device[p] if p >= 0 else problem.m
        size = float(problem.size[k])
        if p < 0 and not problem.host:
            return
        if p >= 0 and problem.host and graph_sends_output(graph, k):
            move = self._move(
                "send", (k, p), (source, problem.m), problem.move_seconds(k, source, problem.m), size
            )
            self._request_on(self._produced(k), move)
        for d in dict.fromkeys(graph.device[c] for c in graph.reader_calls[k]):
            readers = [c for c in graph.reader_calls[k] if graph.device[c] == d]
            if source == d:
                for c in readers:
                    self.scripts[c].needs.add(self._produced(k))
                continue
            first = graph.first_reader(k, d)
            move = self._move("send", (k, first), (source, d), problem.move_seconds(k, source, d), size)
            if problem.execution.overlap:
                self._request_on(self._produced(k), move)
                for c in readers:
                    self.scripts[c].needs.add(("send", k, d))
            else:
                self.scripts[first].needs.add(self._produced(k))
                self.scripts[first].before.append(move)
                for c in readers:
                    if c != first:
                        self.scripts[c].needs.add(("moved", first, 0))

    def _host(self, k: int) -> None:
        graph, problem, kept = self.graph, self.problem, self.decisions.kept
        p = graph.producer[k]
        overlap = problem.execution.overlap
        on_host: Token = self._produced(k)
        if p >= 0 and graph.write_needed(k):
            d = graph.device[p]
            ends = (d, problem.m)
            write = self._move(
                "write", (k, p), ends, problem.move_seconds(k, d, problem.m), float(problem.size[k])
            )
            if overlap:
                self._request_on(self._produced(k), write)
                on_host = ("write", k, 0)
            else:
                self.scripts[p].after.append(write)
        for c in graph.reader_calls[k]:
            d = graph.device[c]
            stays = (k, d) in kept
            if stays and p >= 0 and graph.device[p] == d:
                self.scripts[c].needs.add(self._produced(k))
                continue
            first = graph.first_reader(k, d) if stays else c
            if c != first:
                self.scripts[c].needs.add(("read", k, first) if overlap else ("moved", first, 0))
                continue
            read = self._move(
                "read", (k, c), (problem.m, d), graph.read_seconds(k, c), graph.read_bytes(k, c)
            )
            if overlap:
                self._request_on(on_host, read)
                self.scripts[c].needs.add(("read", k, c))
            else:
                self.scripts[c].needs.add(on_host)
                self.scripts[c].before.append(read)

    def _forced_order(self) -> dict[int, list[str]]:
        channels = {name: i for i, name in enumerate(self.problem.routes.channels)}
        forced: dict[int, list[str]] = {}
        for name, ids in self.decisions.transfer_order.items():
            if name not in channels:
                raise PlanError(problems=[Problem(f"transfer_order.{name}", "unknown channel")])
            forced[channels[name]] = list(reversed(ids))
        return forced

    # -- the run ------------------------------------------------------------------------------------------

    def compute(self) -> Times:
        """Times of all calls.

        Raises
        ------
        PlanError
            Calls or transfers wait for each other.
        """
        graph, problem = self.graph, self.problem
        for k, p in enumerate(graph.producer):
            if p < 0 and problem.host:
                self._at(float(problem.tensor_release[k]), "token", ("input", k, 0))
        self._wake_ups()
        for job, left in enumerate(self.job_left):
            if left == 0:
                self._at(problem.jobs[job].release, "token", ("job", job, 0))
        while self.heap:
            self.now = self.heap[0][0]
            while self.heap and self.heap[0][0] == self.now:
                while self.heap and self.heap[0][0] == self.now:
                    _, _, kind, item = heapq.heappop(self.heap)
                    self._handle(kind, item)
                self._start_calls()
            self._serve()
        stuck = [self.decisions.call_names[c] for c, time in enumerate(self.end) if time < 0]
        if stuck or any(self.pending):
            shown = ", ".join(stuck[:5]) or "transfers"
            raise PlanError(
                problems=[Problem("order", f"deadlock: {len(stuck)} calls wait for each other ({shown})")]
            )
        return Times(self.start, self.end, self.transfers, self.free)

    def _wake_ups(self) -> None:
        for job in self.problem.jobs:
            self._at(job.release, "wake", None)
        for time in self.decisions.not_before.values():
            self._at(time, "wake", None)

    def _at(self, time: float, kind: str, item: object) -> None:
        self.serial += 1
        heapq.heappush(self.heap, (max(time, self.now), self.serial, kind, item))

    def _handle(self, kind: str, item: object) -> None:
        if kind == "token":
            self._happen(item)  # type: ignore[arg-type]
        elif kind == "compute":
            self._advance(item)  # type: ignore[arg-type]
        elif kind == "moved":
            self._moved(item)  # type: ignore[arg-type]
        elif kind == "request":
            self._enqueue(item)  # type: ignore[arg-type]

    def _happen(self, token: Token) -> None:
        self.happened.add(token)
        for move in self.requests.get(token, ()):
            self._request(move)

    def _request(self, move: Move) -> None:
        time = self.decisions.not_before.get(move.name, 0.0) if self.decisions.not_before else 0.0
        if time > self.now:
            self._at(time, "request", move)
        else:
            self._enqueue(move)

    def _enqueue(self, move: Move) -> None:
        if move.channel == NO_CHANNEL:
            self._begin(move)
        else:
            self.serial += 1
            heapq.heappush(self.pending[move.channel], (self.now, move.tie, self.serial, move))

    def _begin(self, move: Move) -> None:
        move.start = self.now
        self._at(self.now + move.seconds, "moved", move)

    def _serve(self) -> None:
        for channel, queue in enumerate(self.pending):
            if self.busy[channel] or not queue:
                continue
            forced = self.forced.get(channel)
            if forced is None:
                _, _, _, move = heapq.heappop(queue)
            else:
                found = next((entry for entry in queue if forced and entry[3].name == forced[-1]), None)
                if found is None:
                    continue
                queue.remove(found)
                heapq.heapify(queue)
                forced.pop()
                move = found[3]
            self.busy[channel] = True
            self._begin(move)

    def _moved(self, move: Move) -> None:
        if move.channel != NO_CHANNEL:
            self.busy[move.channel] = False
        free = self.problem.is_free(move.tensor, move.source, move.target)
        if move.kind != "load" or not free:
            span = (move.start, self.now)
            booked = Transfer(move.kind, move.tensor, move.call, move.source, move.target, *span, move.bytes)
            (self.free if free else self.transfers).append(booked)
        if (
            move in self.scripts[move.call].before
            or move in self.scripts[move.call].after
            or move.kind == "load"
        ):
            self._advance(move.call)
            return
        if move.kind == "send":
            self._happen(("send", move.tensor, move.target))
        else:
            self._happen((move.kind, move.tensor, move.call if move.kind == "read" else 0))
        if move.kind == "write" or move.target == self.problem.m:
            self._job_step(self.graph.job[move.call])

    def _job_step(self, job: int) -> None:
        self.job_left[job] -= 1
        if self.job_left[job] == 0:
            self._happen(("job", job, 0))

    def _start_calls(self) -> None:
        for d, order in enumerate(self.decisions.order):
            while self.next_call[d] < len(order) and self.running[d] < int(self.problem.slots[d]):
                c = order[self.next_call[d]]
                eligible = max(
                    self.problem.jobs[self.graph.job[c]].release,
                    self.decisions.not_before.get(self.decisions.call_names[c], 0.0),
                )
                if self.now < eligible or not self.scripts[c].needs <= self.happened:
                    break
                self.next_call[d] += 1
                self.running[d] += 1
                self.start[c] = self.now
                self._begin_call(c)

    def _begin_call(self, c: int) -> None:
        script = self.scripts[c]
        if self.problem.execution.overlap:
            self.phase[c] = 1 + (script.load is not None)
            self._at(self.now + self.graph.compute[c], "compute", c)
            if script.load is not None:
                self._request(script.load)
            return
        self._next_step(c)

    def _advance(self, c: int) -> None:
        if self.problem.execution.overlap:
            self.phase[c] -= 1
            if self.phase[c] == 0:
                self._finish(c)
            return
        self.phase[c] += 1
        self._next_step(c)

    def _next_step(self, c: int) -> None:
        """Start step number `phase` of a call without overlap: sends or reads, load, compute, writes."""
        script, step = self.scripts[c], self.phase[c]
        if step == len(script.before):
            self._happen(("moved", c, 0))
            if script.load is None:
                self.phase[c] = step = step + 1
        if step < len(script.before):
            self._request(script.before[step])
        elif step == len(script.before):
            assert script.load is not None
            self._request(script.load)
        elif step == len(script.before) + 1:
            self._at(self.now + self.graph.compute[c], "compute", c)
        elif step < len(script.before) + 2 + len(script.after):
            self._request(script.after[step - len(script.before) - 2])
        else:
            self._finish(c)

    def _finish(self, c: int) -> None:
        self.end[c] = self.now
        self.running[self.graph.device[c]] -= 1
        self._happen(("call", c, 0))
        self._job_step(self.graph.job[c])
