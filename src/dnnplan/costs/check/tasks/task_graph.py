"""Whether groups form a task graph, and what it measures (docs/cost-model.md, 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from dnnplan.costs.check.rules import Findings
from dnnplan.costs.check.tasks.blocks import Figures
from dnnplan.instances import Instance, Ordering

Level = list[frozenset[str]]


class Tree:
    """Blocks and the groups that share them, by name; the path of a task is a list of (block, group)."""

    def __init__(
        self, names: Sequence[str], levels: Sequence[Level], blocks: list[dict[str, Figures]]
    ) -> None:
        self.names, self.levels, self.blocks = list(names), list(levels), blocks
        extra = len(blocks) - len(levels)
        everyone, apart = [frozenset(names)], [frozenset([name]) for name in names]
        # A stem comes before the levels, a head behind them; `home` has one partition for each block.
        self.home: list[Level] = list(levels)
        if extra == 2:
            self.home = [everyone, *levels, apart]
        elif extra == 1:
            self.home = [*levels, apart]

    def with_stem(self) -> Tree:
        """The same with the one extra block in front instead of behind."""
        if len(self.blocks) - len(self.levels) == 1:
            self.home = [[frozenset(self.names)], *self.levels]
        return self

    def path(self, task: str) -> list[tuple[int, frozenset[str]]]:
        """The node of each block that a task runs through."""
        return [(b, next(group for group in level if task in group)) for b, level in enumerate(self.home)]

    def nodes(self) -> Iterable[tuple[int, frozenset[str]]]:
        """All nodes."""
        for b, level in enumerate(self.home):
            for group in level:
                yield b, group

    def most(self, node: tuple[int, frozenset[str]], figure: str) -> float:
        """A figure of a node: the largest among its tasks."""
        return max(float(getattr(self.blocks[node[0]][task], figure)) for task in node[1])


def read_groups(
    instance: Instance, groups: Sequence[Sequence[Sequence[str]]], names: Sequence[str], found: Findings
) -> list[Level] | None:
    """The partition at each branch point; None, with what is wrong, where they are none."""
    sharing = instance.sharing
    points = (
        0 if sharing is None else max(len(sharing.branch_points), len(sharing.affinity), len(sharing.groups))
    )
    if sharing is None or len(groups) != points:
        found.report("groups", "groups", f"{len(groups)} levels, the instance has {points} branch points")
        return None
    whole = True
    for number, level in enumerate(groups):
        listed = [task for group in level for task in group]
        for task in names:
            if listed.count(task) != 1:
                found.report(
                    "groups",
                    f"groups[{number}]",
                    f"task {task} is in {listed.count(task)} groups, expected one",
                )
                whole = False
        for task in listed:
            if task not in names:
                found.report("unknown", f"groups[{number}]", f'"{task}" is not a task')
                whole = False
    if not whole:
        return None
    levels = [[frozenset(group) for group in level if group] for level in groups]
    for number in range(1, len(levels)):
        for group in levels[number]:
            if not any(group <= above for above in levels[number - 1]):
                text = ", ".join(sorted(group))
                found.report(
                    "refinement", f"groups[{number}]", f"group {text} joins tasks that have parted before"
                )
                whole = False
    return levels if whole else None


def graph_measures(instance: Instance, tree: Tree) -> dict[str, float]:
    """Size, both varieties and execution cost."""
    sharing = instance.sharing
    assert sharing is not None
    if sharing.stem is not None:
        tree.with_stem()
    variety = task_variety = 0.0
    index = {name: number for number, name in enumerate(tree.names)}
    for number, level in enumerate(tree.levels):
        matrix = sharing.affinity[number] if sharing.affinity else None
        worst = []
        for group in level:
            pairs = list(combinations(sorted(group, key=index.__getitem__), 2))
            apart = (
                [max(0.0, 1.0 - float(matrix[index[a]][index[b]] or 0.0)) for a, b in pairs]
                if matrix is not None
                else []
            )
            worst.append(max(apart) if apart else 0.0)
        variety += sum(worst) / len(worst)
        task_variety += sum(w * len(group) for w, group in zip(worst, level, strict=True)) / len(tree.names)
    return {
        "size": sum(tree.most(node, "bytes") for node in tree.nodes()),
        "variety": variety,
        "task_variety": task_variety,
        "execution_cost": _execution(tree, instance.ordering or Ordering()),
    }


def _execution(tree: Tree, ordering: Ordering) -> float:
    """The table of visits in section 9."""
    n, total = len(tree.names), 0.0
    for node in tree.nodes():
        g = len(node[1])
        ring = g * (n - g) / (n - 1) if n > 1 else 0.0
        line = g * (n - g) / n
        start = g / n
        if ordering.closed:
            loads, computes = ring, ring if ordering.input == "same" else line + start
        elif ordering.start == "cold":
            loads = computes = line + start
        else:
            loads, computes = line, line if ordering.input == "same" else line + start
        total += loads * tree.most(node, "load") + computes * tree.most(node, "compute")
    return total
