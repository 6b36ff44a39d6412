"""Losses of networks for task subsets (Standley et al. 2020, "Which tasks should be learned together in multi-task learning?").

Rows of numbers separated by tabs, a column a task: the loss of the task in the network of the row, or nothing where the network
does not serve it. The first row is of networks of half the size, one for each task; the last one serves all.
A network of full size costs 1, one of half size 0.5. Tasks are called by the letters of the paper where the
file has five columns (s, d, n, k, e), by numbers from 0 otherwise.
"""

from __future__ import annotations

import math
from pathlib import Path

from dnnplan.instances.formats.foreign import limit_cells, number, read_text, refuse
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Candidate, Sharing
from dnnplan.instances.task import Task

LETTERS = ("s", "d", "n", "k", "e")
HALF, FULL = 0.5, 1.0


def detect(path: Path, head: bytes) -> bool:
    """Whether the first line has numbers between tabs, and a later one gaps."""
    lines = head.split(b"\n")
    first = lines[0].strip(b"\r").split(b"\t")
    if len(first) < 2 or len(lines) < 3:
        return False
    try:
        numbers = [float(cell) for cell in first]
    except ValueError:
        return False
    return (
        all(map(math.isfinite, numbers)) and lines[1].count(b"\t") == len(first) - 1 and b"\t\t" in lines[1]
    )


def read(path: Path) -> Instance:
    """Read the candidates; the objective is the least sum of losses, under ``limits.budget``."""
    text, source = read_text(path)
    rows = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]
    width = len(rows[0]) if rows else 0
    if width < 2 or len(rows) < 2:
        refuse("line 1", f"{width} columns, expected a loss for each of two or more tasks", source)
    limit_cells(width * len(rows), "file", source)
    names = LETTERS if width == len(LETTERS) else tuple(str(t) for t in range(width))
    half = [_losses(rows[0], names, 1, source)]
    if len(half[0]) != width:
        refuse(
            "line 1", f"{len(half[0])} losses, expected {width}: a network of half size for each task", source
        )
    candidates = [Candidate(tasks=(task,), cost=HALF, loss={task: loss}) for task, loss in half[0].items()]
    for line, row in enumerate(rows[1:], start=2):
        losses = _losses(row, names, line, source)
        candidates.append(Candidate(tasks=tuple(losses), cost=FULL, loss=losses))
    return Instance(
        name=path.stem,
        source=source,
        objective="loss",
        tasks=tuple(Task(name=name, model="network") for name in names),
        sharing=Sharing(candidates=tuple(candidates)),
    )


def _losses(row: list[str], names: tuple[str, ...], line: int, source: str) -> dict[str, float]:
    if len(row) > len(names):
        refuse(f"line {line}", f"{len(row)} columns, expected {len(names)} as in line 1", source)
    found = {
        name: number(cell, f"line {line}, column {name}", source)
        for name, cell in zip(names, row, strict=False)
        if cell.strip()
    }
    if not found:
        refuse(f"line {line}", "no loss, expected one at least", source)
    return found
