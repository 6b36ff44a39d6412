"""Task sets of the experiments of Antler (Luo et al. 2023): blocks, a task graph, and the totals that were published.

A JSON object with `instances`; each of them is one data set on one platform, in time (s) or energy (mJ). Select one by
``DATASET-METRIC``, or ``DATASET-METRIC-PLATFORM``. Block 0 is shared by all tasks and the last one by none; the two
levels of the file are the groups that share the blocks between. Costs are read in SI units. The published totals are of a
closed order in which every period has the same input; `input` says ``fresh`` for what a real device does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from dnnplan.instances.errors import InputError
from dnnplan.instances.fields import NonNegative, PositiveCount
from dnnplan.instances.formats.foreign import Foreign, read_json, refuse
from dnnplan.instances.formats.parts import choose
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Block, Ordering, Sharing
from dnnplan.instances.task import Task

SCALES = {"s": ("s", 1.0), "ms": ("s", 1e-3), "mJ": ("J", 1e-3), "J": ("J", 1.0)}
"""Unit of a file: its SI unit, and the factor to it."""
KILOBYTE = 1000.0


class _Set(Foreign, frozen=True, kw_only=True):
    platform: str
    metric: str
    unit: str
    dataset: str
    n_tasks: PositiveCount
    block_inference: list[NonNegative]
    block_reload: list[NonNegative]
    block_kb: list[NonNegative]
    branch_after_layer: list[int] = []
    levels: list[list[list[int]]]
    published: dict[str, float] = {}


class _File(Foreign, frozen=True, kw_only=True):
    instances: list[_Set]


def detect(path: Path, head: bytes) -> bool:
    """Whether this is a file of task sets, by its members."""
    return b'"layer_inference"' in head or b'"block_inference"' in head


def read(path: Path, select: str | None = None, input: Literal["same", "fresh"] = "same") -> Instance:
    """Read one task set: blocks, the published task graph, a closed order.

    Parameters
    ----------
    select
        ``DATASET-METRIC`` or ``DATASET-METRIC-PLATFORM``; needed where the file has several.
    input
        Whether every period has the ``same`` input, as in the published totals, or a ``fresh`` one.
    """
    file, source = read_json(path, _File)
    if input not in ("same", "fresh"):
        raise InputError(f"option input={input}: expected same or fresh")
    names: dict[str, list[int]] = {}
    for number, one in enumerate(file.instances):
        short = f"{one.dataset}-{one.metric}"
        for name in (short, f"{short}-{one.platform}"):
            names.setdefault(name, []).append(number)
    chosen = choose(names, select, source, "task set")
    return _instance(file.instances[chosen], f"instances[{chosen}]", source, input)


def _instance(one: _Set, where: str, source: str, input: Literal["same", "fresh"]) -> Instance:
    blocks = len(one.block_inference)
    if not len(one.block_reload) == len(one.block_kb) == blocks == len(one.levels) + 2:
        sizes = f"{blocks} inference, {len(one.block_reload)} reload, {len(one.block_kb)} kb"
        refuse(
            where, f"blocks: {sizes}, expected {len(one.levels) + 2} of each: two more than levels", source
        )
    if one.unit not in SCALES:
        refuse(f"{where}.unit", f'"{one.unit}", expected one of {", ".join(SCALES)}', source)
    unit, scale = SCALES[one.unit]
    for level, partition in enumerate(one.levels):
        if sorted(t for group in partition for t in group) != list(range(one.n_tasks)):
            refuse(f"{where}.levels[{level}]", f"not a partition of {one.n_tasks} tasks", source)
    stem, *middle, head = (
        Block(bytes=kb * KILOBYTE, compute=scale * run, load=scale * reload)
        for kb, run, reload in zip(one.block_kb, one.block_inference, one.block_reload, strict=True)
    )
    layers = [*one.branch_after_layer, *range(len(one.branch_after_layer), len(one.levels))]
    return Instance(
        name=f"{one.dataset}-{one.metric}-{one.platform}",
        source=source,
        objective="switching",
        tasks=tuple(Task(name=str(t), model=one.dataset) for t in range(one.n_tasks)),
        ordering=Ordering(closed=True, input=input),
        sharing=Sharing(
            branch_points=tuple(f"layer {layer}" for layer in layers[: len(one.levels)]),
            stem=stem,
            blocks=tuple(middle),
            head=head,
            groups=tuple(tuple(tuple(str(t) for t in group) for group in level) for level in one.levels),
            unit=unit,
        ),
        extensions={"antler": {"published": {k: scale * v for k, v in one.published.items()}, **_rest(one)}},
    )


def _rest(one: _Set) -> dict[str, str]:
    return {
        key: str(value)
        for key, value in msgspec.to_builtins(one).items()
        if key in ("platform", "metric", "dataset")
    }
