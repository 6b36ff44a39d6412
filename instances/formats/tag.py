"""Affinities between tasks that choose their groups (Fifty et al. 2021, "Efficiently identifying task groupings").

A JSON object of matrices {task: {partner: figure}}; the row is the task that is measured. Select a matrix by its name. What a task gets in a
group is the mean of its figures over the partners. Names with ``tag`` are affinities, to be large; a task alone has -1e6
there. Names with ``hoa`` are measured pairs: losses, or accuracies of which the error 100 - accuracy is to be small; a task alone has the
figure of its own. Groups may overlap, and every task takes its best one; the value is the mean over tasks.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.files import read_bytes
from dnnplan.instances.formats.foreign import refuse
from dnnplan.instances.formats.parts import choose
from dnnplan.instances.instance import Instance
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.sections import Candidate, Sharing
from dnnplan.instances.task import Task

MOST_TASKS = 12
"""Every subset is a candidate: 4,095 of them."""
ALONE = -1e6
PERFECT = 100.0

Matrix = dict[str, dict[str, float]]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of such matrices, by the names in it."""
    return head.lstrip()[:1] == b"{" and (b'"tag_' in head or b'"hoa_' in head)


def read(path: Path, select: str | None = None) -> Instance:
    """Read one matrix: a candidate for each subset of the tasks, under ``limits.groups``."""
    data, _, source = read_bytes(path)
    tree: Any = parse_json(data, source)
    if not isinstance(tree, dict):
        refuse("", "not an object, expected matrices by name", source)
    matrices = {
        key: value for key, value in tree.items() if key.startswith(("tag_", "hoa_")) and _is_matrix(value)
    }
    name = choose({key: [key] for key in matrices}, select, source, "matrix")
    try:
        matrix = msgspec.convert(matrices[name], Matrix)
    except msgspec.ValidationError as error:
        refuse(name, str(error), source)
    _require_square(name, matrix, source)
    higher = name.startswith("tag_")
    tasks = tuple(matrix)
    candidates = []
    for size in range(1, len(tasks) + 1):
        for group in combinations(tasks, size):
            figures = {task: _figure(name, matrix, task, group) for task in group}
            candidates.append(Candidate(tasks=group, cost=1, **{"affinity" if higher else "loss": figures}))
    return Instance(
        name=name,
        source=source,
        objective="affinity" if higher else "loss",
        tasks=tuple(Task(name=task, model="network", weight=1 / len(tasks)) for task in tasks),
        sharing=Sharing(candidates=tuple(candidates)),
    )


def _is_matrix(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(row, dict) for row in value.values())


def _require_square(name: str, matrix: Matrix, source: str) -> None:
    if not 1 <= len(matrix) <= MOST_TASKS:
        refuse(name, f"{len(matrix)} tasks, expected 1 to {MOST_TASKS}: every subset is a candidate", source)
    for task, row in matrix.items():
        if missing := [other for other in matrix if other not in row]:
            refuse(f"{name}.{task}", f'no figure with "{missing[0]}", expected one with each task', source)


def _figure(name: str, matrix: Matrix, task: str, group: tuple[str, ...]) -> float:
    partners = [matrix[task][other] for other in group if other != task]
    if not partners:
        figure = ALONE if name.startswith("tag_") else matrix[task][task]
    else:
        figure = sum(partners) / len(partners)
    return PERFECT - figure if name.endswith("accuracy") else figure
