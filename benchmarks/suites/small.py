"""Small random instances over all execution settings: exact solvers must agree, no heuristic is better."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case, Measurement
from dnnplan.instances import Instance

SUMMARY = "random instances of 3 to 5 layers over all execution settings: cpsat, milp, auto, heft"

COUNT = 40
SOLVERS = ("heft", "cpsat", "milp", "auto")
SECONDS = 10.0


AGREEMENT = Measurement(name="agreement-216", module="benchmarks.agreement", seconds=120.0)
"""CP-SAT, MILP and exhaustion, three instances a setting."""


def cases() -> Iterator[Case | Measurement]:
    """Agreement with exhaustion, then every solver on every instance; the execution setting goes round."""
    yield AGREEMENT
    for seed in range(COUNT):
        for solver in SOLVERS:
            yield Case(
                instance=f"small-{seed}", build=partial(small, seed), solver=solver, time_limit=SECONDS
            )


def small(seed: int) -> Instance:
    """The instance of a seed, with one execution setting after the other."""
    from dnnplan.instances.generators import all_executions, random_small

    settings = tuple(all_executions())
    return random_small(seed, settings[seed % len(settings)])
