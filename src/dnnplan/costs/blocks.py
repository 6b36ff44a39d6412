"""Networks in blocks of successive layers: fewer decisions, for planning many jobs of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.resolve import mapping_problem
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance, Layer, Model, Tensor, UnsupportedError
from dnnplan.instances.sections import Costs

BALANCE = 1.0
"""Weight of even blocks against few bytes between them."""
MAX_CELLS = 20_000_000


def in_blocks(instance: Instance, most: int) -> Instance:
    """The instance with each network cut into at most `most` blocks, costs as tables.

    A block is a stretch of the layers in topological order whose layers can all run on the same devices; where
    there are more such stretches than `most`, there is a block for each. Cuts are where few bytes cross and blocks
    take about the same time. A block takes the sum of the times of its layers, as a call does; its `op` is that of the
    layer with most work.

    Raises
    ------
    UnsupportedError
        A task has a batch: tables are for one batch.
    """
    if any(task.batch > 1 for task in instance.tasks):
        raise UnsupportedError("tasks with a batch: blocks take their times from tables for one batch")
    if most < 1:
        raise UnsupportedError(f"blocks: {most} of a network, expected at least 1")
    problem = mapping_problem(replace(instance, tasks=(), precedences=(), objective="latency"))
    models, latency, energy = [], {}, {}
    for job, model in enumerate(instance.models):
        layers = [i for i in problem.topological if problem.job_of[i] == job]
        coarse = _Blocks.of(problem, model, layers, most)
        models.append(coarse.model())
        latency[model.name], energy[model.name] = coarse.tables()
    return replace(instance, models=tuple(models), costs=Costs(latency=latency, energy=energy, transfer={}))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Blocks:
    """The blocks of one model: stretches of its layers, as indices of the problem."""

    problem: MappingProblem
    source: Model
    blocks: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, problem: MappingProblem, model: Model, layers: list[int], most: int) -> _Blocks:
        cuts = _cuts(problem, layers, most)
        blocks = tuple(tuple(layers[a:b]) for a, b in pairwise(cuts))
        return cls(problem=problem, source=model, blocks=blocks)

    def model(self) -> Model:
        by_name = {layer.name: layer for layer in self.source.layers}
        position = {self._name(i): b for b, block in enumerate(self.blocks) for i in block}
        layers = []
        for b, block in enumerate(self.blocks):
            members = [by_name[self._name(i)] for i in block]
            layers.append(
                Layer(
                    name=block_name(b),
                    op=max(members, key=lambda layer: layer.flops).op,
                    flops=sum(layer.flops for layer in members),
                    weight_bytes=sum(layer.weight_bytes for layer in members),
                    workspace_bytes=max(layer.workspace_bytes for layer in members),
                    attributes={"first": members[0].name, "last": members[-1].name, "layers": len(members)},
                )
            )
        tensors = []
        for tensor in self.source.tensors:
            home = None if tensor.source is None else position[tensor.source]
            readers = sorted({position[t] for t in tensor.targets} - {home})
            if readers or tensor.output:
                tensors.append(
                    Tensor(
                        name=tensor.name,
                        source=None if home is None else block_name(home),
                        targets=tuple(block_name(b) for b in readers),
                        bytes=tensor.bytes,
                        output=tensor.output,
                    )
                )
        return Model(
            name=self.source.name,
            dtype=self.source.dtype,
            source=self.source.source,
            layers=tuple(layers),
            tensors=tuple(tensors),
        )

    def tables(self) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
        problem = self.problem
        seconds: dict[str, dict[str, float]] = {}
        joules: dict[str, dict[str, float]] = {}
        for b, block in enumerate(self.blocks):
            total, spent = problem.duration[list(block)].sum(axis=0), problem.energy[list(block)].sum(axis=0)
            able = np.flatnonzero(np.isfinite(total)).tolist()
            seconds[block_name(b)] = {problem.devices[d]: float(total[d]) for d in able}
            joules[block_name(b)] = {problem.devices[d]: float(spent[d]) for d in able}
        return seconds, joules

    def _name(self, i: int) -> str:
        return self.problem.layers[i].split("/", 2)[2]


def block_name(number: int) -> str:
    """Name of a block of a network, counted from 1."""
    return f"block-{number + 1}"


def _cuts(problem: MappingProblem, layers: list[int], most: int) -> list[int]:
    """Where blocks begin, and the end: the least sum of squared shares of time and of crossing bytes. O(n^2 blocks)."""
    n = len(layers)
    same = [problem.allowed[a] == problem.allowed[b] for a, b in pairwise(layers)]
    stretches = 1 + same.count(False)
    count = min(n, max(most, stretches))
    if n * n * count > MAX_CELLS:
        raise UnsupportedError(f"{n} layers in {count} blocks: too many to choose cuts; ask for fewer blocks")
    work = np.concatenate([[0.0], np.cumsum(problem.duration[layers].min(axis=1))])
    share = work / max(float(work[-1]), 1e-300)
    crossing = _crossing(problem, layers)
    price = crossing / max(float(crossing.max(initial=0.0)), 1e-300) / max(count, 1)
    start = [0] * (n + 1)
    for end in range(1, n + 1):
        start[end] = start[end - 1] if end >= 2 and same[end - 2] else end - 1
    best = np.full((count + 1, n + 1), np.inf)
    chosen = np.zeros((count + 1, n + 1), dtype=np.int64)
    best[0, 0] = 0.0
    for b in range(1, count + 1):
        for end in range(1, n + 1):
            low = start[end]
            costs = best[b - 1, low:end] + BALANCE * count * (share[end] - share[low:end]) ** 2
            p = int(costs.argmin())
            best[b, end] = costs[p] + price[end]
            chosen[b, end] = low + p
    cuts = [n]
    for b in range(int(best[:, n].argmin()), 0, -1):
        cuts.append(int(chosen[b, cuts[-1]]))
    return cuts[::-1]


def _crossing(problem: MappingProblem, layers: list[int]) -> FloatArray:
    """(n + 1,) bytes of the tensors made before and read after each position."""
    position = {i: p for p, i in enumerate(layers)}
    steps = np.zeros(len(layers) + 2)
    for k, i in enumerate(problem.source.tolist()):
        last = max((position[j] for j in problem.readers[k] if j in position), default=-1)
        if i in position and last > position[i]:
            steps[position[i] + 1] += problem.size[k]
            steps[last + 1] -= problem.size[k]
    crossing: FloatArray = np.cumsum(steps)[: len(layers) + 1]
    return crossing
