"""Step 4 of H2H: layers move to the device of a neighbour as long as the plan gets better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dnnplan.costs import Decisions, Evaluation, MappingProblem, evaluate
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.instances import PlanError
from dnnplan.solvers.search import Search

Rows = list[list[int]]
Complete = Callable[[Sequence[int], Sequence[Sequence[int]]], Decisions]
LEAST_GAIN = 1e-9
"""Relative gain below which a move does not count."""


def remap(
    problem: MappingProblem,
    search: Search,
    place: Sequence[int],
    rows: Sequence[Sequence[int]],
    complete: Complete,
) -> None:
    """Data-locality-aware remapping to a fixed point (H2H, step 4).

    Stream after stream, the one that ends last first: each layer moves to the device of a producer or reader of its
    if that can run it and the plan gets better, steps 2 and 3 done again by `complete`. The authors walk twice; we walk
    until nothing changes. Where a layer goes in the order is ours: behind its producer or before its reader there.
    Groups of colocated layers stay.
    """
    place, rows = list(place), [list(row) for row in rows]
    now = judge(problem, complete(place, rows))
    if now is None:
        return
    value, evaluation = now
    streams = chains(problem)
    tied = {i for group in problem.colocate for i in group}
    moved = True
    while moved and not search.finished():
        moved = False
        for stream in sorted(streams, key=lambda s: (-max(evaluation.end[i] for i in s), s)):
            for i in stream:
                if i in tied:
                    continue
                for d, row in targets(problem, place, rows, i):
                    if search.finished():
                        return
                    trial_place = [*place[:i], d, *place[i + 1 :]]
                    trial = [r for r in rows]
                    trial[place[i]] = [j for j in rows[place[i]] if j != i]
                    trial[d] = row
                    found = judge(problem, complete(trial_place, trial))
                    if found is not None and found[0] < value * (1 - LEAST_GAIN):
                        place, rows, moved = trial_place, trial, True
                        value, evaluation = found
                        search.accept(evaluation)
                        break


def judge(problem: MappingProblem, decisions: Decisions) -> tuple[float, Evaluation] | None:
    """Value of the first objective and evaluation of a plan; None if it cannot run or breaks a limit."""
    try:
        evaluation = evaluate(problem, decisions)
    except PlanError:
        return None
    if not is_feasible(evaluation):
        return None
    return objective_value(problem.stages[0], evaluation.cost), evaluation


def targets(
    problem: MappingProblem, place: Sequence[int], rows: Sequence[Sequence[int]], i: int
) -> Iterator[tuple[int, list[int]]]:
    """Devices of producers and readers that can run layer i, and their layers with i behind or before the neighbour."""
    producers = [int(problem.source[k]) for k in problem.inputs[i] if problem.source[k] >= 0]
    readers = [j for k in problem.outputs[i] for j in problem.readers[k]]
    for neighbours, offset in ((producers, 1), (readers, 0)):
        for j in dict.fromkeys(neighbours):
            d = place[j]
            if d == place[i] or d not in problem.allowed[i]:
                continue
            at = rows[d].index(j) + offset
            yield d, [*rows[d][:at], i, *rows[d][at:]]


def chains(problem: MappingProblem) -> list[list[int]]:
    """The graph cut into chains: a layer continues the chain that one of its producers ends, else begins one."""
    chain_of: dict[int, int] = {}
    result: list[list[int]] = []
    for i in problem.topological:
        for k in problem.inputs[i]:
            p = int(problem.source[k])
            if p >= 0 and result[chain_of[p]][-1] == p:
                chain_of[i] = chain_of[p]
                result[chain_of[p]].append(i)
                break
        else:
            chain_of[i] = len(result)
            result.append([i])
    return result
