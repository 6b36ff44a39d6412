"""Affinities between tasks that choose their groups (Fifty et al. 2021, "Efficiently identifying task groupings").

A JSON object of matrices {task: {partner: figure}}; the row is the task that is measured. Select a matrix by its name.
What a task gets in a group is the mean of its figures over the partners. Names with ``tag_`` are affinities, to be
large; a task alone has -1e6 there. Names with ``hoa_`` are measured pairs: losses, or accuracies, of which the error
100 - accuracy is to be small; a task alone has the figure of its own. Groups may overlap, and every task takes its best
one; the value is the mean over tasks.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

from dnnplan.instances.files import read_bytes
from dnnplan.instances.formats.foreign import refuse
from dnnplan.instances.formats.parts import choose, converted
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.sections import Candidate, Sharing
from dnnplan.instances.task import Task
from dnnplan.instances.wording import show

MODEL = "network"
MOST_TASKS = 12
"""Every subset is a candidate: 4,095 of them."""
AFFINITY, MEASURED, ACCURACY = "tag_", "hoa_", "accuracy"
ALONE = -1e6
"""Affinity of a task alone: it always prefers company."""
PERFECT = 100
"""Accuracies are in percent."""
_DETECT = re.compile(rb'"(?:tag|hoa)_[^"\\]{1,200}"\s*:\s*\{\s*"[^"]{1,256}"\s*:\s*\{')

Matrix = dict[str, dict[str, float]]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is an object with such a matrix, by its name."""
    return b'"format_version"' not in head and _DETECT.search(head) is not None


def read(path: Path, select: str | None = None) -> Instance:
    """Read one matrix: a candidate for each subset of the tasks, under ``limits.groups``.

    Parameters
    ----------
    select
        Name of the matrix; needed where there are several.
    """
    data, _, source = read_bytes(path)
    tree: Any = parse_json(data, source)
    if not isinstance(tree, dict):
        refuse("", f"{show(tree)}, expected matrices by name", source)
    names = {key: [key] for key in tree if key.startswith((AFFINITY, MEASURED))}
    name = choose(names, select, source, "matrix")
    matrix = converted(tree[name], Matrix, name, source)
    _require_square(name, matrix, source)
    higher = name.startswith(AFFINITY)
    tasks = tuple(matrix)
    groups = (group for size in range(1, len(tasks) + 1) for group in combinations(tasks, size))
    return Instance(
        name=name,
        source=path.name,
        objective="affinity" if higher else "loss",
        tasks=tuple(Task(name=task, model=MODEL, weight=1 / len(tasks)) for task in tasks),
        sharing=Sharing(candidates=tuple(_candidate(name, matrix, group) for group in groups)),
    )


def _require_square(name: str, matrix: Matrix, source: str) -> None:
    if not 1 <= len(matrix) <= MOST_TASKS:
        refuse(name, f"{len(matrix)} tasks, expected 1 to {MOST_TASKS}: every subset is a candidate", source)
    for task, row in matrix.items():
        for other in {**matrix, **row}:
            if other not in row:
                refuse(f"{name}.{task}", f"no figure with {show(other)}, expected one with each task", source)
            if other not in matrix:
                refuse(f"{name}.{task}", f"a figure with {show(other)}, which has no row of its own", source)


def _candidate(name: str, matrix: Matrix, group: tuple[str, ...]) -> Candidate:
    if name.startswith(AFFINITY):
        return Candidate(
            tasks=group, cost=1, affinity={task: _mean(matrix, task, group, ALONE) for task in group}
        )
    figures = {task: _mean(matrix, task, group, matrix[task][task]) for task in group}
    if name.endswith(ACCURACY):
        figures = {task: PERFECT - accuracy for task, accuracy in figures.items()}
    return Candidate(tasks=group, cost=1, loss=figures)


def _mean(matrix: Matrix, task: str, group: tuple[str, ...], alone: float) -> float:
    """Mean figure of a task over its partners in a group."""
    partners = [matrix[task][other] for other in group if other != task]
    return sum(partners) / len(partners) if partners else alone
