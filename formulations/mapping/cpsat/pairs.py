"""Where two neighbouring layers run, as variables: communication in the linear relaxation.

Symbols: layer i makes tensor k, layer j reads it; devices a, b; c[k,a,b] ticks of sending k from a to b.
"""

from __future__ import annotations

import math

from dnnplan.formulations.mapping.cpsat.variables import BoolVar, Variables

MOST_PAIRS = 16_000
"""Variables of this kind up to which they pay; beyond that the relaxation does without."""


def readers_wait_in_the_relaxation(v: Variables) -> None:
    """s_j >= e_i + sum over b of c[k,b] (x[j,b] - y[i,j,b]), c[k,b] the least of c[k,a,b] over a /= b.

    y[i,j,b] = x[i,b] x[j,b]: i and j are both on b. Redundant: the conditional constraints of
    `direct.readers_wait_for_send` say the same and more, but not to the linear relaxation. (The flow between all
    pairs of devices, Adams and Johnson 1994, is tighter, and slower in all.)
    """
    problem = v.problem
    if not problem.execution.overlap or problem.execution.staging != "direct":
        return
    edges = [edge for edge in problem.edges.tolist() if _least(v, *edge)]
    if sum(len(v.x[j]) for _, _, j in edges) > MOST_PAIRS:
        return
    for k, i, j in edges:
        apart = sum(
            ticks * (v.x[j][b] - _both(v, i, j, b) if b in v.x[i] else v.x[j][b])
            for b, ticks in _least(v, k, i, j).items()
        )
        v.model.add(v.start[j] >= v.end[i] + apart)


def _least(v: Variables, k: int, i: int, j: int) -> dict[int, int]:
    """The least ticks that it takes to get k to each device of j from another one, where there are any."""
    found = {}
    for b in v.x[j]:
        ticks = [v.problem.move_seconds(k, a, b) for a in v.x[i] if a != b]
        least = min((c for c in ticks if math.isfinite(c)), default=0.0)
        if least > 0:
            found[b] = int(least)
    return found


def _both(v: Variables, i: int, j: int, b: int) -> BoolVar:
    """The product of x[i,b] and x[j,b]."""
    pair = v.pairs.setdefault((i, j), {})
    if b not in pair:
        pair[b] = v.flag(f"both_{i}_{j}_{b}")
        v.model.add_bool_or([pair[b], ~v.x[i][b], ~v.x[j][b]])
        v.model.add_implication(pair[b], v.x[i][b])
        v.model.add_implication(pair[b], v.x[j][b])
    return pair[b]
