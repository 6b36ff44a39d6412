"""When layers of a relaxation begin and end: paths through calls and transfers."""

from __future__ import annotations

import numpy as np

from dnnplan.formulations.mapping.bounds.linear import as_terms
from dnnplan.formulations.mapping.bounds.paths import outputs_move_after
from dnnplan.formulations.mapping.bounds.relaxation import Relaxation, Terms, scaled
from dnnplan.formulations.mapping.bounds.transfers import delay_terms


def add_timing(r: Relaxation) -> None:
    """begin(j) >= end(i) + delay for every tensor, C(job) >= end(i) + outputs, C >= C(job)."""
    problem, program, unit = r.problem, r.program, r.unit
    r.makespan = program.variable(0.0, 1.0)
    r.completion = [program.variable(min(job.release / unit, 1.0), 1.0) for job in problem.jobs]
    begin = [program.variable(min(float(release) / unit, 1.0), 1.0) for release in problem.release]
    r.begin = np.array(begin, dtype=np.int64)
    ends = [[(begin[i], 1.0), *_own_time(r, i)] for i in range(problem.n)]
    for j in range(problem.n):
        (_arrivals if problem.execution.overlap else _arrivals_in_call)(r, j, ends)
    for i, end in enumerate(ends):
        _completions(r, i, end)
    for job in r.completion:
        r.row([(r.makespan, 1.0), (job, -1.0)])
    for before, after in problem.precedences:
        for j in np.flatnonzero(problem.job_of == after).tolist():
            r.row([(begin[j], 1.0), (r.completion[before], -1.0)])


def _own_time(r: Relaxation, i: int) -> Terms:
    """From the begin of the work of a call to its end: compute, load beside or before it, writes without overlap."""
    problem, unit = r.problem, r.unit
    terms = as_terms(r.x[i], np.where(np.isfinite(problem.duration[i]), problem.duration[i], 0.0) / unit)
    overlap = problem.execution.overlap
    for d in problem.allowed[i]:
        part = r.loaded.get((i, d))
        load, compute = float(problem.load[i, d]) / unit, float(problem.duration[i, d]) / unit
        if part is None or load <= 0:
            continue
        if not overlap:
            r.loading[i, d] = scaled(part, load)
        elif load > compute:
            longer = r.program.variable(0.0, 1.0)
            r.row([(longer, 1.0), *scaled(part, -load), (int(r.x[i, d]), compute)])
            r.loading[i, d] = [(longer, 1.0)]
        terms += r.loading.get((i, d), [])
    if problem.execution.staging == "host" and not overlap:
        for k in problem.outputs[i]:
            terms += [t for move in r.written.get(k, ()) for t in scaled(move.terms, move.seconds / unit)]
    return terms


def _arrivals(r: Relaxation, j: int, ends: list[Terms]) -> None:
    """With overlap: begin(j) >= end(i) + delay(k,i,j)."""
    problem, unit = r.problem, r.unit
    for k in problem.inputs[j]:
        i = int(problem.source[k])
        if i < 0 and not problem.host:
            continue
        release = float(problem.tensor_release[k]) / unit if i < 0 else 0.0
        end = ends[i] if i >= 0 else []
        delay = scaled(delay_terms(r, k, i, j), -1 / unit)
        if i >= 0 or delay:
            r.row([(int(r.begin[j]), 1.0), *scaled(end, -1.0), *delay], min(release, 1.0))


def _arrivals_in_call(r: Relaxation, j: int, ends: list[Terms]) -> None:
    """Without overlap: after the last producer the call fetches, one by one, what no other call can have fetched."""
    problem, unit, begin = r.problem, r.unit, int(r.begin[j])
    fetched: Terms = []
    for k in problem.inputs[j]:
        i = int(problem.source[k])
        if len(problem.readers[k]) == 1 and (i >= 0 or problem.host):
            fetched += scaled(delay_terms(r, k, i, j), -1 / unit)
    release = min(float(problem.release[j]) / unit, 1.0)
    if fetched:
        r.row([(begin, 1.0), *fetched], release)
    for i in {int(problem.source[k]) for k in problem.inputs[j]} - {-1}:
        r.row([(begin, 1.0), *scaled(ends[i], -1.0), *fetched])
    for k in problem.inputs[j]:
        i = int(problem.source[k])
        if len(problem.readers[k]) > 1 and (i >= 0 or problem.host):
            delay = scaled(delay_terms(r, k, i, j), -1 / unit)
            if delay:
                end = scaled(ends[i], -1.0) if i >= 0 else []
                r.row([(begin, 1.0), *end, *delay], 0.0 if i >= 0 else release)


def _completions(r: Relaxation, i: int, end: Terms) -> None:
    """C(job) >= end(i), and the moment when each output of it has reached the host."""
    problem, unit = r.problem, r.unit
    job = r.completion[int(problem.job_of[i])]
    sends = [k for k in problem.outputs[i] if problem.output[k]]
    if not problem.host or not outputs_move_after(problem):
        sends = []
    inner = any(problem.readers[k] for k in problem.outputs[i])
    if not inner and not sends:
        r.row([(job, 1.0), *scaled(end, -1.0)])
    for k in sends:
        seconds = problem.move[k, : problem.m, problem.m]
        if problem.host_device >= 0:
            seconds = np.minimum(seconds, problem.move[k, : problem.m, problem.host_device])
        move = as_terms(r.x[i], np.where(np.isfinite(seconds), seconds, 0.0) / unit)
        r.row([(job, 1.0), *scaled(end, -1.0), *scaled(move, -1.0)])
