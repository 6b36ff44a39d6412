"""What is loaded along an order where memory keeps more than one path (docs/cost-model.md, 10)."""

from __future__ import annotations

from dnnplan.costs.check.tasks.task_graph import Tree
from dnnplan.instances import Instance, Ordering


def loads_along(instance: Instance, order: list[str], tree: Tree | None) -> float:
    """Cost of all loads of a period; in a closed order their mean once memory repeats."""
    ordering = instance.ordering or Ordering()
    needs, size, cost, room = _figures(instance, ordering, tree)
    held: list[int] = []
    if not ordering.closed:
        if ordering.start == "warm":
            held = _warm(order, needs, size, room)
        return _period(order, needs, size, cost, room, held, around=False)
    seen: list[set[int]] = []
    paid: list[float] = []
    while set(held) not in seen:
        seen.append(set(held))
        paid.append(_period(order, needs, size, cost, room, held, around=True))
    again = seen.index(set(held))
    return sum(paid[again:]) / len(paid[again:])


Needs = dict[str, list[int]]
Numbers = dict[int, float]


def _figures(
    instance: Instance, ordering: Ordering, tree: Tree | None
) -> tuple[Needs, Numbers, Numbers, dict[str, float]]:
    """What each task needs, in the order of numbers; size and cost of each thing; room for others beside a task."""
    names = [task.name for task in instance.effective_tasks()]
    if tree is None:
        rows = dict(zip(names, ordering.resources, strict=True))
        needs: Needs = {name: [k for k, one in enumerate(row) if one] for name, row in rows.items()}
        things = range(max((len(row) for row in rows.values()), default=0))
        ones: Numbers = dict.fromkeys(things, 1.0)
        slots = float(ordering.slots or 0)
        return needs, ones, ones, {name: slots - len(needs[name]) for name in names}
    nodes = list(tree.nodes())
    number = {node: k for k, node in enumerate(nodes)}
    needs = {name: [number[node] for node in tree.path(name)] for name in names}
    size: Numbers = {k: tree.most(node, "bytes") for k, node in enumerate(nodes)}
    cost: Numbers = {k: tree.most(node, "load") for k, node in enumerate(nodes)}
    return needs, size, cost, dict.fromkeys(names, float(ordering.cache_bytes or 0))


def _warm(order: list[str], needs: Needs, size: Numbers, room: dict[str, float]) -> list[int]:
    """What is there at a warm start: things in the order of first need, until one does not fit."""
    space = room[order[0]] + sum(size[thing] for thing in needs[order[0]])
    held: list[int] = []
    for task in order:
        for thing in needs[task]:
            if thing in held:
                continue
            if size[thing] > space:
                return held
            held.append(thing)
            space -= size[thing]
    return held


def _period(
    order: list[str],
    needs: Needs,
    size: Numbers,
    cost: Numbers,
    room: dict[str, float],
    held: list[int],
    *,
    around: bool,
) -> float:
    """Run one period; `held` is what memory has, before and then after it."""
    total = 0.0
    for position, task in enumerate(order):
        for thing in needs[task]:
            if thing not in held:
                total += cost[thing]
                held.append(thing)
        coming = order[position + 1 :] + (order[: position + 1] if around else [])
        while sum(size[thing] for thing in held if thing not in needs[task]) > room[task]:
            others = sorted(thing for thing in held if thing not in needs[task])
            held.remove(max(others, key=lambda thing: _wait(thing, coming, needs)))
    return total


def _wait(thing: int, coming: list[str], needs: Needs) -> int:
    """How many tasks run before a thing is needed again; more than all where it never is."""
    return next((k for k, task in enumerate(coming) if thing in needs[task]), len(coming) + 1)
