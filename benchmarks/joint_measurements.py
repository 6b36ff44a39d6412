"""Measurements of whole plans: what deciding step by step loses, and what is proven."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.case import Measured
from benchmarks.joint_exact import exact
from dnnplan.costs.whole import whole_problem
from dnnplan.instances import Instance
from dnnplan.instances.generators import whole_instance
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.whole.planning import plan
from dnnplan.solvers.whole.sequential import run_steps

SEEDS = tuple(range(20))
MEMORY_SEEDS = tuple(range(10))
TASKS, BLOCKS, DEVICES = 4, 6, 3
ROOM = 1.0
"""Weights that fit in all memories together, as a part of those of tasks that share nothing but the stem."""
SECONDS = 60.0
WORKERS = 1
ROUNDING = 1e-9


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def loss(seed: str) -> Measured:
    """How much longer the sequential plan takes than the joint one, in percent; the joint one is to be proven."""
    return compared(whole_instance(TASKS, BLOCKS, DEVICES, int(seed)))


def loss_memory(seed: str) -> Measured:
    """The same with memories that hold all weights only just; the joint plan is not to be worse."""
    return compared(whole_instance(TASKS, BLOCKS, DEVICES, int(seed), memory=ROOM), proven=False)


def compared(instance: Instance, *, proven: bool = True) -> Measured:
    """The loss of the sequential plan, with the most that it can be by the bound; joint is never to be worse.

    The steps have half of the time that the joint method has, so that what they lose is not for want of time.
    """
    problem = whole_problem(instance)
    search = TaskSearch(problem, Settings(time_limit=SECONDS / 2, workers=WORKERS), name="sequential")
    steps = run_steps(problem, search)
    result = plan(instance, time_limit=SECONDS, workers=WORKERS).result
    if result.objective.value is None:
        return Measured(math.nan, "%", None, False, f"no plan: {result.status}")
    own, value, bound = search.value, result.objective.value, result.bound
    step = "no plan" if own is None else f"{1e3 * own:.4f} ms"
    step += " (proven)" if steps is not None and steps.proved else ""
    note = f"step by step {step}, joint {1e3 * value:.4f} ms ({result.status}, {result.runtime:.1f} s)"
    if own is not None and bound:
        note += f", loss at most {100 * max(0.0, own / bound - 1):.4f} %"
    better = own is None or value <= own * (1 + ROUNDING)
    reached = better and result.valid and (result.status == "optimal" or not proven)
    # Where step by step finds no plan there is nothing to compare.
    return Measured(math.nan if own is None else 100 * (own / value - 1), "%", None, reached, note)


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "loss": loss,
    "loss-memory": loss_memory,
    "exact": exact,
}
