"""Constraints of ordering, one function each; those of the CP-SAT model in linear rows.

Symbols: tasks a, b, c; ahead(a,b) = 1: a runs before b; rounds r, q; arc(r,a,b), first(r,a), last(r,a), wrap(q,r,a,b);
places p; tools k; at(p,a), held(p,k), loaded(p,k); C slots.
"""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pulp

from dnnplan.formulations.ordering.milp.variables import Variables


def places_differ(v: Variables) -> None:
    """ahead(a,b) + ahead(b,a) = 1;  ahead(a,b) + ahead(b,c) - ahead(a,c) <= 1.

    A linear order (Groetschel, Juenger and Reinelt 1984). With tools also: each place has one task, each task one
    place, and sum over p of p (at(p,b) - at(p,a)) >= 1 - n ahead(b,a).
    """
    tasks, n = range(v.problem.n), v.problem.n
    for a, b in combinations(tasks, 2):
        v.model += v.ahead[a, b] + v.ahead[b, a] == 1
    for a, b, c in permutations(tasks, 3):
        v.model += v.ahead[a, b] + v.ahead[b, c] - v.ahead[a, c] <= 1
    if not v.at:
        return
    for x in tasks:
        v.model += pulp.lpSum(v.at[x, a] for a in tasks) == 1
        v.model += pulp.lpSum(v.at[p, x] for p in tasks) == 1
    for a, b in permutations(tasks, 2):
        v.model += pulp.lpSum(p * (v.at[p, b] - v.at[p, a]) for p in tasks) >= 1 - n * v.ahead[b, a]


def precedences_hold(v: Variables) -> None:
    """ahead(a,b) = 1 if a has to come before b.  Without it precedences would not matter."""
    for a, b in np.argwhere(v.problem.before).tolist():
        v.model += v.ahead[a, b] == 1


def tasks_follow_each_other(v: Variables) -> None:
    """In each round: one first task, one last; each task is first or follows one, is last or is followed by one.

    Without it steps could be left out.
    """
    for r, one in enumerate(v.rounds):
        v.model += pulp.lpSum(v.first[r, a] for a in one.tasks if (r, a) in v.first) == 1
        v.model += pulp.lpSum(v.last[r, a] for a in one.tasks if (r, a) in v.last) == 1
        for b in one.tasks:
            into = pulp.lpSum(v.arc[r, a, b] for a in one.tasks if (r, a, b) in v.arc)
            out = pulp.lpSum(v.arc[r, b, a] for a in one.tasks if (r, b, a) in v.arc)
            v.model += into + v.first.get((r, b), 0) == 1
            v.model += out + v.last.get((r, b), 0) == 1


def steps_go_forward(v: Variables) -> None:
    """arc(r,a,b) <= ahead(a,b).  Without it a round could have an order of its own, or rings."""
    for (_, a, b), arc in v.arc.items():
        v.model += arc <= v.ahead[a, b]


def periods_follow_each_other(v: Variables) -> None:
    """Sum over (a,b) of wrap(q,r,a,b) = 1;  wrap(q,r,a,b) <= last(q,a), first(r,b), for every two rounds.

    Without it closing a period would be free.
    """
    for q in range(len(v.rounds)):
        for r in range(len(v.rounds)):
            v.model += pulp.lpSum(x for (s, t, _, _), x in v.wrap.items() if (s, t) == (q, r)) == 1
    for (q, r, a, b), wrap in v.wrap.items():
        v.model += wrap <= v.last[q, a]
        v.model += wrap <= v.first[r, b]


def needed_tools_are_held(v: Variables) -> None:
    """held(p,k) >= at(p,a) for all tools k that a needs.  Without it nothing would ever be loaded."""
    assert v.problem.tools is not None
    for (p, a), at in v.at.items():
        for k in np.flatnonzero(v.problem.tools.needs[a]).tolist():
            v.model += v.held[p, k] >= at


def memory_is_limited(v: Variables) -> None:
    """Sum over k of held(p,k) <= C.  Without it everything would stay."""
    assert v.problem.tools is not None
    for p in range(v.problem.n):
        v.model += pulp.lpSum(v.held[p, k] for k in range(len(v.problem.tools.bytes))) <= v.slots


def tools_are_loaded(v: Variables) -> None:
    """loaded(p,k) >= held(p,k) - held(p-1,k);  at the first place loaded(0,k) >= held(0,k), or nothing at a warm start.

    Without it tools would come from nowhere (Tang and Denardo 1988).
    """
    assert v.problem.tools is not None
    for (p, k), loaded in v.loaded.items():
        if p > 0:
            v.model += loaded >= v.held[p, k] - v.held[p - 1, k]
        elif not v.problem.tools.warm:
            v.model += loaded >= v.held[p, k]
