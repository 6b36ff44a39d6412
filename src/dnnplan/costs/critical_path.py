"""The critical path of a plan: the chain of calls and transfers that ends last, and what each waited for.

Nothing is timed again here: the walk starts at what ends last and asks, step by step, which of the things an
activity had to wait for (docs/cost-model.md, section 4) ended when it began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal, NamedTuple

from dnnplan.costs.calls import CallGraph
from dnnplan.costs.mapping import Job
from dnnplan.costs.timeline import Times, Transfer

Kind = Literal["call", "transfer"]
RELATIVE = 1e-9
"""Moments that differ by less than this share of the makespan are the same."""


class Activity(NamedTuple):
    """A call (its compute) or a transfer, by its number in the evaluation."""

    kind: Kind
    number: int


class Cause(NamedTuple):
    """What an activity waited for: an activity (None: a fixed moment), when that was over, and why."""

    activity: Activity | None
    time: float
    reason: str


class PathStep(NamedTuple):
    """One link of the chain: `activity` ran from `start` to `end` and began when `cause` was over."""

    activity: Activity
    start: float
    end: float
    cause: Cause


def compute_spans(graph: CallGraph, times: Times) -> list[tuple[float, float]]:
    """(C,) start and end of the compute of each call, seconds.

    With overlap a call computes from its start; without, after its own transfers have come in.
    """
    begin = list(times.start)
    if not graph.problem.execution.overlap:
        for t in times.transfers:
            if t.kind != "write" and t.target < graph.problem.m:
                begin[t.call] = max(begin[t.call], t.end)
    return [(b, b + seconds) for b, seconds in zip(begin, graph.compute, strict=True)]


class CriticalPath:
    """Walks back from the last completion of a plan.

    Parameters
    ----------
    graph, times
        The calls of an evaluation and their times.
    """

    def __init__(self, graph: CallGraph, times: Times) -> None:
        self.graph, self.times = graph, times
        self.problem = graph.problem
        self.overlap = graph.problem.execution.overlap
        self.direct = graph.problem.execution.staging == "direct"
        self.kept = graph.decisions.kept
        self.spans = compute_spans(graph, times)
        ends = [*times.end, *(t.end for t in times.transfers)]
        self.tolerance = RELATIVE * max(ends, default=0.0)
        self.own: dict[int, list[int]] = {}
        self.by_tensor: dict[tuple[str, int], list[int]] = {}
        self.by_channel: dict[int, list[int]] = {}
        for index, t in sorted(enumerate(times.transfers), key=lambda entry: entry[1].end):
            if self._inside_call(t) or t.kind == "load":
                self.own.setdefault(t.call, []).append(index)
            self.by_tensor.setdefault((t.kind, t.tensor), []).append(index)
            self.by_channel.setdefault(self.channel(t), []).append(index)

    def walk(self) -> list[PathStep]:
        """The chain from the first activity to the last one; empty for a plan without calls."""
        steps: list[PathStep] = []
        activity = self._last()
        while activity is not None:
            start, end = self.span(activity)
            cause = self._cause(activity, start)
            steps.append(PathStep(activity, start, end, cause))
            activity = cause.activity
        return steps[::-1]

    def span(self, activity: Activity) -> tuple[float, float]:
        """Start and end of an activity, seconds."""
        if activity.kind == "call":
            return self.spans[activity.number]
        transfer = self.times.transfers[activity.number]
        return transfer.start, transfer.end

    def channel(self, transfer: Transfer) -> int:
        """The channel that a transfer uses; -1: none."""
        return int(self.problem.routes.channel[transfer.source, transfer.target])

    def _inside_call(self, t: Transfer) -> bool:
        """Whether a transfer keeps the device of its call busy."""
        if self.overlap:
            return False
        return t.kind != "send" or t.target < self.problem.m

    def _last(self) -> Activity | None:
        """What ends last: a call, or the transfer of an output to the host."""
        candidates = [Activity("call", c) for c in range(len(self.spans))]
        candidates += [
            Activity("transfer", i) for i, t in enumerate(self.times.transfers) if t.target == self.problem.m
        ]
        candidates += [Activity("transfer", i) for own in self.own.values() for i in own]
        return max(candidates, key=lambda a: self.span(a)[1], default=None)

    def _cause(self, activity: Activity, start: float) -> Cause:
        """Of all that an activity waited for, what was over last (but not after it began)."""
        waited = (
            self._waited_call(activity.number)
            if activity.kind == "call"
            else self._waited_transfer(activity.number)
        )
        causes = [cause for cause in waited if cause.time <= start + self.tolerance]
        return max(causes, key=lambda cause: cause.time, default=Cause(None, 0.0, "nothing to wait for"))

    def _waited_call(self, c: int) -> Iterator[Cause]:
        """What the compute of a call waited for."""
        if not self.overlap:
            for index in self.own.get(c, ()):
                t = self.times.transfers[index]
                if t.kind != "write":
                    reason = "computes after its weights" if t.kind == "load" else "computes after its inputs"
                    yield Cause(Activity("transfer", index), t.end, reason)
        yield from self._gate(c)

    def _waited_transfer(self, index: int) -> Iterator[Cause]:
        """What a transfer waited for: what makes it possible, and the transfer before it on its channel."""
        t = self.times.transfers[index]
        if self._inside_call(t):
            if t.kind == "write":
                yield Cause(Activity("call", t.call), self.spans[t.call][1], "written after it is computed")
            else:
                yield from self._gate(t.call)
            yield from self._before(index, self.own[t.call], "the call moves one tensor after the other")
        elif t.kind == "load":
            yield from self._gate(t.call)
        elif t.kind == "read" and self.graph.producer[t.tensor] >= 0:
            for other in self.by_tensor.get(("write", t.tensor), ()):
                yield Cause(
                    Activity("transfer", other), self.times.transfers[other].end, "read after it is written"
                )
            yield from self._call_end(
                self.graph.producer[t.tensor], "written at no cost when its producer ends"
            )
        elif self.graph.producer[t.tensor] >= 0:
            yield from self._call_end(self.graph.producer[t.tensor], "sent when its producer ends")
        else:
            yield Cause(None, float(self.problem.tensor_release[t.tensor]), "input, available at its release")
        if (moment := self.graph.decisions.not_before.get(t.name(self.graph))) is not None:
            yield Cause(None, moment, "the plan does not start it before")
        if self.problem.execution.contention == "links" and self.channel(t) >= 0 and t.end > t.start:
            yield from self._before(index, self.by_channel[self.channel(t)], "the link was busy")

    def _before(self, index: int, others: list[int], reason: str) -> Iterator[Cause]:
        """The last transfer among `others` (in the order of their ends) that was over when `index` began."""
        transfers = self.times.transfers
        t = transfers[index]
        last = bisect_right(others, t.start + self.tolerance, key=lambda i: transfers[i].end)
        for other in reversed(others[:last]):
            if other != index and (transfers[other].start, other) < (t.start, index):
                yield Cause(Activity("transfer", other), transfers[other].end, reason)
                return

    def _call_end(self, c: int, reason: str) -> Iterator[Cause]:
        """What the end of a call consists of: its compute, and its own transfers."""
        yield Cause(Activity("call", c), self.spans[c][1], reason)
        for index in self.own.get(c, ()):
            yield Cause(Activity("transfer", index), self.times.transfers[index].end, reason)

    def _gate(self, c: int) -> Iterator[Cause]:
        """What the start of a call waited for."""
        graph, problem = self.graph, self.problem
        job = problem.jobs[graph.job[c]]
        yield Cause(None, job.release, "released" if job.release > 0 else "free to start at time 0")
        if (moment := graph.decisions.not_before.get(graph.decisions.call_names[c])) is not None:
            yield Cause(None, moment, "the plan does not start it before")
        yield from self._device(c)
        for k in graph.inputs[c]:
            yield from (self._sent_input(k, c) if self.direct else self._host_input(k, c))
        for before, later in problem.precedences:
            if later == graph.job[c]:
                yield from self._job_end(before)

    def _device(self, c: int) -> Iterator[Cause]:
        """Calls that had to start or end before this one because they share its device."""
        graph = self.graph
        row = graph.decisions.order[graph.device[c]]
        slots = int(self.problem.slots[graph.device[c]])
        if slots == 1:
            if graph.position[c] > 0:
                yield from self._call_end(row[graph.position[c] - 1], "the device was busy")
            return
        start = self.times.start[c]
        for earlier in row[: graph.position[c]]:
            if self.times.end[earlier] <= start + self.tolerance:
                yield from self._call_end(earlier, "all slots of the device were busy")
        for earlier in reversed(row[: graph.position[c]]):
            # Calls start in the order of the device: what held back the one before held back this one too.
            if self.times.start[earlier] < start - self.tolerance:
                break
            for k in graph.inputs[earlier]:
                yield from (self._sent_input(k, earlier) if self.direct else self._host_input(k, earlier))

    def _sent_input(self, k: int, c: int) -> Iterator[Cause]:
        """How tensor `k` came to call `c` under direct staging."""
        graph, d = self.graph, self.graph.device[c]
        p = graph.producer[k]
        sends = [i for i in self.by_tensor.get(("send", k), ()) if self.times.transfers[i].target == d]
        if self.overlap:
            for i in sends:
                yield Cause(Activity("transfer", i), self.times.transfers[i].end, "its input had to arrive")
        elif not any(self.times.transfers[i].call == c for i in sends):
            for reader in {self.times.transfers[i].call for i in sends}:
                # What one call fetches is usable by others once all its transfers are in.
                for i in self.own[reader]:
                    if self.times.transfers[i].kind == "send":
                        yield Cause(
                            Activity("transfer", i), self.times.transfers[i].end, "its input had to arrive"
                        )
        if p >= 0:
            yield from self._call_end(p, "its input had to be computed")

    def _host_input(self, k: int, c: int) -> Iterator[Cause]:
        """How tensor `k` came to call `c` under host staging."""
        graph, d = self.graph, self.graph.device[c]
        p = graph.producer[k]
        for i in self.by_tensor.get(("read", k), ()):
            t = self.times.transfers[i]
            shared = (k, d) in self.kept and t.target == d
            if self.overlap and (t.call == c or shared):
                yield Cause(Activity("transfer", i), t.end, "its input had to arrive")
            elif shared and t.call != c:
                for j in self.own[t.call]:
                    if self.times.transfers[j].kind == "read":
                        yield Cause(
                            Activity("transfer", j), self.times.transfers[j].end, "its input had to arrive"
                        )
        if p >= 0:
            yield from self._call_end(p, "its input had to be computed")

    def _job_end(self, job: int) -> Iterator[Cause]:
        """All that belongs to the completion of a job."""
        name = self.problem.jobs[job].task
        reason = f"task {name} had to finish"
        for c, owner in enumerate(self.graph.job):
            if owner == job:
                yield from self._call_end(c, reason)
        for i, t in enumerate(self.times.transfers):
            if t.target == self.problem.m and self.graph.job[t.call] == job:
                yield Cause(Activity("transfer", i), t.end, reason)


def job_name(job: Job) -> str:
    """Name of a job for people: that of its task, with its number where it is not the first."""
    return job.task if job.number == 0 else f"{job.task}/{job.number}"
