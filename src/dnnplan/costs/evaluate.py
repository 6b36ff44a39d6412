"""The one judge of what a plan costs: earliest times, energy, traffic, loads and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnplan.costs.calls import CallGraph, call_graph
from dnnplan.costs.decisions import Decisions, decode, to_plan
from dnnplan.costs.events import EventSimulation
from dnnplan.costs.fast import applies, evaluate_fast
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.residency import memory_peaks
from dnnplan.costs.resolve import mapping_problem
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.timeline import Timeline, Times, Transfer
from dnnplan.instances import Cost, Instance, Plan
from dnnplan.instances.arguments import require_instance, require_plan


@dataclass(eq=False)
class Evaluation:
    """What a plan does and costs.

    Parameters
    ----------
    problem, decisions
        The view that the plan was evaluated on, and the plan as indices.
    start, end
        Seconds, by call.
    cost
        The figures.
    completion
        Completion time of every job, seconds.
    """

    problem: MappingProblem
    decisions: Decisions
    start: list[float]
    end: list[float]
    cost: Cost
    completion: list[float]
    known: tuple[CallGraph, Times] | None = None

    @cached_property
    def graph(self) -> CallGraph:
        """The calls of the plan."""
        return self.known[0] if self.known is not None else call_graph(self.problem, self.decisions)

    @cached_property
    def times(self) -> Times:
        """Start and end of every call, and all transfers."""
        return self.known[1] if self.known is not None else timeline_of(self.graph)

    @property
    def transfers(self) -> list[Transfer]:
        """All transfers, ends as indices of devices (m: the host)."""
        return self.times.transfers

    @cached_property
    def plan(self) -> Plan:
        """The plan itself."""
        return to_plan(self.problem, self.decisions)

    @cached_property
    def starts(self) -> dict[str, float]:
        """Start of every call, by name, seconds."""
        return dict(zip(self.decisions.call_names, self.start, strict=True))

    @cached_property
    def ends(self) -> dict[str, float]:
        """End of every call, by name, seconds."""
        return dict(zip(self.decisions.call_names, self.end, strict=True))


def evaluate(problem: MappingProblem | Instance, plan: Plan | Decisions, *, fast: bool = True) -> Evaluation:
    """Derive all times of a plan from its decisions, and what they cost.

    Parameters
    ----------
    fast
        Whether plans of the plainest setting take the path on arrays (`dnnplan.costs.fast`).

    Raises
    ------
    PlanError
        The decisions do not fit the instance, or wait for each other.
    InputError
        Neither an instance nor its view, or no plan.
    """
    if not isinstance(problem, MappingProblem):
        require_instance(problem)
        problem = mapping_problem(problem)
    if not isinstance(plan, Decisions):
        require_plan(plan)
    decisions = decode(problem, plan) if isinstance(plan, Plan) else plan
    if fast and applies(problem, decisions):
        found = evaluate_fast(problem, decisions)
        if found is not None:
            start, end, done, cost = found
            return Evaluation(problem, decisions, start.tolist(), end.tolist(), cost, done)
    graph = call_graph(problem, decisions)
    times = timeline_of(graph)
    completion = _completion(graph, times)
    cost = _cost(graph, times, completion)
    return Evaluation(problem, decisions, times.start, times.end, cost, completion, (graph, times))


def timeline_of(graph: CallGraph) -> Times:
    """Times of the calls of a plan, by the method that its contention asks for."""
    contended = graph.problem.execution.contention == "links"
    return (EventSimulation if contended else Timeline)(graph).compute()


def _completion(graph: CallGraph, times: Times) -> list[float]:
    """Completion of each job: its last call, and the last transfer of an output to the host."""
    problem = graph.problem
    completion = [job.release for job in problem.jobs]
    for job, end in zip(graph.job, times.end, strict=True):
        completion[job] = max(completion[job], end)
    for t in times.transfers:
        if t.tensor >= 0 and problem.output[t.tensor] and t.target in (problem.m, problem.host_device):
            job = graph.job[t.call]
            completion[job] = max(completion[job], t.end)
    return completion


def _cost(graph: CallGraph, times: Times, completion: list[float]) -> Cost:
    problem = graph.problem
    latency = max(completion, default=0.0)
    place = np.array(graph.decisions.place, dtype=np.int64)
    rows = np.arange(problem.n)
    compute = np.zeros(problem.m)
    np.add.at(compute, place, problem.duration[rows, place])
    per_byte = problem.routes.energy_per_byte.tolist()
    moved = sum(t.bytes * per_byte[t.source][t.target] for t in times.transfers)
    idle = problem.idle_energy(latency, compute)
    energy = float(problem.energy[rows, place].sum()) + moved + idle
    load = _loads(graph, compute)
    tardiness = weighted = 0.0
    for job, end in zip(problem.jobs, completion, strict=True):
        weighted += job.weight * (end - job.release)
        tardiness += job.weight * max(0.0, end - job.due) if job.due is not None else 0.0
    peaks = memory_peaks(graph, times)
    return Cost(
        latency=latency,
        energy=energy,
        edp=energy * latency,
        traffic=float(sum(t.bytes for t in times.transfers)),
        max_load=max(load, default=0.0),
        weighted_completion=weighted,
        tardiness=tardiness,
        memory=dict(zip(problem.memory_names, peaks.tolist(), strict=True)),
        load=dict(zip(problem.devices, load, strict=True)),
    )


def _loads(graph: CallGraph, compute: FloatArray) -> list[float]:
    """Seconds of work of each device in one period (``max_load``)."""
    problem, m = graph.problem, graph.problem.m
    direct = problem.execution.staging == "direct"
    moves = [0.0] * m
    for c, d in enumerate(graph.device):
        moves[d] += graph.load[c]
    for k, p in enumerate(graph.producer):
        home = graph.device[p] if p >= 0 else m
        outside: dict[int, list[int]] = {}
        for c in graph.reader_calls[k]:
            if graph.device[c] != home:
                outside.setdefault(graph.device[c], []).append(c)
        if p < 0 and not problem.host:
            continue
        for d, calls in outside.items():
            if direct:
                moves[d] += problem.move_seconds(k, home, d)
            else:
                moves[d] += problem.read_seconds(k, d, max(graph.read_bytes(k, c) for c in calls))
        if not direct and p >= 0 and (outside or problem.output[k]):
            moves[home] += problem.move_seconds(k, home, m)
    works = compute.tolist()
    if problem.execution.overlap:
        return [max(work, move) for work, move in zip(works, moves, strict=True)]
    return [work + move for work, move in zip(works, moves, strict=True)]
