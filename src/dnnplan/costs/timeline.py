"""Earliest times of a plan without contention: longest paths (docs/cost-model.md, sections 4.1 to 4.3)."""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import NamedTuple

from dnnplan.costs.calls import CallGraph
from dnnplan.instances import PlanError, Problem
from dnnplan.instances.plan import load_id, read_id, send_id, write_id


class Transfer(NamedTuple):
    """One movement of a tensor or of weights: ends are devices, the host is m; `call` asked for it."""

    kind: str
    tensor: int
    call: int
    source: int
    target: int
    start: float
    end: float
    bytes: float

    def name(self, graph: CallGraph) -> str:
        """Its identifier in plans."""
        problem, calls = graph.problem, graph.decisions.call_names
        if self.kind == "load":
            return load_id(calls[self.call])
        tensor = problem.tensors[self.tensor]
        if self.kind == "send":
            return send_id(tensor, problem.ends[self.target])
        return write_id(tensor) if self.kind == "write" else read_id(tensor, calls[self.call])


class Times(NamedTuple):
    """Start and end of every call, all transfers, and apart from them those that are zero-copy."""

    start: list[float]
    end: list[float]
    transfers: list[Transfer]
    free: list[Transfer]


class Timeline:
    """Computes the times of one plan call by call, in an order in which everything a call waits for is known."""

    def __init__(self, graph: CallGraph) -> None:
        self.graph = graph
        self.problem = graph.problem
        self.decisions = graph.decisions
        count = len(graph.device)
        self.start = [0.0] * count
        self.end = [0.0] * count
        self.job_end = [job.release for job in self.problem.jobs]
        self.transfers: list[Transfer] = []
        self.free: list[Transfer] = []
        # (tensor, device) -> time at which a moved or kept tensor can be used there
        self.arrival: dict[tuple[int, int], float] = {}
        self.on_host: dict[int, float] = {}
        self.not_before = self.decisions.not_before
        execution = self.problem.execution
        self.run = {
            ("direct", True): self._direct_overlap,
            ("direct", False): self._direct_busy,
            ("host", True): self._host_overlap,
            ("host", False): self._host_busy,
        }[execution.staging, execution.overlap]

    def compute(self) -> Times:
        """Earliest times of all calls.

        Raises
        ------
        PlanError
            The order of the calls contradicts the tensors between them.
        """
        slots = self.problem.slots.tolist()
        running: list[list[float]] = [[] for _ in slots]
        last_start = [0.0] * len(slots)
        release, after = self._job_waits()
        names = self.decisions.call_names
        for c in self._sorted():
            d, job = self.graph.device[c], self.graph.job[c]
            ready = max(release[job], last_start[d])
            for before in after[job]:
                ready = max(ready, self.job_end[before])
            if len(running[d]) == slots[d]:
                ready = max(ready, heapq.heappop(running[d]))
            if self.not_before:
                ready = max(ready, self.not_before.get(names[c], 0.0))
            self.run(c, d, ready)
            last_start[d] = self.start[c]
            heapq.heappush(running[d], self.end[c])
            self.job_end[job] = max(self.job_end[job], self.end[c])
        return Times(self.start, self.end, self.transfers, self.free)

    def _job_waits(self) -> tuple[list[float], list[list[int]]]:
        jobs = self.problem.jobs
        after: list[list[int]] = [[] for _ in jobs]
        for before, later in self.problem.precedences:
            after[later].append(before)
        return [job.release for job in jobs], after

    def _sorted(self) -> list[int]:  # noqa: C901
        """Calls in topological order of tensors, device orders and precedences."""
        graph, problem = self.graph, self.problem
        count = len(graph.device)
        waiting = [0] * count
        successors: list[list[int]] = [[] for _ in range(count)]
        for k, p in enumerate(graph.producer):
            if p >= 0:
                for c in graph.reader_calls[k]:
                    successors[p].append(c)
                    waiting[c] += 1
        for row in self.decisions.order:
            for p, c in pairwise(row):
                successors[p].append(c)
                waiting[c] += 1
        gates = _gates(graph, waiting) if problem.precedences else {}
        ready = [c for c in range(count) if waiting[c] == 0]
        done: list[int] = []
        left = [graph.job.count(j) for j in range(len(problem.jobs))] if gates else []
        while ready:
            c = ready.pop()
            done.append(c)
            for s in successors[c]:
                waiting[s] -= 1
                if waiting[s] == 0:
                    ready.append(s)
            if gates:
                job = graph.job[c]
                left[job] -= 1
                for s in gates.get(job, ()) if left[job] == 0 else ():
                    waiting[s] -= 1
                    if waiting[s] == 0:
                        ready.append(s)
        if len(done) < count:
            raise PlanError(problems=[Problem("order", _deadlock(graph, waiting))])
        return done

    def _transfer(
        self, kind: str, ends: tuple[int, int], item: tuple[int, int], span: tuple[float, float], size: float
    ) -> None:
        source, target = ends
        free = self.problem.is_free(item[0], source, target)
        if kind != "load" or not free:
            booked = Transfer(kind, item[0], item[1], source, target, span[0], span[1], size)
            (self.free if free else self.transfers).append(booked)

    def _load(self, c: int, d: int, begin: float) -> float:
        """Seconds after `begin` at which the weights of the call are there."""
        if self.graph.load_bytes[c] <= 0:
            return 0.0
        start = self._allowed(begin, load_id(self.decisions.call_names[c])) if self.not_before else begin
        end = start + self.graph.load[c]
        self._transfer("load", (self.problem.m, d), (-1, c), (start, end), self.graph.load_bytes[c])
        return end - begin

    def _allowed(self, moment: float, transfer: str) -> float:
        """The moment at which a transfer that is asked for now may be requested."""
        return max(moment, self.not_before.get(transfer, 0.0))

    def _finish_overlapped(self, c: int, d: int, begin: float) -> None:
        self.start[c] = begin
        compute = self.graph.compute[c]
        self.end[c] = begin + (max(compute, self._load(c, d, begin)) if self.graph.load_bytes[c] else compute)

    def _sent(self, k: int, d: int, c: int) -> float:
        """When tensor `k` is on device `d` under direct staging with overlap; books the send at first use."""
        known = self.arrival.get((k, d))
        if known is not None:
            return known
        problem = self.problem
        p = self.graph.producer[k]
        if p >= 0:
            source, begin = self.graph.device[p], self.end[p]
        elif problem.host:
            source, begin = problem.m, float(problem.tensor_release[k])
        else:
            return 0.0
        if source == d:
            return begin
        if self.not_before:
            begin = max(begin, self.not_before.get(send_id(problem.tensors[k], problem.devices[d]), 0.0))
        time = begin + problem.move_seconds(k, source, d)
        self._transfer("send", (source, d), (k, c), (begin, time), float(problem.size[k]))
        self.arrival[k, d] = time
        return time

    def _send_outputs(self, c: int, d: int) -> None:
        """Sends of model outputs to the host, requested when the call ends."""
        problem = self.problem
        if not problem.host:
            return
        job = self.graph.job[c]
        for k in self.graph.produced[c]:
            if graph_sends_output(self.graph, k):
                begin = max(
                    self.end[c],
                    self.not_before.get(send_id(problem.tensors[k], problem.ends[problem.m]), 0.0),
                )
                time = begin + problem.move_seconds(k, d, problem.m)
                self._transfer("send", (d, problem.m), (k, c), (begin, time), float(problem.size[k]))
                self.job_end[job] = max(self.job_end[job], time)

    def _direct_overlap(self, c: int, d: int, ready: float) -> None:
        for k in self.graph.inputs[c]:
            time = self._sent(k, d, c)
            ready = max(time, ready)
        self._finish_overlapped(c, d, ready)
        self._send_outputs(c, d)

    def _direct_busy(self, c: int, d: int, ready: float) -> None:
        problem, graph = self.problem, self.graph
        moves: list[tuple[int, int]] = []
        for k in graph.inputs[c]:
            p = graph.producer[k]
            if p < 0 and not problem.host:
                continue
            source = graph.device[p] if p >= 0 else problem.m
            begin = self.end[p] if p >= 0 else float(problem.tensor_release[k])
            if source == d:
                ready = max(ready, begin)
            elif (k, d) in self.arrival:
                ready = max(ready, self.arrival[k, d])
            else:
                ready = max(ready, begin)
                moves.append((k, source))
        self.start[c] = time = ready
        for k, source in moves:
            begin = (
                self._allowed(time, send_id(problem.tensors[k], problem.devices[d]))
                if self.not_before
                else time
            )
            time = begin + problem.move_seconds(k, source, d)
            self._transfer("send", (source, d), (k, c), (begin, time), float(problem.size[k]))
        for k, _ in moves:
            self.arrival[k, d] = time
        self.end[c] = time + self._load(c, d, time) + graph.compute[c]
        self._send_outputs(c, d)

    def _host_overlap(self, c: int, d: int, ready: float) -> None:
        problem, graph, kept = self.problem, self.graph, self.decisions.kept
        for k in graph.inputs[c]:
            p = graph.producer[k]
            if (k, d) in kept:
                if p >= 0 and graph.device[p] == d:
                    ready = max(ready, self.end[p])
                    continue
                if (k, d) in self.arrival:
                    ready = max(ready, self.arrival[k, d])
                    continue
            begin = self._available_on_host(k)
            if self.not_before:
                name = read_id(problem.tensors[k], self.decisions.call_names[c])
                begin = max(begin, self.not_before.get(name, 0.0))
            time = begin + graph.read_seconds(k, c)
            self._transfer("read", (problem.m, d), (k, c), (begin, time), graph.read_bytes(k, c))
            self.arrival[k, d] = time
            ready = max(ready, time)
        self._finish_overlapped(c, d, ready)
        for k in graph.produced[c]:
            if graph.write_needed(k):
                begin = max(self.end[c], self.not_before.get(write_id(problem.tensors[k]), 0.0))
                time = begin + problem.move_seconds(k, d, problem.m)
                self._transfer("write", (d, problem.m), (k, c), (begin, time), float(problem.size[k]))
                self.on_host[k] = time
                if problem.output[k]:
                    self.job_end[graph.job[c]] = max(self.job_end[graph.job[c]], time)

    def _available_on_host(self, k: int) -> float:
        return self.on_host[k] if self.graph.producer[k] >= 0 else float(self.problem.tensor_release[k])

    def _host_busy(self, c: int, d: int, ready: float) -> None:
        problem, graph, kept = self.problem, self.graph, self.decisions.kept
        reads: list[int] = []
        for k in graph.inputs[c]:
            p = graph.producer[k]
            if (k, d) in kept and ((p >= 0 and graph.device[p] == d) or (k, d) in self.arrival):
                ready = max(ready, self.end[p] if p >= 0 and graph.device[p] == d else self.arrival[k, d])
            else:
                ready = max(ready, self._available_on_host(k))
                reads.append(k)
        self.start[c] = time = ready
        for k in reads:
            name = read_id(problem.tensors[k], self.decisions.call_names[c])
            begin = self._allowed(time, name) if self.not_before else time
            time = begin + graph.read_seconds(k, c)
            self._transfer("read", (problem.m, d), (k, c), (begin, time), graph.read_bytes(k, c))
        for k in reads:
            self.arrival[k, d] = time
        time += self._load(c, d, time) + graph.compute[c]
        written: list[int] = []
        for k in graph.produced[c]:
            if graph.write_needed(k):
                begin = self._allowed(time, write_id(problem.tensors[k])) if self.not_before else time
                time = begin + problem.move_seconds(k, d, problem.m)
                self._transfer("write", (d, problem.m), (k, c), (begin, time), float(problem.size[k]))
                written.append(k)
        self.end[c] = time
        for k in written:
            self.on_host[k] = time


def graph_sends_output(graph: CallGraph, tensor: int) -> bool:
    """Whether a tensor is an output that needs a send of its own: no call on the host itself makes or reads it."""
    problem = graph.problem
    if not problem.output[tensor]:
        return False
    ends = [graph.producer[tensor], *graph.reader_calls[tensor]]
    return problem.host_device < 0 or all(graph.device[c] != problem.host_device for c in ends)


def _gates(graph: CallGraph, waiting: list[int]) -> dict[int, list[int]]:
    """Calls that wait for a job, by job; adds one to the count of what each of them waits for."""
    by_job: dict[int, list[int]] = {}
    for c, job in enumerate(graph.job):
        by_job.setdefault(job, []).append(c)
    gates: dict[int, list[int]] = {}
    for before, later in graph.problem.precedences:
        for c in by_job.get(later, ()):
            gates.setdefault(before, []).append(c)
            waiting[c] += 1
    return gates


def _deadlock(graph: CallGraph, waiting: list[int]) -> str:
    stuck = [graph.decisions.call_names[c] for c, left in enumerate(waiting) if left > 0]
    shown = ", ".join(stuck[:5]) + (", ..." if len(stuck) > 5 else "")
    return f"deadlock: {len(stuck)} calls wait for each other ({shown}); the order contradicts the tensors between them"
