"""A measured pass as the evaluation of its plan, so that charts and traces show it like a planned one."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as replace_record

from dnnplan.costs import Evaluation
from dnnplan.costs.explain import covered
from dnnplan.costs.timeline import Times, Transfer
from dnnplan.deploy.run.executor import Pass, begins
from dnnplan.deploy.run.program import Program


def measured_evaluation(planned: Evaluation, one: Pass, program: Program) -> Evaluation:
    """The evaluation of the plan with the times that a pass took.

    Parameters
    ----------
    planned
        Of the plan whose calls are the segments.
    program
        What was executed.
    """
    graph, problem = planned.graph, planned.problem
    names, devices = planned.decisions.call_names, problem.devices
    spans = [one.stamps[name] for name in names]
    overlap = problem.execution.overlap
    begun = begins(program, one)
    start = [one.stamps[name][1] if overlap else begun[name] for name in names]
    end = [end for _, _, end in spans]
    tensors = {name: k for k, name in enumerate(problem.tensors)}
    transfers = []
    for (value, target), (begin, until) in one.copied.items():
        if value not in tensors:
            continue  # of no tensor of the instance: a shape that one part computes for another, say
        k, d = tensors[value], devices.index(target)
        if not any(graph.device[call] == d for call in graph.reader_calls[k]):
            continue  # the plan knows of no reader there
        source = program.home[value]
        ends = (problem.m if source is None else devices.index(source), d)
        call = graph.first_reader(k, d)
        transfers.append(Transfer("send", k, call, *ends, begin, until, float(problem.size[k])))
    times = Times(start, end, transfers, [])
    compute = [until - begin for _, begin, until in spans]
    completion = [0.0] * len(problem.jobs)
    load: dict[str, list[tuple[float, float]]] = {device: [] for device in devices}
    for c, job in enumerate(graph.job):
        completion[job] = max(completion[job], end[c])
        load[devices[graph.device[c]]].append((spans[c][0], spans[c][2]))
    busy = {device: covered(own) for device, own in load.items()}
    cost = replace_record(
        planned.cost,
        latency=one.latency,
        load=busy,
        max_load=max(busy.values(), default=0.0),
        traffic=sum(t.bytes for t in transfers),
    )
    return Evaluation(
        problem, planned.decisions, start, end, cost, completion, (replace(graph, compute=compute), times)
    )
