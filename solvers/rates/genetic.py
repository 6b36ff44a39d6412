"""Genetic search over partition, mapping and priority of several networks at several rates, after Puzzle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dnnplan.costs.periodic import PeriodicProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.rates.search import RateSearch

POPULATION, ELITE, MUTATION = 60, 12, 0.05
PATIENCE = 150
"""Generations without a shorter cycle after which the search ends."""


@dataclass(eq=False)
class Genome:
    """Three chromosomes: cut (edges of all networks), device (layers of all networks), priority (tasks)."""

    cut: NDArray[np.bool_]
    device: IntArray
    priority: FloatArray
    cycle: float = float("inf")


@dataclass(eq=False)
class _Networks:
    """The layers of one job of each task in a row, and the edges between them.

    Parameters
    ----------
    gene_of
        (n,) gene of each layer: the same for all jobs of a task.
    """

    problem: PeriodicProblem
    gene_of: IntArray
    allowed: list[tuple[int, ...]]
    task_of: IntArray
    edges: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, problem: PeriodicProblem) -> _Networks:
        view = problem.mapping
        tasks = {task: t for t, task in enumerate(problem.tasks)}
        first: dict[str, int] = {}
        gene_of = np.zeros(view.n, dtype=np.int64)
        allowed: list[tuple[int, ...]] = []
        task_of: list[int] = []
        for job, layers in enumerate(problem.layers_of_job):
            task = view.jobs[job].task
            if task not in first:
                first[task] = len(allowed)
                allowed += [view.allowed[i] for i in layers]
                task_of += [tasks[task]] * len(layers)
            gene_of[list(layers)] = first[task] + np.arange(len(layers))
        edges = sorted({(int(gene_of[i]), int(gene_of[j])) for _, i, j in view.edges.tolist()})
        return cls(problem, gene_of, allowed, np.array(task_of, dtype=np.int64), edges)


def genetic(search: RateSearch) -> None:
    """Evolve until the limits, or until nothing better has come for long.

    Kang, Lee, Kim (Puzzle, 2025, arXiv 2508.17764): a chromosome of bits says which edges are cut, one of devices
    where the layers run, of which each subgraph takes the device that most of its layers name, one of priorities
    which network goes first. Theirs are judged on the phone; here each is decoded to a list schedule on a circle. All
    operators are ours: uniform crossover of each network, mutation of genes, and of a subgraph as a whole.
    """
    problem = search.periodic
    assert problem is not None
    networks, rng = _Networks.of(problem), np.random.default_rng(search.settings.seed)
    population: list[Genome] = []
    waiting = 0
    while not search.finished() and waiting < PATIENCE:
        before = search.value
        born = POPULATION if not population else POPULATION - len(population)
        for _ in range(born):
            if search.finished():
                return
            child = breed(networks, population, rng) if len(population) > 1 else random_genome(networks, rng)
            judge(search, networks, child)
            population.append(child)
        population.sort(key=lambda genome: genome.cycle)
        population = population[:ELITE]
        waiting = 0 if search.value != before else waiting + 1


def random_genome(networks: _Networks, rng: Generator) -> Genome:
    """Few cuts, any device for each network as a whole with some layers elsewhere, any priorities."""
    home = rng.integers(networks.problem.mapping.m, size=int(networks.task_of.max(initial=0)) + 1)
    device = np.array(
        [
            home[t] if home[t] in allowed and rng.random() < 0.8 else allowed[rng.integers(len(allowed))]
            for t, allowed in zip(networks.task_of.tolist(), networks.allowed, strict=True)
        ],
        dtype=np.int64,
    )
    return Genome(rng.random(len(networks.edges)) < rng.random(), device, rng.random(len(home)))


def breed(networks: _Networks, parents: Sequence[Genome], rng: Generator) -> Genome:
    """A child: each network from one of two parents or mixed, then mutation."""
    first, second = (parents[i] for i in rng.choice(min(ELITE, len(parents)), size=2, replace=False))
    pick = rng.random(len(first.priority)) < 0.5
    mixed = rng.random(len(first.priority)) < 0.3
    from_first = np.where(
        mixed[networks.task_of], rng.random(len(first.device)) < 0.5, pick[networks.task_of]
    )
    heads = np.array([i for i, _ in networks.edges], dtype=np.int64)
    child = Genome(
        np.where(from_first[heads], first.cut, second.cut),
        np.where(from_first, first.device, second.device),
        np.where(pick, first.priority, second.priority),
    )
    flipped = rng.random(len(child.cut)) < MUTATION
    child.cut[flipped] = ~child.cut[flipped]
    for g in np.flatnonzero(rng.random(len(child.device)) < MUTATION).tolist():
        child.device[g] = networks.allowed[g][rng.integers(len(networks.allowed[g]))]
    if rng.random() < 0.3:
        _move_subgraph(networks, child, rng)
    drawn = rng.random(len(child.priority)) < 2 * MUTATION
    child.priority[drawn] = rng.random(int(drawn.sum()))
    return child


def _move_subgraph(networks: _Networks, child: Genome, rng: Generator) -> None:
    """All layers of one subgraph to one device."""
    root = subgraphs(networks, child.cut)
    members = np.flatnonzero(root == root[rng.integers(len(root))])
    device = int(rng.integers(networks.problem.mapping.m))
    for g in members.tolist():
        if device in networks.allowed[g]:
            child.device[g] = device


def subgraphs(networks: _Networks, cut: NDArray[np.bool_]) -> IntArray:
    """(genes,) a name for the subgraph of each layer: layers joined by edges that are not cut."""
    root = list(range(len(networks.allowed)))

    def find(g: int) -> int:
        while root[g] != g:
            root[g] = root[root[g]]
            g = root[g]
        return g

    for (i, j), parted in zip(networks.edges, cut.tolist(), strict=True):
        if not parted:
            root[find(j)] = find(i)
    return np.array([find(g) for g in range(len(root))], dtype=np.int64)


def placement(networks: _Networks, genome: Genome) -> IntArray:
    """(n,) device of every layer: what most layers of its subgraph name; its own gene where that cannot run it."""
    root, m = subgraphs(networks, genome.cut), networks.problem.mapping.m
    votes = np.zeros((len(root), m), dtype=np.int64)
    np.add.at(votes, (root, genome.device), 1)
    winner = votes.argmax(axis=1)[root]
    device = [
        int(w) if w in allowed else int(own)
        for w, own, allowed in zip(winner, genome.device, networks.allowed, strict=True)
    ]
    placed: IntArray = np.array(device, dtype=np.int64)[networks.gene_of]
    return placed


def judge(search: RateSearch, networks: _Networks, genome: Genome) -> None:
    """Decode a genome: the shortest cycle, up to three times the best, at which its list schedule is in time."""
    problem, decoder = search.periodic, search.decoder
    assert problem is not None
    place = placement(networks, genome)
    order = decoder.by_priority(genome.priority[networks.task_of[networks.gene_of]])
    view = problem.mapping
    load = np.zeros(view.m)
    np.add.at(load, place, view.duration[np.arange(view.n), place])
    low = max(search.bound or 0.0, float(load.max(initial=0.0)))
    if search.value is not None:
        highs = [3.0 * max(search.value, low)]
    else:
        highs = [factor * low for factor in (2.0, 8.0, 64.0)]
    count = decoder.count
    for high in highs:
        plan = decoder.shortest(order, place, low, high)
        if plan is not None:
            genome.cycle = plan.cycle
            search.offer(plan)
            break
    for _ in range(decoder.count - count):
        search.decoded()
