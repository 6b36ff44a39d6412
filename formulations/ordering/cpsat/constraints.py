"""Constraints of ordering, one function each.

Symbols: tasks a, b; rounds r, q (sets of tasks that run together); place(a); arc(r,a,b) = 1: b comes right after a
among the tasks of round r; first(r,a), last(r,a); places p; tools k; at(p,a), held(p,k), loaded(p,k); C slots.
"""

from __future__ import annotations

import numpy as np

from dnnplan.formulations.ordering.cpsat.variables import Variables


def places_differ(v: Variables) -> None:
    """place(a) != place(b);  at(p,a) = 1 iff place(a) = p.  Without it two tasks could run at once."""
    if v.place:
        v.model.add_all_different(v.place)
    for (p, a), at in v.at.items():
        v.model.add(v.place[a] == p).only_enforce_if(at)
    for a in range(v.problem.n if v.at else 0):
        v.model.add_exactly_one(v.at[p, a] for p in range(v.problem.n))


def precedences_hold(v: Variables) -> None:
    """place(a) + 1 <= place(b) if a has to come before b.  Without it precedences would not matter."""
    for a, b in np.argwhere(v.problem.before).tolist():
        v.model.add(v.place[a] + 1 <= v.place[b])


def tasks_follow_each_other(v: Variables) -> None:
    """In each round a circuit through its tasks and a start: arc(r,a,b), first(r,b) from it, last(r,a) back to it.

    Without it steps could be left out, or form several rings.
    """
    for r, one in enumerate(v.rounds):
        node = {task: k + 1 for k, task in enumerate(one.tasks)}
        arcs = [(node[a], node[b], x) for (s, a, b), x in v.arc.items() if s == r]
        arcs += [(0, node[a], x) for (s, a), x in v.first.items() if s == r]
        arcs += [(node[a], 0, x) for (s, a), x in v.last.items() if s == r]
        v.model.add_circuit(arcs)


def steps_go_forward(v: Variables) -> None:
    """place(a) + 1 <= place(b) where arc(r,a,b), with equality where all tasks run.

    Without it a round could have an order of its own: tasks that do not run are passed over, nothing else.
    """
    for (r, a, b), arc in v.arc.items():
        if len(v.rounds[r].tasks) == v.problem.n:
            v.model.add(v.place[a] + 1 == v.place[b]).only_enforce_if(arc)
        else:
            v.model.add(v.place[a] + 1 <= v.place[b]).only_enforce_if(arc)


def periods_follow_each_other(v: Variables) -> None:
    """Sum over (a,b) of wrap(q,r,a,b) = 1;  wrap(q,r,a,b) implies last(q,a) and first(r,b).

    For every two rounds, since the period before is an independent draw. Without it closing a period would be free.
    """
    for q in range(len(v.rounds)):
        for r in range(len(v.rounds)):
            v.model.add_exactly_one(x for (s, t, _, _), x in v.wrap.items() if (s, t) == (q, r))
    for (q, r, a, b), wrap in v.wrap.items():
        v.model.add_implication(wrap, v.last[q, a])
        v.model.add_implication(wrap, v.first[r, b])


def needed_tools_are_held(v: Variables) -> None:
    """at(p,a) implies held(p,k) for all tools k that a needs.  Without it nothing would ever be loaded."""
    assert v.problem.tools is not None
    for (p, a), at in v.at.items():
        for k in np.flatnonzero(v.problem.tools.needs[a]).tolist():
            v.model.add_implication(at, v.held[p, k])


def memory_is_limited(v: Variables) -> None:
    """Sum over k of held(p,k) <= C.  Without it everything would stay."""
    assert v.problem.tools is not None
    tools = range(len(v.problem.tools.bytes))
    for p in range(v.problem.n):
        v.model.add(sum(v.held[p, k] for k in tools) <= v.slots)


def tools_are_loaded(v: Variables) -> None:
    """loaded(p,k) >= held(p,k) - held(p-1,k);  at the first place loaded(0,k) >= held(0,k), or nothing at a warm start.

    Without it tools would come from nowhere (Tang and Denardo 1988).
    """
    assert v.problem.tools is not None
    for (p, k), loaded in v.loaded.items():
        if p > 0:
            v.model.add_bool_or([loaded, ~v.held[p, k], v.held[p - 1, k]])
        elif not v.problem.tools.warm:
            v.model.add_implication(v.held[p, k], loaded)
