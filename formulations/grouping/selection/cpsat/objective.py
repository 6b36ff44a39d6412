"""The objective of choosing networks, as an integer sum that never exceeds its float value."""

from __future__ import annotations

from dnnplan.formulations.grouping.selection.cpsat.variables import Variables
from dnnplan.formulations.integer_sums import Terms, rounded, unit_of


def minimise(v: Variables) -> None:
    """Min sum over t and c of (score(c,t) - least(t)) takes(t,c), to which the least scores are added.

    Scores may be negative and of very different sizes; without the ones that no good choice has, differences are alike.
    """
    terms = excess(v)
    v.unit = unit_of(terms)
    v.constant = float(v.candidates.least.sum()) if v.takes else 0.0
    v.model.minimize(rounded(terms, v.unit))


def excess(v: Variables) -> Terms:
    """Sum over t and c of (score(c,t) - least(t)) takes(t,c)."""
    score, least = v.candidates.score, v.candidates.least
    return [
        (float(score[c, t] - least[t]), takes) for t, row in enumerate(v.takes) for c, takes in row.items()
    ]


def minimise_cost(v: Variables) -> None:
    """Min sum over c of cost(c) chosen(c): the least budget with which all tasks are served."""
    terms = [(float(cost), one) for cost, one in zip(v.candidates.cost, v.chosen, strict=True)]
    v.unit = unit_of(terms)
    v.model.minimize(rounded(terms, v.unit))


def minimise_number(v: Variables) -> None:
    """Min sum over c of chosen(c): the least number of networks with which all tasks are served."""
    v.model.minimize(sum(v.chosen))
