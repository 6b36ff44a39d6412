"""A black-box genetic search over the device and the priority of every layer, with operators after MAGMA."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dnnplan.costs import Evaluation, MappingProblem, decisions_of, evaluate
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.instances import PlanError
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import decode_list
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search

DECODES_PER_WORK = 10_000
CONVERGED_ROUNDS = 5
"""Generations in a row whose members all cost the same, after which nothing is left to select."""

Fitness = tuple[bool, float]
"""(whether the plan breaks a limit, value of the objective): the smaller is the fitter."""
NO_PLAN: Fitness = (True, float("inf"))


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How the population lives; the rates are those of the authors' public settings.

    Parameters
    ----------
    population, samples_per_layer
        Genomes at a time, and genomes that are decoded in all for each layer: the paper has 10,000 for 100 jobs.
    elite
        Share of the population that lives on and has children.
    mutation
        Share of the genes of a child that are drawn anew.
    crossover, crossover_range, crossover_device
        How often a child is made by each of the three crossovers.
    """

    population: int = 100
    samples_per_layer: int = 100
    elite: float = 0.1
    mutation: float = 0.05
    crossover: float = 0.9
    crossover_range: float = 0.1
    crossover_device: float = 0.1


@dataclass(eq=False)
class Genome:
    """(n,) device and (n,) priority in [0, 1) of each layer; layers of high priority are listed first."""

    device: IntArray
    priority: FloatArray
    fitness: Fitness = NO_PLAN

    def copy(self) -> Genome:
        """A genome of its own, not judged yet."""
        return Genome(self.device.copy(), self.priority.copy())


class Genetic:
    """Two genomes an individual, devices and priorities, bred and decoded by a list scheduler.

    Kao and Krishna, MAGMA (HPCA 2022), section V. Their jobs are independent, each device runs its own by priority;
    here layers depend on each other, so the decoder lists them by priority as their producers allow. Nothing of the
    problem guides the search but the value of the decoded plans: O(samples x decoding).
    """

    summary = (
        "black-box genetic search over device and priority of each layer (after MAGMA, Kao and Krishna 2022)"
    )
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Random genomes, then generations until the limits, the last sample, or no difference is left."""
        parameters, rng = self.parameters, np.random.default_rng(search.settings.seed)
        decoder = Decoder(problem, search)
        population: list[Genome] = []
        for _ in range(parameters.population):
            genome = random_genome(problem, rng)
            if not decoder.judge(genome):
                return
            population.append(genome)
        same, samples = 0, parameters.samples_per_layer * problem.n
        while decoder.samples < samples and same < CONVERGED_ROUNDS:
            population.sort(key=lambda genome: genome.fitness)
            parents = population[: max(2, round(parameters.elite * parameters.population))]
            children = []
            for _ in range(parameters.population - len(parents)):
                child = breed(problem, parents, parameters, rng)
                if not decoder.judge(child):
                    return
                children.append(child)
            population = parents + children
            same = same + 1 if len({genome.fitness for genome in population}) == 1 else 0


def random_genome(problem: MappingProblem, rng: Generator) -> Genome:
    """Each layer on any device that can run it, with any priority."""
    device = np.array([allowed[rng.integers(len(allowed))] for allowed in problem.allowed], dtype=np.int64)
    return Genome(device, rng.random(problem.n))


def breed(
    problem: MappingProblem, parents: Sequence[Genome], parameters: Parameters, rng: Generator
) -> Genome:
    """A child of two parents: crossovers, each by its own chance, then mutation."""
    first, second = (parents[int(i)] for i in rng.choice(len(parents), size=2, replace=False))
    child: Genome = first.copy()
    if rng.random() < parameters.crossover:
        cross_one_genome(child, second, rng)
    if rng.random() < parameters.crossover_range:
        cross_range(child, second, rng)
    if rng.random() < parameters.crossover_device:
        cross_device(child, second, problem, rng)
    mutate(child, problem, parameters.mutation, rng)
    return child


def cross_one_genome(child: Genome, other: Genome, rng: Generator) -> None:
    """Crossover-gen: one of the two genomes, from a random gene on, comes from the other parent."""
    pivot = int(rng.integers(len(child.device)))
    if rng.random() < 0.5:
        child.device[pivot:] = other.device[pivot:]
    else:
        child.priority[pivot:] = other.priority[pivot:]


def cross_range(child: Genome, other: Genome, rng: Generator) -> None:
    """Crossover-rg: devices and priorities of one range of layers come from the other parent together."""
    low, high = sorted(int(i) for i in rng.integers(len(child.device) + 1, size=2))
    child.device[low:high] = other.device[low:high]
    child.priority[low:high] = other.priority[low:high]


def cross_device(child: Genome, other: Genome, problem: MappingProblem, rng: Generator) -> None:
    """Crossover-accel: one device takes over what the other parent runs there, in the order it has there.

    Layers that the child had on that device, and the other parent elsewhere, are spread at random, so that the
    device is not overfull.
    """
    device = int(rng.integers(problem.m))
    wanted = other.device == device
    displaced = np.flatnonzero((child.device == device) & ~wanted)
    child.device[wanted] = device
    child.priority[wanted] = other.priority[wanted]
    for i in displaced.tolist():
        child.device[i] = problem.allowed[i][rng.integers(len(problem.allowed[i]))]


def mutate(child: Genome, problem: MappingProblem, rate: float, rng: Generator) -> None:
    """Each gene of both genomes is drawn anew with a small chance."""
    for i in np.flatnonzero(rng.random(problem.n) < rate).tolist():
        child.device[i] = problem.allowed[i][rng.integers(len(problem.allowed[i]))]
    drawn = rng.random(problem.n) < rate
    child.priority[drawn] = rng.random(int(drawn.sum()))


class Decoder:
    """From genomes to plans, which the search judges; counts the samples."""

    def __init__(self, problem: MappingProblem, search: Search) -> None:
        self.problem, self.search, self.samples = problem, search, 0
        successors: list[set[int]] = [set() for _ in range(problem.n)]
        for _, i, j in problem.edges.tolist():
            successors[i].add(j)
        by_job: list[list[int]] = [[] for _ in problem.jobs]
        for i, job in enumerate(problem.job_of.tolist()):
            by_job[job].append(i)
        for before, after in problem.precedences:
            for i in by_job[before]:
                successors[i].update(by_job[after])
        self.successors = [sorted(row) for row in successors]
        self.waiting = [0] * problem.n
        for row in self.successors:
            for j in row:
                self.waiting[j] += 1

    def judge(self, genome: Genome) -> bool:
        """Decode a genome, report its plan, and write down its fitness; False if the search is over."""
        if self.search.finished():
            return False
        self.samples += 1
        self.search.work += 1 / DECODES_PER_WORK
        evaluation = self._evaluate(genome)
        if evaluation is not None:
            self.search.accept(evaluation)
            value = objective_value(self.problem.stages[0], evaluation.cost)
            genome.fitness = (not is_feasible(evaluation), value)
        return True

    def order(self, priority: FloatArray) -> IntArray:
        """Layers by priority, each after its producers. O(n log n + edges)."""
        waiting, keys = list(self.waiting), (-priority).tolist()
        ready = [(keys[i], i) for i in range(self.problem.n) if waiting[i] == 0]
        heapq.heapify(ready)
        order = []
        while ready:
            _, i = heapq.heappop(ready)
            order.append(i)
            for j in self.successors[i]:
                waiting[j] -= 1
                if waiting[j] == 0:
                    heapq.heappush(ready, (keys[j], j))
        return np.array(order, dtype=np.int64)

    def _evaluate(self, genome: Genome) -> Evaluation | None:
        problem = self.problem
        place = genome.device
        if problem.colocate:
            place = colocated(problem, place.copy())
        order = self.order(genome.priority)
        decisions = decode_list(problem, problem.arrays, order, forced=place)
        if decisions is None:
            # Pinned weights leave no room there, or a route is missing: judged as it is.
            rows = [[i for i in order.tolist() if place[i] == d] for d in range(problem.m)]
            decisions = decisions_of(problem, place.tolist(), rows)
        try:
            return evaluate(problem, decisions)
        except PlanError:
            return None
