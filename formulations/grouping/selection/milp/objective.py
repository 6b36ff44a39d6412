"""The objective of choosing networks."""

from __future__ import annotations

from dnnplan.formulations.grouping.selection.milp.variables import Variables
from dnnplan.formulations.linear_sums import SCALED, Terms, scaled
from dnnplan.formulations.mapping.milp.windows import power_of_two


def minimise(v: Variables) -> None:
    """Min sum over t and c of (score(c,t) - least(t)) takes(t,c), to which the least scores are added.

    Scores may be negative and of very different sizes; without the ones that no good choice has, differences are alike.
    """
    rows = excess(v)
    # Each task takes one candidate.
    largest = sum(max((factor for factor, _ in row), default=0.0) for row in rows)
    v.unit = power_of_two(largest / SCALED)
    v.largest = largest / v.unit
    v.constant = float(v.candidates.least.sum()) if v.takes else 0.0
    v.model += scaled([term for row in rows for term in row], v.unit)


def excess(v: Variables) -> list[Terms]:
    """For each t the sum over c of (score(c,t) - least(t)) takes(t,c)."""
    score, least = v.candidates.score, v.candidates.least
    return [
        [(float(score[c, t] - least[t]), takes) for c, takes in row.items()] for t, row in enumerate(v.takes)
    ]
