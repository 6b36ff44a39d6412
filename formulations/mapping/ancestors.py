"""What surely comes before what, in every plan."""

from __future__ import annotations

from dnnplan.costs.mapping import MappingProblem


def ancestors_of(problem: MappingProblem) -> list[int]:
    """For each layer, the layers that have to end before it starts, as a set of bits."""
    members: dict[int, int] = {}
    for i, job in enumerate(problem.job_of.tolist()):
        members[job] = members.get(job, 0) | 1 << i
    before_job: dict[int, list[int]] = {}
    for before, after in problem.precedences:
        before_job.setdefault(after, []).append(before)
    found = [0] * problem.n
    for i in problem.topological:
        bits = 0
        for k in problem.inputs[i]:
            p = int(problem.source[k])
            if p >= 0:
                bits |= found[p] | 1 << p
        for job in before_job.get(int(problem.job_of[i]), ()):
            bits |= members.get(job, 0)
            for j in range(problem.n):
                if members.get(job, 0) >> j & 1:
                    bits |= found[j]
        found[i] = bits
    return found
