"""Whether the section `sharing` means something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnnplan.instances.sections import AFFINITY_ROUNDING, Block, Candidate, Matrix, Sharing
from dnnplan.instances.validation.matrices import check_square
from dnnplan.instances.validation.names import check_known
from dnnplan.instances.wording import Report, at, first_names, show


def sharing_problems(
    sharing: Sharing, tasks: Sequence[str], report: Report, *, first_format: bool = False
) -> None:
    """Check the section `sharing`.

    Parameters
    ----------
    first_format
        Whether the file is of format 1.0, in which `blocks` could be of any number: grouping refuses another one
        when it reads them.
    """
    points = len(sharing.branch_points)
    if len(set(sharing.branch_points)) != points:
        report.add("sharing.branch_points", "a branch point is listed twice")
    if sharing.affinity and len(sharing.affinity) != points:
        message = f"{len(sharing.affinity)} matrices, expected {points}: one for each branch point"
        report.add("sharing.affinity", message)
    for index, matrix in enumerate(sharing.affinity):
        here = at("sharing.affinity", index)
        if check_square(matrix, len(tasks), here, report):
            point = show(sharing.branch_points[index]) if index < points else str(index)
            _affinity_problems(matrix, tasks, point, here, report)
    if sharing.blocks and len(sharing.blocks) != points and not first_format:
        message = f"{len(sharing.blocks)} blocks, expected {points}: one behind each branch point"
        report.add("sharing.blocks", message)
    known = frozenset(tasks)
    for here, block in _blocks(sharing):
        for member in ("tasks", "costs"):
            for name in getattr(block, member):
                check_known(name, known, "task", at(at(here, member), name), report)
    if sharing.groups:
        _group_problems(sharing, tasks, report)
    for index, candidate in enumerate(sharing.candidates):
        _candidate_problems(candidate, known, at("sharing.candidates", index), report)


def _blocks(sharing: Sharing) -> Iterator[tuple[str, Block]]:
    """All blocks with their paths, from the input on."""
    if sharing.stem is not None:
        yield "sharing.stem", sharing.stem
    for index, block in enumerate(sharing.blocks):
        yield at("sharing.blocks", index), block
    if sharing.head is not None:
        yield "sharing.head", sharing.head


# -- affinity --


def _affinity_problems(matrix: Matrix, tasks: Sequence[str], point: str, path: str, report: Report) -> None:
    """Check that a matrix is symmetric, 1 on the diagonal and at most 1; of each kind the first entry is named."""
    found: dict[str, tuple[str, str]] = {}
    count: dict[str, int] = {}
    for i, row in enumerate(matrix):
        for j in range(len(row)):
            fault = _affinity_fault(matrix, i, j)
            if fault is not None:
                value, expected = fault
                pair = f"{show(tasks[i])} and {show(tasks[j])} at branch point {point}"
                found.setdefault(expected, (at(at(path, i), j), f"{value} for {pair}, {expected}"))
                count[expected] = count.get(expected, 0) + 1
    for expected, (where, message) in found.items():
        more = count[expected] - 1
        report.add(where, message + (f" (and {more} more like this)" if more else ""))


def _affinity_fault(matrix: Matrix, i: int, j: int) -> tuple[str, str] | None:
    """What an entry is, and what it should have been; None if it is right. Of two that differ the upper is named."""
    value, mirrored = matrix[i][j], matrix[j][i]
    if value is None:
        return "null", "expected a number"
    if i == j:
        return (
            None if abs(value - 1) <= AFFINITY_ROUNDING else (show(value), "expected 1 for a task and itself")
        )
    if value > 1 + AFFINITY_ROUNDING:
        return show(value), "expected at most 1"
    if i < j and mirrored is not None and abs(value - mirrored) > AFFINITY_ROUNDING:
        return f"{show(value)}, and {show(mirrored)} the other way round,", "expected a symmetric matrix"
    return None


# -- groups --


def _group_problems(sharing: Sharing, tasks: Sequence[str], report: Report) -> None:
    """Check that groups are a partition of the tasks at each branch point, each a refinement of the one before."""
    points = len(sharing.branch_points)
    if len(sharing.groups) != points:
        message = f"{len(sharing.groups)} partitions, expected {points}: one for each branch point"
        report.add("sharing.groups", message)
    before: dict[str, int] = {}
    for level, partition in enumerate(sharing.groups):
        here = at("sharing.groups", level)
        home = _partition_problems(partition, tasks, here, report)
        if level:
            _refinement_problems(partition, before, here, report)
        before = home


def _partition_problems(
    partition: Sequence[Sequence[str]], tasks: Sequence[str], path: str, report: Report
) -> dict[str, int]:
    """Check that every task is in one group; the group of each task."""
    known = frozenset(tasks)
    home: dict[str, int] = {}
    for index, group in enumerate(partition):
        here = at(path, index)
        if not group:
            report.add(here, "empty, expected at least one task")
        for place, name in enumerate(group):
            if not check_known(name, known, "task", at(here, place), report):
                continue
            if name in home:
                report.add(at(here, place), f"{show(name)} is already in group {home[name]}")
            home.setdefault(name, index)
    missing = [name for name in tasks if name not in home]
    if missing:
        report.add(path, f"without {first_names(missing, len(missing))}, expected every task in a group")
    return home


def _refinement_problems(
    partition: Sequence[Sequence[str]], before: dict[str, int], path: str, report: Report
) -> None:
    """Check that no group joins tasks that parted at the branch point before."""
    for index, group in enumerate(partition):
        placed = [name for name in group if name in before]
        for name in placed[1:]:
            if before[name] != before[placed[0]]:
                report.add(
                    at(path, index),
                    f"joins {show(name)} with {show(placed[0])}, from which it parted at the branch point before; "
                    "expected a refinement",
                )
                break


# -- candidates --


def _candidate_problems(candidate: Candidate, known: frozenset[str], path: str, report: Report) -> None:
    """Check that a network serves tasks, each once, and has figures of these only."""
    if not candidate.tasks:
        report.add(at(path, "tasks"), "empty, expected at least one task")
    for place, name in enumerate(candidate.tasks):
        check_known(name, known, "task", at(at(path, "tasks"), place), report)
    if len(set(candidate.tasks)) != len(candidate.tasks):
        report.add(at(path, "tasks"), "a task is listed twice")
    for member in ("loss", "affinity"):
        for name in getattr(candidate, member):
            if name not in candidate.tasks:
                report.add(at(at(path, member), name), f"{show(name)} is not a task of this candidate")
