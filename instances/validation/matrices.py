"""Sizes of matrices that have a row, and perhaps a column, for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dnnplan.instances.wording import Report, at


def check_square(matrix: Sequence[Sequence[Any]], size: int, path: str, report: Report) -> bool:
    """Check that a matrix has a row and a column for each task, and say whether it does."""
    fits = len(matrix) == size
    if not fits:
        report.add(path, f"{len(matrix)} rows, expected {size}: one for each task")
    for index, row in enumerate(matrix):
        if len(row) != size:
            fits = False
            report.add(at(path, index), f"{len(row)} entries, expected {size}: one for each task")
    return fits


def check_rows(matrix: Sequence[Sequence[Any]], rows: int, path: str, report: Report) -> bool:
    """Check that a matrix, if it is given, has a row for each task and rows of equal length; say whether it does."""
    if not matrix:
        return True
    fits = len(matrix) == rows
    if not fits:
        report.add(path, f"{len(matrix)} rows, expected {rows}: one for each task")
    width = len(matrix[0])
    for index, row in enumerate(matrix):
        if len(row) != width:
            fits = False
            report.add(at(path, index), f"{len(row)} entries, expected {width} as in the first row")
    return fits
