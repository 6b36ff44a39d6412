"""The objective as text: ``latency``, ``latency=1,energy=0.2``, ``latency>energy``."""

from __future__ import annotations

import math

from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import suggestion

OBJECTIVES = (
    "latency",
    "max_load",
    "energy",
    "edp",
    "expected",
    "weighted_completion",
    "tardiness",
    "memory",
    "traffic",
    "variety",
    "task_variety",
    "size",
    "execution_cost",
    "switching",
    "loss",
    "affinity",
    "mean_latency",
    "late",
)
"""The names that an objective is made of."""

Term = tuple[str, float]


def parse_objective(text: str) -> tuple[tuple[Term, ...], ...]:
    """Take an objective apart into stages, the first one being the most important, of weighted terms.

    Stages are separated by ``>``, terms by ``,``; a term is ``name`` or ``name=weight``.

    Returns
    -------
    tuple of stages, each a tuple of (name, weight); weights are positive and finite, 1 where none is given.

    Raises
    ------
    InputError
        An empty stage or term, an unknown or repeated name, or a weight that is not a positive number.

    Examples
    --------
    >>> parse_objective("latency=1,energy=0.2>memory")
    ((('latency', 1.0), ('energy', 0.2)), (('memory', 1.0),))
    """
    stages = tuple(
        tuple(_parse_term(term.strip(), text) for term in stage.split(",")) for stage in text.split(">")
    )
    seen: set[str] = set()
    for name, _ in (term for stage in stages for term in stage):
        if name in seen:
            raise InputError(f'objective "{text}" names {name} more than once')
        seen.add(name)
    return stages


def _parse_term(term: str, text: str) -> Term:
    name, equals, weight = (part.strip() for part in term.partition("="))
    if name not in OBJECTIVES:
        what = f'unknown name "{name}"' if name else "a name is missing"
        hint = suggestion(name, OBJECTIVES) or f", expected one of {', '.join(OBJECTIVES)}"
        raise InputError(f'objective "{text[:200]}": {what[:200]}{hint}')
    if not equals:
        return name, 1.0
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise InputError(f'objective "{text}": weight "{weight}" of {name}, expected a positive number')
    return name, value
