"""Whether an order keeps all precedences, and what it costs (docs/cost-model.md, 10)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.tasks.memory import loads_along
from dnnplan.costs.check.tasks.task_graph import Tree
from dnnplan.instances import Instance, Ordering, Plan
from dnnplan.instances.sections import Condition

Step = Callable[[str, str], float]


def check_order(instance: Instance, plan: Plan, names: list[str], found: Findings) -> bool:
    """Judge the sequence of tasks; False where it is not one."""
    whole = True
    for name in names:
        if (count := plan.task_order.count(name)) != 1:
            found.report("task_order", name, f"task {name} is listed {count} times, expected once")
            whole = False
    for name in plan.task_order:
        if name not in names:
            found.report("unknown", "task_order", f'"{name}" is not a task')
            whole = False
    if not whole:
        return False
    place = {name: number for number, name in enumerate(plan.task_order)}
    for precedence in instance.precedences:
        if place[precedence.before] > place[precedence.after]:
            message = f"task {precedence.after} runs before {precedence.before}, which has to come first"
            found.report("precedence", precedence.after, message)
    return True


def order_cost(instance: Instance, order: list[str], tree: Tree | None, found: Findings) -> float:
    """Expected cost of a period."""
    ordering = instance.ordering or Ordering()
    if tree is not None and instance.sharing is not None and instance.sharing.stem is not None:
        tree.with_stem()
    keeps = bool(ordering.resources) or (tree is not None and ordering.cache_bytes is not None)
    first, step, close = _steps(instance, tree, loading=not keeps)
    if not ordering.conditions:
        for a, b in itertools.pairwise(order):
            if math.isinf(step(a, b)):
                found.report("step", b, f"task {b} may not run right after {a}")
    if keeps:
        return _path(order, first, step, close, closed=ordering.closed) + loads_along(instance, order, tree)
    outcomes = _outcomes(ordering.conditions, order)
    total = 0.0
    some = sum(p for ran, p in outcomes if ran)
    for ran, p in outcomes:
        if not ran or p == 0:
            continue
        total += p * sum(step(a, b) for a, b in itertools.pairwise(ran))
        if not ordering.closed:
            total += p * first(ran[0])
            continue
        for other, q in outcomes:
            if other and q > 0:
                total += p * q / some * close(other[-1], ran[0])
    return total


def _path(order: list[str], first: Callable[[str], float], step: Step, close: Step, *, closed: bool) -> float:
    total = close(order[-1], order[0]) if closed else first(order[0])
    return total + sum(step(a, b) for a, b in itertools.pairwise(order))


def _steps(
    instance: Instance, tree: Tree | None, *, loading: bool
) -> tuple[Callable[[str], float], Step, Step]:
    """first, switch and close of section 10; without loads where memory keeps more than a path."""
    ordering = instance.ordering or Ordering()
    if tree is None:
        index = {task.name: number for number, task in enumerate(instance.effective_tasks())}

        def given(a: str, b: str) -> float:
            if a == b or not ordering.switch:
                return 0.0
            cost = ordering.switch[index[a]][index[b]]
            return math.inf if cost is None else float(cost)

        return (lambda _: 0.0), given, given

    def paid(node: tuple[int, frozenset[str]]) -> float:
        return tree.most(node, "compute") + (tree.most(node, "load") if loading else 0.0)

    def below(a: str, b: str) -> list[tuple[int, frozenset[str]]]:
        path, other = tree.path(b), tree.path(a)
        shared = 0
        while shared < len(path) and path[shared] == other[shared]:
            shared += 1
        return path[shared:]

    def step(a: str, b: str) -> float:
        return sum(paid(node) for node in below(a, b))

    def close(a: str, b: str) -> float:
        if ordering.input == "same":
            return step(a, b)
        loads = sum(tree.most(node, "load") for node in below(a, b)) if loading else 0.0
        return loads + sum(tree.most(node, "compute") for node in tree.path(b))

    def first(b: str) -> float:
        if ordering.start == "cold":
            return sum(paid(node) for node in tree.path(b))
        return 0.0 if ordering.input == "same" else sum(tree.most(node, "compute") for node in tree.path(b))

    return first, step, close


def _outcomes(conditions: tuple[Condition, ...], order: list[str]) -> list[tuple[list[str], float]]:
    """(tasks that run, in order; probability): outcome after outcome is decided good or bad."""
    coins: list[tuple[object, float]] = []
    for number, condition in enumerate(conditions):
        key = ("gate", condition.given) if condition.model == "gated" else number
        if all(known != key for known, _ in coins):
            coins.append((key, float(condition.probability)))
    found: list[tuple[list[str], float]] = []

    def branch(position: int, good: set[object], p: float) -> None:
        if p == 0.0:
            return
        if position < len(coins):
            key, chance = coins[position]
            branch(position + 1, good | {key}, p * chance)
            branch(position + 1, good, p * (1.0 - chance))
            return
        found.append(([task for task in order if runs(task, good)], p))

    def runs(task: str, good: set[object]) -> bool:
        for number, condition in enumerate(conditions):
            if condition.task != task:
                continue
            key = ("gate", condition.given) if condition.model == "gated" else number
            if key not in good or (condition.given is not None and not runs(condition.given, good)):
                return False
        return True

    branch(0, set(), 1.0)
    return found
