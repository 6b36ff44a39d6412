"""Measurements of whole plans: what deciding step by step loses, and what is proven."""

from __future__ import annotations

from benchmarks.case import Measured
from dnnplan.instances.generators import whole_instance
from dnnplan.solvers.whole.planning import Planned, plan

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
    return compared(
        plan(whole_instance(TASKS, BLOCKS, DEVICES, int(seed)), time_limit=SECONDS, workers=WORKERS)
    )


def loss_memory(seed: str) -> Measured:
    """The same with memories that hold all weights only just; the joint plan is not to be worse."""
    instance = whole_instance(TASKS, BLOCKS, DEVICES, int(seed), memory=ROOM)
    return compared(plan(instance, time_limit=SECONDS, workers=WORKERS), proven=False)


def compared(found: Planned, *, proven: bool = True) -> Measured:
    """The loss of the sequential plan, with the most that it can be by the bound; joint is never to be worse."""
    first, result = found.sequential, found.result
    if result.objective.value is None or first is None:
        return Measured(float("nan"), "%", None, False, f"no plan: {result.status}")
    own = first.objective.value
    at_most = "unknown" if found.loss_at_most is None else f"{100 * found.loss_at_most:.4f} %"
    step = "none" if own is None else f"{1e3 * own:.4f} ms"
    note = (
        f"step by step {step}, joint {1e3 * result.objective.value:.4f} ms ({result.status}, "
        f"{result.runtime + (0.0 if first is result else first.runtime):.1f} s), loss at most {at_most}"
    )
    better = own is None or result.objective.value <= own * (1 + ROUNDING)
    reached = better and result.valid and (result.status == "optimal" or not proven)
    # Where step by step finds no plan there is nothing to compare.
    value = float("nan") if found.loss is None else 100 * found.loss
    return Measured(value, "%", None, reached, note)


MEASUREMENTS = {"loss": loss, "loss-memory": loss_memory}
