"""Seeded instances of grouping: affinities of tasks from a random tree of families, and blocks of a small CNN.

The model is ours. It is made to resemble the affinity tensors that the authors of Antler (Luo et al. 2023) published
with their experiments, in what matters to grouping:

- the mean affinity falls with depth, from about 0.9 to about 0.1, and deep affinities can be negative;
- affinities of different pairs spread little at the first branch point (standard deviation 0.03) and more behind it
  (0.1 to 0.25);
- some tasks are close to all others and some far from all, which explains a quarter of the spread;
- clusters are there and not clean (cophenetic correlation about 0.8), and neighbouring branch points resemble each
  other, deep ones more (correlation from 0.5 to 0.95).

An affinity is the cosine of two vectors, as theirs is a rank correlation of two lists of distances. Random numbers
are made of raw words, sums are exact, and affinities are rounded, so that a seed gives the same instance on every
machine.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.errors import InputError
from dnnplan.instances.generators.draws import Draws
from dnnplan.instances.instance import Instance
from dnnplan.instances.sections import Block, Ordering, Sharing
from dnnplan.instances.task import Task

Floats = NDArray[np.float64]

DIMENSIONS = 40
"""Length of the vectors; fewer spread the affinities of unrelated tasks wider."""
MOST_TASKS, MOST_LEVELS = 500, 100
DIGITS = 6
"""Digits of the affinities."""
SECONDS_PER_BYTE = 0.6 / 64_000
"""Loading weights, as in the code of the authors of Antler: 600 ms for 64 kB."""
FIRST_WIDTH = 8
"""Channels of the stem; they double along the network, 8-fold in all."""
IMAGE = 28
"""Side of the input image, in pixels; it is halved three times along the network."""
SECONDS_PER_MAC = 3e-6
"""A multiplication with its addition on a microcontroller of 16 MHz (ours: the order of the published layer times)."""
CLASSES = 2
"""Outputs of a head."""
_NAME = re.compile(r"sharing/(\d{1,3})x(\d{1,3})-s(\d{1,9})")


def task_sharing(tasks: int, levels: int, seed: int = 0) -> Instance:
    """Tasks that could share the blocks behind some branch points; the objective is least variety.

    Parameters
    ----------
    tasks
        Number of tasks, n.
    levels
        Number of branch points, L.
    seed
        Same seed, same instance, bit for bit.

    Raises
    ------
    InputError
        A number is out of range.

    Examples
    --------
    >>> instance = task_sharing(5, 3, seed=1)
    >>> instance.name, len(instance.sharing.affinity), len(instance.sharing.affinity[0])
    ('sharing/5x3-s1', 3, 5)
    """
    for name, value, most in (("tasks", tasks, MOST_TASKS), ("levels", levels, MOST_LEVELS)):
        if not 1 <= value <= most:
            raise InputError(f"{name}: {value}, expected 1 to {most}")
    affinity = affinities(tasks, levels, Draws(seed))
    stem, *blocks, head = small_cnn(levels)
    return Instance(
        name=f"sharing/{tasks}x{levels}-s{seed}",
        source="generated",
        objective="variety",
        tasks=tuple(Task(name=f"task{t}", model="network") for t in range(tasks)),
        sharing=Sharing(
            branch_points=tuple(f"point {level}" for level in range(levels)),
            affinity=tuple(tuple(tuple(row) for row in matrix) for matrix in affinity.tolist()),
            stem=stem,
            blocks=tuple(blocks),
            head=head,
            unit="s",
        ),
        ordering=Ordering(closed=True),
    )


def sharing_by_name(name: str) -> Instance | None:
    """The instance of a name such as ``sharing/20x6-s1``: tasks, branch points and seed; None if it is no such name.

    Examples
    --------
    >>> sharing_by_name("sharing/4x2-s3") == task_sharing(4, 2, seed=3), sharing_by_name("layered/50x4")
    (True, None)
    """
    found = _NAME.fullmatch(name)
    return None if found is None else task_sharing(*(int(part) for part in found.groups()))


def affinities(tasks: int, levels: int, draws: Draws) -> Floats:
    """(L, n, n) symmetric affinities with diagonal 1.

    The vector of task t at depth x (0 to 1) is

        sqrt(c_t) general + sqrt((1 - c_t) / 2) family_t + sqrt((1 - c_t) / 2) own_t,

    with c_t = 0.05 + 0.9 (1 - x)^1.5 times a factor of the task, near 1 at the first branch point, the same `general`
    for all, and what families and tasks have for themselves changing from one branch point to the next, less and
    less.
    """
    family_of = _families(tasks, draws)
    count = 1 + max((number for path in family_of for number in path), default=0)
    general = _normal(draws, 1, DIMENSIONS)
    families, own = _normal(draws, count, DIMENSIONS), _normal(draws, tasks, DIMENSIONS)
    taste = draws.uniform(0.55, 1.0, tasks)
    found = np.empty((levels, tasks, tasks))
    for level in range(levels):
        depth = level / max(levels - 1, 1)
        if level:
            kept = 0.4 + 0.5 * depth
            general = _drift(general, kept, draws)
            families, own = _drift(families, kept, draws), _drift(own, kept, draws)
            taste = kept * taste + (1 - kept) * draws.uniform(0.55, 1.0, tasks)
        # A square root instead of a power: it is rounded alike everywhere.
        common = (0.05 + 0.9 * (1 - depth) * math.sqrt(1 - depth)) * (
            1 - (1 - taste) * min(1.0, 0.2 + 2 * depth)
        )
        kin = np.stack([_mean(families, path) for path in family_of])
        rest = (1 - common) / 2
        vectors = np.sqrt(common)[:, None] * general + np.sqrt(rest)[:, None] * (kin + own)
        found[level] = _cosines(vectors)
    return found


def _families(tasks: int, draws: Draws) -> list[tuple[int, ...]]:
    """The families of each task, the largest first: all tasks are halved, unevenly, until three or fewer are left."""
    paths: list[list[int]] = [[] for _ in range(tasks)]
    waiting, number = [list(range(tasks))], 0
    while waiting:
        members = waiting.pop(0)
        if len(members) <= 3:
            continue
        cut = draws.integer(len(members) // 4, len(members) // 2) or 1
        chosen = draws.sample(members, cut)
        for part in (chosen, [t for t in members if t not in chosen]):
            for t in part:
                paths[t].append(number)
            number += 1
            waiting.append(part)
    return [tuple(path) for path in paths]


def _mean(vectors: Floats, path: tuple[int, ...]) -> Floats:
    """Sum of the vectors of nested families, scaled to the length of one."""
    total = np.zeros(DIMENSIONS)
    for number in path:
        total = total + vectors[number]
    return total / math.sqrt(max(len(path), 1))


def _normal(draws: Draws, rows: int, columns: int) -> Floats:
    """Numbers of mean 0 and variance 1: twelve uniform ones, summed in a fixed order."""
    parts = draws.unit(12, rows, columns)
    total = np.zeros((rows, columns))
    for part in parts:
        total = total + part
    return total - 6.0


def _drift(vectors: Floats, kept: float, draws: Draws) -> Floats:
    """One step of an autoregressive process of variance 1."""
    return kept * vectors + math.sqrt(1 - kept * kept) * _normal(draws, *vectors.shape)


def _cosines(vectors: Floats) -> Floats:
    """(n, n) rounded cosines of rows; sums are exact, hence the same on every machine."""
    n = len(vectors)
    length = [math.sqrt(math.fsum((row * row).tolist())) for row in vectors]
    found = np.eye(n)
    for i in range(n):
        for j in range(i):
            cosine = math.fsum((vectors[i] * vectors[j]).tolist()) / (length[i] * length[j])
            found[i, j] = found[j, i] = min(1.0, round(cosine, DIGITS))
    return found


def small_cnn(levels: int) -> list[Block]:
    """Stem, a block behind each branch point, and head of a CNN of 3x3 convolutions with weights of 16 bits.

    Channels grow in steps along the network to eight times those of the stem, and the image shrinks, so that bytes
    and seconds of loading grow with depth and seconds of computing fall, as in the published networks. The head is a
    dense layer.
    """
    blocks = [_convolution(1, FIRST_WIDTH, IMAGE)]
    width = FIRST_WIDTH
    for level in range(levels):
        step = 3 * (level + 1) // levels
        wider = round(FIRST_WIDTH * (1 + 7 * (level + 1) / levels))
        blocks.append(_convolution(width, wider, max(1, IMAGE >> step)))
        width = wider
    blocks.append(_block(width * CLASSES, width * CLASSES))
    return blocks


def _convolution(channels: int, filters: int, side: int) -> Block:
    weights = 9 * channels * filters
    return _block(weights, weights * side * side)


def _block(weights: int, multiplications: int) -> Block:
    size = 2 * weights
    return Block(bytes=size, compute=multiplications * SECONDS_PER_MAC, load=size * SECONDS_PER_BYTE)
