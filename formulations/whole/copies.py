"""Copies of layers that a whole plan may have, and which settings one model of everything covers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.expand import by_figures
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES
from dnnplan.costs.whole import WholeProblem
from dnnplan.formulations.whole.task_graphs import classes_of
from dnnplan.instances import UnsupportedError

COVERED = (*MEASURES, "latency", "energy", "traffic")
"""Measures that the model has."""
LIMITS = (*COVERED, "deadline")


@dataclass(frozen=True, eq=False)
class Copies:
    """Layers of the network in which nothing is shared: each is a copy that may be there or not.

    Parameters
    ----------
    view
        That network, in seconds or ticks.
    cells
        Copies by block, task and place; all tasks have the same copies of a stem.
    stem, levels
        Number of blocks before the first branch point, and of branch points.
    """

    view: MappingProblem
    cells: tuple[tuple[tuple[int, ...], ...], ...]
    stem: int
    levels: int

    @cached_property
    def home(self) -> list[tuple[int, int, int]]:
        """(block, task, place) of each copy; stems belong to the first task."""
        found: list[tuple[int, int, int]] = [(0, 0, 0)] * self.view.n
        for b, row in enumerate(self.cells):
            for t in reversed(range(len(row))):
                for place, i in enumerate(row[t]):
                    found[i] = (b, t, place)
        return found

    def level(self, copy: int) -> int | None:
        """The branch point that decides on a copy; None where it is always there."""
        level = self.home[copy][0] - self.stem
        return level if 0 <= level < self.levels else None

    def leaders(self, copy: int) -> list[int]:
        """Copies that may stand for one: its own, and those of tasks before its own."""
        if self.level(copy) is None:
            return [copy]
        b, t, place = self.home[copy]
        return [self.cells[b][s][place] for s in range(t + 1)]

    def least(self, figure: FloatArray) -> FloatArray:
        """Of each copy, the least of those that may stand for it."""
        return np.stack([figure[self.leaders(i)].min(axis=0) for i in range(self.view.n)])

    def number(self, tensor: int) -> int:
        """Place of a tensor among those of its source; of inputs, among all inputs."""
        source = int(self.view.source[tensor])
        if source >= 0:
            return self.view.outputs[source].index(tensor)
        return int((self.view.source[:tensor] < 0).sum())

    def of_layers(self, problem: WholeProblem, groups: Groups) -> list[int]:
        """The copy that each layer of a task graph's network is."""
        copy_of = [0] * problem.mapping(groups).n
        for row, own in zip(problem.layers(groups), self.cells, strict=True):
            for t in reversed(range(problem.n)):
                for layer, copy in zip(row[t], own[t], strict=True):
                    # The first task of a group comes last here: its copies are the ones that run.
                    copy_of[layer] = copy
        return copy_of


def copies_of(problem: WholeProblem, view: MappingProblem | None = None) -> Copies:
    """The copies of a problem; `view` in ticks, if it is not to be in seconds."""
    grouping = problem.grouping
    assert grouping is not None
    return Copies(
        view if view is not None else problem.mapping(problem.apart),
        problem.layers(problem.apart),
        int(grouping.costs.stem),
        problem.levels,
    )


def supports(problem: WholeProblem) -> str | None:
    """Why one model of everything does not cover a problem; None if it does."""
    if not problem.levels:
        return "nothing can be shared; solve the mapping"
    view = problem.mapping(problem.apart)
    execution = view.execution
    loads = view.host and execution.weights != "resident" and bool(view.weight_bytes.any())
    names = {
        name for terms in (*problem.stages, *(row for row, _ in problem.sums_at_most)) for name, _ in terms
    }
    reasons = {
        "tensors go through the host": execution.staging == "host",
        "devices wait while tensors move": not execution.overlap,
        "memory is watched at every moment": execution.memory == "live",
        "weights are loaded over links that serve one transfer at a time": loads
        and execution.contention == "links",
        "the host is a device": view.host_device >= 0,
        "tasks wait for each other": bool(problem.instance.precedences),
        "an objective of mappings that it has no terms for": not names <= set(COVERED),
        "a limit that it has no row for": not set(problem.limits) <= set(LIMITS),
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    if by_figures(problem.instance) and len(set(classes_of(problem))) > 1:
        return "blocks are stated by figures that differ from task to task"
    return None if are_alike(problem) else "tasks whose blocks have layers or tensors of their own"


def are_alike(problem: WholeProblem) -> bool:
    """Whether corresponding blocks of all tasks have as many layers, with the same tensors between them."""
    copies = copies_of(problem)
    view = copies.view
    for row in copies.cells:
        if len({len(cell) for cell in row}) > 1:
            return False
    signatures = set()
    for t in range(problem.n):
        where = {i: (b, p) for b, row in enumerate(copies.cells) for p, i in enumerate(row[t])}
        rows = []
        for i, place in where.items():
            made = tuple(
                (
                    float(view.size[k]),
                    bool(view.output[k]),
                    tuple(sorted(where[j] for j in view.readers[k] if j in where)),
                )
                for k in view.outputs[i]
            )
            rows.append((place, made, tuple(k for k in view.inputs[i] if view.source[k] < 0)))
        signatures.add(tuple(sorted(rows)))
    try:
        problem.mapping(((tuple(range(problem.n)),),) * problem.levels)
    except UnsupportedError:
        return False
    return len(signatures) == 1
