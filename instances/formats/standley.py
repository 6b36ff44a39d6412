"""Losses of networks for subsets of tasks (Standley et al. 2020, "Which tasks should be learned together?").

Rows of numbers separated by tabs, a column a task: the loss of the task in the network of the row, or nothing where the
network does not serve it. The first row is of networks of half the size, one for each task, which cost 0.5; every other
row is of one network of full size, which costs 1. Files of five columns that are called ``results...``, as the authors
call them, have the tasks s, d, n, k and e (segmentation, depth, normals, keypoints, edges). Where the tasks are not
known, as in ``results_alt...``, they are numbers from 0.
"""

from __future__ import annotations

import math
from pathlib import Path

from dnnplan.instances.formats.foreign import limit_cells, number, read_text, refuse
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Candidate, Sharing
from dnnplan.instances.task import Task

LETTERS = ("s", "d", "n", "k", "e")
LETTERED, OTHER_TASKS = "results", "results_alt"
"""How names of files with those tasks begin, and names of files with others."""
HALF, FULL = 0.5, 1
MODEL = "network"


def detect(path: Path, head: bytes) -> bool:
    """Whether the first line has numbers between tabs, and the second one as many cells, some of them empty."""
    rows = [line.strip(b"\r").split(b"\t") for line in head.split(b"\n")[:2]]
    first, second = rows[0], rows[-1]
    if not 2 <= len(first) == len(second):
        return False
    try:
        numbers = [float(cell) for cell in first]
    except ValueError:
        return False
    return all(map(math.isfinite, numbers)) and any(not cell.strip() for cell in second)


def read(path: Path) -> Instance:
    """Read the candidates; the objective is the least sum of losses, under ``limits.budget``."""
    text, source = read_text(path)
    lines = [(at, line.split("\t")) for at, line in enumerate(text.split("\n"), start=1) if line.strip(" \r")]
    width = len(lines[0][1]) if lines else 0
    if width < 2:
        refuse("line 1", f"{width} columns, expected a loss for each of two or more tasks", source)
    limit_cells(width * len(lines), "", source)
    names = _task_names(path.stem, width)
    rows = [_losses(row, names, at, source) for at, row in lines]
    if len(rows[0]) < width:
        message = f"{len(rows[0])} losses, expected {width}: a network of half size for each task"
        refuse("line 1", message, source)
    half = [Candidate(tasks=(task,), cost=HALF, loss={task: loss}) for task, loss in rows[0].items()]
    full = [Candidate(tasks=tuple(losses), cost=FULL, loss=losses) for losses in rows[1:]]
    return Instance(
        name=path.stem,
        source=path.name,
        objective="loss",
        tasks=tuple(Task(name=name, model=MODEL) for name in names),
        sharing=Sharing(candidates=(*half, *full)),
    )


def _task_names(file: str, width: int) -> tuple[str, ...]:
    lettered = file.startswith(LETTERED) and not file.startswith(OTHER_TASKS) and width == len(LETTERS)
    return LETTERS if lettered else tuple(str(t) for t in range(width))


def _losses(row: list[str], names: tuple[str, ...], line: int, source: str) -> dict[str, float]:
    """Loss of each task that a network serves; cells at the end of a line may be left out."""
    if len(row) > len(names):
        refuse(f"line {line}", f"{len(row)} columns, expected {len(names)} as in line 1", source)
    found = {
        name: number(cell, f"line {line}, column {column}", source)
        for column, (name, cell) in enumerate(zip(names, row, strict=False), start=1)
        if cell.strip()
    }
    if not found:
        refuse(f"line {line}", "no loss, expected one at least", source)
    return found
