"""Tasks that run only sometimes: which of them run together, and with what probability (docs/cost-model.md, 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances import InstanceError, Problem, UnsupportedError
from dnnplan.instances.sections import Condition

MOST_OUTCOMES = 16
"""Independent outcomes whose combinations are listed: 65,536 of them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scenarios:
    """All sets of tasks that can run in a period.

    Parameters
    ----------
    runs
        (S, n) whether each task runs.
    probability
        (S,) of each set; they add up to 1.
    """

    runs: NDArray[np.bool_]
    probability: NDArray[np.float64]


def scenarios(conditions: Sequence[Condition], tasks: Sequence[str]) -> Scenarios:
    """List which tasks can run together.

    An independent condition has an outcome of its own. All gated conditions with the same `given` have one outcome
    together (the deployments of Antler: presence decides whether everything else runs). A task runs if each of its
    conditions comes out well and the task it is given has run; so chains of conditions are not independent. Sets with
    the same tasks are joined.

    Raises
    ------
    InstanceError
        Conditions gated by the same task with different probabilities.
    UnsupportedError
        More than `MOST_OUTCOMES` uncertain outcomes.

    Examples
    --------
    >>> chain = [Condition(task="b", given="a", probability=0.5), Condition(task="c", given="b", probability=0.5)]
    >>> scenarios(chain, ["a", "b", "c"]).probability.tolist()
    [0.5, 0.25, 0.25]
    """
    coins: dict[object, float] = {}
    needs: list[list[tuple[int | None, object]]] = [[] for _ in tasks]
    index = {name: t for t, name in enumerate(tasks)}
    for number, condition in enumerate(conditions):
        gated = condition.model == "gated"
        coin: object = ("gate", condition.given) if gated else number
        if coins.setdefault(coin, condition.probability) != condition.probability:
            message = (
                f"{condition.probability}, expected {coins[coin]}: one outcome gates all tasks of this kind"
            )
            raise InstanceError(problems=[Problem(f"ordering.conditions[{number}].probability", message)])
        given = None if condition.given is None else index[condition.given]
        needs[index[condition.task]].append((given, coin))
    open_ = [coin for coin, p in coins.items() if 0.0 < p < 1.0]
    if len(open_) > MOST_OUTCOMES:
        raise UnsupportedError(
            f"ordering.conditions: {len(open_)} uncertain outcomes, expected at most {MOST_OUTCOMES}"
        )
    settled = {coin: p == 1.0 for coin, p in coins.items() if coin not in open_}
    found: dict[tuple[bool, ...], float] = {}
    for heads in product((False, True), repeat=len(open_)):
        outcome = settled | dict(zip(open_, heads, strict=True))
        chance = 1.0
        for coin, head in zip(open_, heads, strict=True):
            chance *= coins[coin] if head else 1.0 - coins[coin]
        ran = _ran(needs, outcome)
        found[ran] = found.get(ran, 0.0) + chance
    return Scenarios(
        runs=np.array(list(found), dtype=bool).reshape(len(found), len(tasks)),
        probability=np.array(list(found.values())),
    )


def _ran(
    needs: Sequence[Sequence[tuple[int | None, object]]], outcome: dict[object, bool]
) -> tuple[bool, ...]:
    """Which tasks run, given every outcome; conditions form no cycle."""
    known: dict[int, bool] = {}

    def runs(task: int) -> bool:
        if task not in known:
            known[task] = all(outcome[coin] and (given is None or runs(given)) for given, coin in needs[task])
        return known[task]

    return tuple(runs(task) for task in range(len(needs)))
