"""Planning again with measured costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

from dnnplan.costs import Evaluation, evaluate, mapping_problem
from dnnplan.costs.explain import covered
from dnnplan.instances import Instance, Plan, PlanError
from dnnplan.instances.errors import InfeasibleError
from dnnplan.solvers import solve

ROUNDS = 3
MOST_ASSIGNMENTS = 256
"""Ways to place whole networks that are tried."""
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
        start = whole_networks(instance) if best is None else replace_hash(best, instance)
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


def whole_networks(instance: Instance) -> Plan | None:
    """The best plan in which no network is cut: a start that is hard to beat where networks are about equal.

    All assignments of jobs to devices are tried, or, if there are more than `MOST_ASSIGNMENTS`, none. None: nothing
    fits.
    """
    problem = mapping_problem(instance)
    jobs, devices = range(len(problem.jobs)), range(problem.m)
    layers = [[i for i in range(problem.n) if int(problem.job_of[i]) == job] for job in jobs]
    if len(devices) ** len(jobs) > MOST_ASSIGNMENTS:
        return None
    found: list[tuple[float, Plan]] = []
    for chosen in itertools.product(devices, repeat=len(jobs)):
        placement: dict[str, str] = {}
        order: dict[str, list[str]] = {device: [] for device in problem.devices}
        for job in jobs:
            name, keys = problem.devices[chosen[job]], [problem.layers[i] for i in layers[job]]
            placement.update(dict.fromkeys(keys, name))
            order[name] += keys
        plan = Plan(
            instance=instance.hash(),
            placement=placement,
            order={name: tuple(own) for name, own in order.items()},
        )
        try:
            latency = evaluate(problem, plan).cost.latency
        except PlanError:  # a layer that the device cannot run, or layers in another order than they run in
            continue
        if math.isfinite(latency):
            found.append((latency, plan))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def replace_hash(plan: Plan, instance: Instance) -> Plan:
    """The decisions of a plan, for another instance of the same layers and devices."""
    return Plan(
        instance=instance.hash(),
        placement=plan.placement,
        calls=plan.calls,
        order=plan.order,
        not_before=plan.not_before,
    )
