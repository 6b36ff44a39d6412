"""Segments: the layers that run as one piece on one device, from the calls or the order of a plan."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from dnnplan.costs.decisions import Decisions
from dnnplan.costs.evaluate import Evaluation, evaluate
from dnnplan.costs.mapping import MappingProblem
from dnnplan.instances import Plan, PlanError

_LENGTHS = (None, 32, 8, 2, 1)
"""Most layers of a segment, tried in turn."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Layers that run as one piece.

    Parameters
    ----------
    layers
        Keys ``task/job/layer``, in the order of the instance.
    position
        Place in the order of its device.
    """

    name: str
    device: str
    task: str
    job: int
    layers: tuple[str, ...]
    position: int


def segments(
    problem: MappingProblem,
    plan: Plan,
    *,
    longest: int | None = None,
    apart: Mapping[str, Hashable] | None = None,
) -> tuple[Segment, ...]:
    """The segments of a plan, in an order in which they can run one after the other.

    Where the plan has calls, they are the segments. Otherwise successive layers of a device that belong to one job are
    joined. A segment ends after a layer that makes a tensor which another device (or the host) waits for, and before a
    layer that waits for one from there: so no transfer is later than planned, and since a path can leave a segment only
    at its end and enter it only at its begin, segments never wait for each other in a cycle. On devices with several
    slots only chains are joined.

    Parameters
    ----------
    longest
        Most layers of a segment; None: no limit. Calls of the plan stay as they are.
    apart
        What a layer (by its key) belongs to; layers that belong to different things are not joined.

    Raises
    ------
    PlanError
        The plan does not fit the instance, or its calls wait for each other.

    Examples
    --------
    >>> import dnnplan
    >>> instance = dnnplan.load("tiny/hand")
    >>> plan = dnnplan.solve(instance, time_limit=10).plan
    >>> from dnnplan.costs import mapping_problem
    >>> [(s.device, len(s.layers)) for s in segments(mapping_problem(instance), plan)]
    [('npu', 1), ('npu', 1), ('cpu', 1), ('cpu', 3)]
    """
    evaluation = evaluate(problem, plan)
    decisions = evaluation.decisions
    if plan.calls is not None:
        rows = [[_Run(d, (c,), decisions.calls[c]) for c in row] for d, row in enumerate(decisions.order)]
    else:
        joining = _Joining(problem, decisions, longest, apart or {})
        rows = [joining.row(d) for d in range(problem.m)]
    counts: dict[int, int] = {}
    result = []
    for run, position in _running_order(problem, evaluation, rows):
        number = int(problem.job_of[run.layers[0]])
        job = problem.jobs[number]
        counts[number] = counts.get(number, -1) + 1
        own = decisions.call_names[run.calls[0]] if plan.calls is not None else None
        result.append(
            Segment(
                name=own or f"{job.task}/{job.number}/{counts[number]}",
                device=problem.devices[run.device],
                task=job.task,
                job=job.number,
                layers=tuple(problem.layers[i] for i in sorted(run.layers)),
                position=position,
            )
        )
    return tuple(result)


class _Run(NamedTuple):
    """Calls that become one."""

    device: int
    calls: tuple[int, ...]
    layers: tuple[int, ...]


class _Joining:
    """Which successive layers of a device become one segment."""

    def __init__(
        self,
        problem: MappingProblem,
        decisions: Decisions,
        longest: int | None,
        apart: Mapping[str, Hashable],
    ) -> None:
        self.problem = problem
        self.decisions = decisions
        self.longest = longest or problem.n
        place, source = decisions.place, problem.source.tolist()
        self.apart = [apart.get(key) for key in problem.layers]
        late = decisions.not_before
        position = {decisions.calls[c][0]: at for row in decisions.order for at, c in enumerate(row)}
        # Layers that wait for something from elsewhere, and layers that somebody elsewhere waits for.
        self.waits = [key in late for key in problem.layers]
        self.awaited = [False] * problem.n
        for k, readers in enumerate(problem.readers):
            home = place[source[k]] if source[k] >= 0 else problem.m
            # Whoever reads it first on a device has waited for all readers there.
            first = {place[i]: i for i in sorted(readers, key=position.__getitem__, reverse=True)}
            for d, i in first.items():
                if d != home and not (source[k] < 0 and self._is_everywhere(k, d)):
                    self.waits[i] = True
                    if source[k] >= 0:
                        self.awaited[source[k]] = True
            if problem.output[k] and source[k] >= 0 and self._is_sent(k, home):
                self.awaited[source[k]] = True

    def _is_everywhere(self, tensor: int, device: int) -> bool:
        """Whether an input of a model is on a device without being moved."""
        return not self.problem.host or self.problem.is_free(tensor, self.problem.m, device)

    def _is_sent(self, tensor: int, device: int) -> bool:
        """Whether an output of a model has to be moved to the host."""
        return self.problem.host and not self.problem.is_free(tensor, device, self.problem.m)

    def row(self, device: int) -> list[_Run]:
        """The segments of a device in their order."""
        runs: list[list[int]] = []
        serial = int(self.problem.slots[device]) == 1
        for c in self.decisions.order[device]:
            i = self.decisions.calls[c][0]
            if runs and len(runs[-1]) < self.longest and self._joins(runs[-1], i, serial):
                runs[-1].append(i)
            else:
                runs.append([i])
        return [_Run(device, tuple(run), tuple(run)) for run in runs]

    def _joins(self, run: list[int], layer: int, serial: bool) -> bool:
        last = run[-1]
        if self.awaited[last] or self.waits[layer]:
            return False
        if self.problem.job_of[last] != self.problem.job_of[layer] or self.apart[last] != self.apart[layer]:
            return False
        if serial:
            return True
        # Others could start beside the segment, and would have to wait for its end.
        readers = {i for k in self.problem.outputs[last] for i in self.problem.readers[k]}
        return readers == {layer}


def _running_order(
    problem: MappingProblem, evaluation: Evaluation, rows: list[list[_Run]]
) -> list[tuple[_Run, int]]:
    """Segments and their places, producers before readers; of those that are ready the one that starts first."""
    runs = [(run, position) for row in rows for position, run in enumerate(row)]
    after = _successors(problem, runs)
    waiting = [0] * len(runs)
    for others in after:
        for r in others:
            waiting[r] += 1

    def key(r: int) -> tuple[float, int]:
        return min(evaluation.start[c] for c in runs[r][0].calls), r

    ready = [key(r) for r, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    found = []
    while ready:
        _, r = heapq.heappop(ready)
        found.append(runs[r])
        for other in sorted(after[r]):
            waiting[other] -= 1
            if waiting[other] == 0:
                heapq.heappush(ready, key(other))
    if len(found) < len(runs):
        raise PlanError("segments wait for each other in a cycle: their calls are not convex")
    return found


def _successors(problem: MappingProblem, runs: Sequence[tuple[_Run, int]]) -> list[set[int]]:
    """What each segment comes before: readers of its tensors, the next of its device, tasks after its own."""
    run_of = {i: r for r, (run, _) in enumerate(runs) for i in run.layers}
    after: list[set[int]] = [set() for _ in runs]
    for _, i, j in problem.edges.tolist():
        if run_of[i] != run_of[j]:
            after[run_of[i]].add(run_of[j])
    of_job: dict[int, list[int]] = {}
    for r, (run, position) in enumerate(runs):
        of_job.setdefault(int(problem.job_of[run.layers[0]]), []).append(r)
        if position:
            after[r - 1].add(r)
    for first, second in problem.precedences:
        for r in of_job.get(first, ()):
            after[r].update(of_job.get(second, ()))
    return after


def with_segments(
    problem: MappingProblem, plan: Plan, *, apart: Mapping[str, Hashable] | None = None
) -> tuple[Plan, Evaluation]:
    """The same plan with its segments as calls, and what it costs.

    The segments are as long as they can be: where long ones need more memory than there is, or make the plan later,
    they are cut.

    Raises
    ------
    PlanError
        The plan does not fit the instance, or breaks its rules.
    """
    from dnnplan.costs.check import check

    before = evaluate(problem, plan)
    whole = plan.calls is not None
    broken: Sequence[object] = ()
    for longest in (None,) if whole else _LENGTHS:
        found = segments(problem, plan, longest=longest, apart=apart)
        for candidate in _as_calls(plan, found):
            try:
                after = evaluate(problem, candidate)
            except PlanError:
                continue  # an order of transfers that calls of several layers cannot keep
            if after.cost.latency > before.cost.latency * (1 + 1e-9):
                continue
            broken = check(problem.instance, candidate)
            if not broken:
                return candidate, after
    broken = broken or check(problem.instance, plan)
    reason = f"; {broken[0]}" if broken else ""
    raise PlanError(f"the plan cannot be cut into segments that keep the rules of its instance{reason}")


def _as_calls(plan: Plan, found: Sequence[Segment]) -> Iterable[Plan]:
    """The plan with segments as calls: with its order of transfers, and without."""
    if plan.calls is not None:
        yield replace(plan, times={})
        return
    segment_of = {key: segment.name for segment in found for key in segment.layers}
    first = {segment.layers[0]: segment.name for segment in found}
    order: dict[str, tuple[str, ...]] = {}
    for segment in sorted(found, key=lambda s: s.position):
        order[segment.device] = (*order.get(segment.device, ()), segment.name)
    bare = replace(
        plan,
        calls={segment.name: segment.layers for segment in found},
        order=order,
        not_before={_renamed(name, first): seconds for name, seconds in plan.not_before.items()},
        transfer_order={},
        times={},
    )
    if plan.transfer_order:
        orders = {
            channel: tuple(dict.fromkeys(_renamed(name, segment_of) for name in names))
            for channel, names in plan.transfer_order.items()
        }
        yield replace(bare, transfer_order=orders)
    yield bare


def _renamed(name: str, calls: Mapping[str, str]) -> str:
    """The name of a call, or the identifier of a transfer for a call, with the new name of the call."""
    if name in calls:
        return calls[name]
    for prefix, mark in (("load ", "load "), ("read ", " for ")):
        if name.startswith(prefix):
            head, _, call = name.rpartition(mark) if prefix == "read " else ("", "", name[len(prefix) :])
            if call in calls:
                return f"{head}{mark}{calls[call]}"
    return name
