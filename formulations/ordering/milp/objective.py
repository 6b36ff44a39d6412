"""The objective of ordering, in linear rows."""

from __future__ import annotations

import math

from dnnplan.formulations.linear_sums import Terms, keep_at_most, largest_sum, scaled, unit_of
from dnnplan.formulations.ordering.milp.variables import Variables
from dnnplan.formulations.ordering.rules import most_cost


def set_objective(v: Variables) -> None:
    """Minimise the expected cost of a period; keep a limit on it."""
    terms = cost_of(v)
    limit = most_cost(v.problem)
    if math.isfinite(limit) and terms:
        keep_at_most(v.model, terms, limit)
    terms = [(v.problem.weight * factor, item) for factor, item in terms]
    v.never_negative = all(factor >= 0 for factor, _ in terms)
    v.unit = unit_of(terms)
    v.largest = largest_sum(terms) / v.unit
    v.model.setObjective(scaled(terms, v.unit))


def cost_of(v: Variables) -> Terms:
    """Sum over rounds of chance x (first, or wrap, and arcs), and loads."""
    problem = v.problem
    terms: Terms = [(v.rounds[r].chance * float(problem.switch[a, b]), x) for (r, a, b), x in v.arc.items()]
    if problem.closed:
        some = sum(one.chance for one in v.rounds)
        terms += [
            (v.rounds[q].chance * v.rounds[r].chance / some * float(problem.close[a, b]), x)
            for (q, r, a, b), x in v.wrap.items()
        ]
    else:
        terms += [(v.rounds[r].chance * float(problem.first[a]), x) for (r, a), x in v.first.items()]
    if problem.tools is not None:
        terms += [(float(problem.tools.load[k]), x) for (_, k), x in v.loaded.items()]
    return terms
