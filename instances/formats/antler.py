"""Task sets of the experiments of Antler (Luo et al. 2023): blocks, a task graph, and the totals that were published.

A JSON object with `instances`; each of them is one data set on one platform, in time (s) or energy (mJ). Select one by
``DATASET-METRIC``, or ``DATASET-METRIC-PLATFORM`` where the file has several platforms. Three branch points make four
blocks: all tasks share the first, the groups of the two partitions in `levels` share the next two, and each task has
its own last one. Costs become SI units. The published totals are those of a closed order in which every period has the
same input; ``input="fresh"`` asks for what a device does that sees a new input each period.

What was published, in SI units, and the kilobytes of the task graph are kept in ``extensions["antler"]``. Published
totals are for ten tasks: those of a set of six are scaled by 10/6, the `published_factor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from dnnplan.instances.errors import InputError
from dnnplan.instances.fields import NonNegative, PositiveCount
from dnnplan.instances.formats.foreign import Foreign, read_json, refuse
from dnnplan.instances.formats.parts import choose
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Block, Ordering, Sharing
from dnnplan.instances.task import Task
from dnnplan.instances.wording import show

Input = Literal["same", "fresh"]

SCALES = {"s": ("s", 1.0), "ms": ("s", 1e-3), "J": ("J", 1.0), "mJ": ("J", 1e-3)}
"""Unit of a file: its SI unit, and the factor to it."""
KILOBYTE = 1000
PUBLISHED_TASKS = 10
"""Published totals are for so many tasks, also those of a set that has fewer."""
MOST_TASKS = 1000
"""Costs of an order are worked out for every two tasks; the published sets have 10."""


class _Set(Foreign, frozen=True, kw_only=True):
    """One data set on one platform; figures of blocks are for one copy."""

    platform: str
    metric: str
    unit: str
    dataset: str
    n_tasks: PositiveCount
    block_inference: list[NonNegative]
    block_reload: list[NonNegative]
    block_kb: list[NonNegative]
    branch_after_layer: list[int]
    levels: list[list[list[int]]]
    published: dict[str, NonNegative] = {}
    memory_kb: NonNegative | None = None


class _File(Foreign, frozen=True, kw_only=True):
    instances: list[_Set]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of task sets, by its members."""
    return (
        b'"format_version"' not in head
        and b'"instances"' in head
        and (b'"layer_inference"' in head or b'"block_inference"' in head)
    )


def read(path: Path, select: str | None = None, input: Input = "same") -> Instance:
    """Read one task set: blocks, the published task graph, a closed order.

    Parameters
    ----------
    select
        ``DATASET-METRIC`` or ``DATASET-METRIC-PLATFORM``; needed where the file has several.
    input
        Whether every period has the ``same`` input, as in the published totals, or a ``fresh`` one.
    """
    if input not in get_args(Input):
        raise InputError(f"option input={input}: expected {' or '.join(get_args(Input))}")
    file, source = read_json(path, _File)
    names: dict[str, list[int]] = {}
    for number, one in enumerate(file.instances):
        short = f"{one.dataset}-{one.metric}"
        for name in (short, f"{short}-{one.platform.lower()}"):
            names.setdefault(name, []).append(number)
    chosen = choose(names, select, source, "task set")
    one, where = file.instances[chosen], f"instances[{chosen}]"
    _check(one, where, source)
    return _instance(one, path.name, input)


def _check(one: _Set, where: str, source: str) -> None:
    """Refuse sets whose parts do not fit each other."""
    if one.n_tasks > MOST_TASKS:
        refuse(f"{where}.n_tasks", f"{one.n_tasks}, expected at most {MOST_TASKS}", source)
    if one.unit not in SCALES:
        refuse(f"{where}.unit", f"{show(one.unit)}, expected one of {', '.join(SCALES)}", source)
    blocks = len(one.levels) + 2
    for member in ("block_inference", "block_reload", "block_kb"):
        count = len(getattr(one, member))
        if count != blocks:
            refuse(f"{where}.{member}", f"{count} blocks, expected {blocks}: two more than levels", source)
    if len(one.branch_after_layer) != blocks - 1:
        count = len(one.branch_after_layer)
        message = f"{count} branch points, expected {blocks - 1}: one after each block but the last"
        refuse(f"{where}.branch_after_layer", message, source)
    for level, partition in enumerate(one.levels):
        seen: set[int] = set()
        for task in (task for group in partition for task in group):
            if not 0 <= task < one.n_tasks or task in seen:
                wrong = "is there twice" if task in seen else f"expected 0 to {one.n_tasks - 1}"
                refuse(f"{where}.levels[{level}]", f"task {show(task)}: {wrong}", source)
            seen.add(task)
        if len(seen) < one.n_tasks:
            message = f"{len(seen)} tasks, expected each of {one.n_tasks} in a group"
            refuse(f"{where}.levels[{level}]", message, source)


def _instance(one: _Set, file: str, input: Input) -> Instance:
    unit, scale = SCALES[one.unit]
    stem, *middle, head = (
        Block(bytes=KILOBYTE * kb, compute=scale * run, load=scale * reload)
        for kb, run, reload in zip(one.block_kb, one.block_inference, one.block_reload, strict=True)
    )
    # All tasks part at the last branch point: what follows it are the heads.
    points = one.branch_after_layer[:-1]
    return Instance(
        name=f"{one.dataset}-{one.metric}-{one.platform.lower()}",
        source=file,
        objective="switching",
        tasks=tuple(Task(name=str(t), model=one.dataset) for t in range(one.n_tasks)),
        ordering=Ordering(closed=True, input=input),
        sharing=Sharing(
            branch_points=tuple(f"layer {layer}" for layer in points),
            stem=stem,
            blocks=tuple(middle),
            head=head,
            groups=tuple(tuple(tuple(str(t) for t in group) for group in level) for level in one.levels),
            unit=unit,
        ),
        extensions={"antler": _extension(one, scale)},
    )


def _extension(one: _Set, scale: float) -> dict[str, Any]:
    """What benchmarks compare with; systems without a figure are published as 0."""
    return {
        "dataset": one.dataset,
        "metric": one.metric,
        "platform": one.platform,
        "memory_kb": one.memory_kb,
        "published": {system: scale * total for system, total in one.published.items() if total > 0},
        "published_factor": PUBLISHED_TASKS / one.n_tasks,
    }
