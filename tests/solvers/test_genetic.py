"""The operators of the genetic search, and what it may be relied on for."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs import mapping_problem
from dnnplan.instances.generators import layered
from dnnplan.solvers import Search, Settings, solve
from dnnplan.solvers.local.genetic import (
    Decoder,
    Genetic,
    Genome,
    Parameters,
    cross_device,
    cross_one_genome,
    cross_range,
    mutate,
    random_genome,
)

PROBLEM = mapping_problem(layered(layers=20, devices=3, seed=1))


def parents():
    rng = np.random.default_rng(0)
    return random_genome(PROBLEM, rng), random_genome(PROBLEM, rng)


def test_crossover_gen_changes_one_genome_only():
    one, other = parents()
    kinds = set()
    for seed in range(20):
        child = one.copy()
        cross_one_genome(child, other, np.random.default_rng(seed))
        changed = ((child.device != one.device).any(), (child.priority != one.priority).any())
        assert sum(changed) <= 1
        kinds.add(changed)
    assert len(kinds) >= 2


def test_crossover_range_keeps_device_and_priority_together():
    one, other = parents()
    for seed in range(20):
        child = one.copy()
        cross_range(child, other, np.random.default_rng(seed))
        taken = np.flatnonzero(child.priority != one.priority)
        assert (child.device[taken] == other.device[taken]).all()
        assert len(taken) == 0 or len(taken) == taken[-1] - taken[0] + 1


def test_crossover_device_gives_a_device_what_the_other_parent_runs_there():
    one, other = parents()
    child = one.copy()
    cross_device(child, other, PROBLEM, np.random.default_rng(2))
    taken = child.priority == other.priority
    device = set(other.device[taken].tolist())
    assert len(device) == 1
    wanted = other.device == device.pop()
    assert (taken == wanted).all()
    assert (child.device[wanted] == other.device[wanted]).all()


def test_mutation_draws_allowed_devices():
    one, _ = parents()
    child = one.copy()
    mutate(child, PROBLEM, 1.0, np.random.default_rng(0))
    assert (child.device != one.device).any()
    assert all(d in PROBLEM.allowed[i] for i, d in enumerate(child.device.tolist()))


def test_layers_are_listed_by_priority_after_their_producers():
    search = Search(PROBLEM, Settings())
    genome = Genome(np.zeros(PROBLEM.n, dtype=np.int64), np.arange(PROBLEM.n) / PROBLEM.n)
    order = Decoder(PROBLEM, search).order(genome.priority).tolist()
    position = {i: q for q, i in enumerate(order)}
    assert sorted(order) == list(range(PROBLEM.n))
    assert all(position[i] < position[j] for _, i, j in PROBLEM.edges.tolist())
    ready = [i for i in range(PROBLEM.n) if not any(j == i for _, _, j in PROBLEM.edges.tolist())]
    assert order[0] == max(ready)


def test_same_seed_and_work_give_the_same_plan():
    instance = layered(layers=20, devices=3, seed=1)
    plans = [
        solve(instance, "genetic", time_limit=None, work_limit=0.05, seed=s, workers=1).plan
        for s in (1, 1, 2)
    ]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


@pytest.mark.parametrize("objective", ["latency", "energy", "max_load"])
def test_generations_improve_on_random_genomes(objective):
    instance = layered(layers=20, devices=3, seed=1)
    first = solve(instance, "genetic", objective=objective, time_limit=None, work_limit=0.01, workers=1)
    later = solve(instance, "genetic", objective=objective, time_limit=None, work_limit=0.15, workers=1)
    assert later.objective.value < first.objective.value


def test_the_number_of_samples_is_limited():
    search = Search(PROBLEM, Settings(time_limit=None))
    Genetic(Parameters(population=20, samples_per_layer=5)).run(PROBLEM, search)
    assert 100 <= search.work * 10_000 <= 120
    assert search.stop_reason == "exhausted"
