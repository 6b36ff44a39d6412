"""Planning again with measured costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dnnplan.costs import Evaluation, evaluate
from dnnplan.costs.explain import covered
from dnnplan.instances import Instance, Plan
from dnnplan.instances.errors import InfeasibleError
from dnnplan.solvers import solve

ROUNDS = 3
NEAR = 0.02
"""Shares of busy time that differ by less are the same."""


def plan_shares(evaluation: Evaluation) -> dict[str, float]:
    """By device: the share of the time in which it works that another device works too, as a plan has it."""
    devices = evaluation.problem.devices
    spans: list[list[tuple[float, float]]] = [[] for _ in devices]
    for call, device in enumerate(evaluation.graph.device):
        spans[device].append((evaluation.start[call], evaluation.end[call]))
    found = {}
    for at, name in enumerate(devices):
        others = [span for other, own in enumerate(spans) if other != at for span in own]
        busy = covered(spans[at])
        both = busy + covered(others) - covered([*spans[at], *others])
        found[name] = min(1.0, max(0.0, both / busy)) if busy > 0 else 1.0
    return found


def replan(
    build: Callable[[Mapping[str, float]], Instance],
    share: Mapping[str, float],
    *,
    time_limit: float,
    solver: str = "auto",
    workers: int = 1,
    seed: int = 0,
) -> tuple[Instance, Plan, dict[str, float]]:
    """A plan for the costs that it itself leads to: how much devices slow each other down depends on the plan.

    Parameters
    ----------
    build
        The instance for given shares of busy time.
    share
        Shares to start from.

    Returns
    -------
    tuple
        The instance that the plan was made for, the plan, and the shares in it.

    Raises
    ------
    InfeasibleError
        There is no plan.
    """
    used = dict(share)
    best: Plan | None = None
    for _ in range(ROUNDS):
        instance = build(used)
        start = None if best is None else replace_hash(best, instance)
        result = solve(
            instance,
            solver,
            time_limit=time_limit / ROUNDS,
            workers=workers,
            seed=seed,
            warm_start=start,
        )
        if result.plan is None:
            raise InfeasibleError(
                f"no new plan ({result.status}): {result.message or 'the time limit was reached'}"
            )
        new = best = result.plan
        found = plan_shares(evaluate(instance, new))
        if all(abs(found[name] - used[name]) <= NEAR for name in found):
            break
        used = found
    return instance, new, used


def replace_hash(plan: Plan, instance: Instance) -> Plan:
    """The decisions of a plan, for another instance of the same layers and devices."""
    return Plan(
        instance=instance.hash(),
        placement=plan.placement,
        calls=plan.calls,
        order=plan.order,
        not_before=plan.not_before,
    )
