"""The steps of H2H against the figures that the public code prints, and against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.h2h_printed import JOULES, PRINTED, PRINTED_VFS, SECONDS, vfs_as_printed
from dnnplan.costs import evaluate, mapping_problem
from dnnplan.instances import Execution
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered, random_small
from dnnplan.instances.h2h import h2h_instance
from dnnplan.solvers import Search, Settings, solve
from dnnplan.solvers.h2h.complete import H2HSettings, settle, step_compute
from dnnplan.solvers.h2h.frontier import busy_seconds, map_frontiers
from dnnplan.solvers.h2h.knapsack import fill, pin_by_knapsack
from dnnplan.solvers.h2h.solvers import H2H


def costs_of_steps(problem, settings):
    place, rows = step_compute(problem)
    return [evaluate(problem, settle(problem, place, rows, step, settings)).cost for step in (1, 2, 3)]


@pytest.mark.parametrize("knapsack", ["published", "exact"])
@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row.model}-{row.bandwidth}")
def test_steps_1_to_3_are_those_of_the_public_code(row, knapsack):
    problem = mapping_problem(load_bundled(f"h2h/{row.model}-{row.bandwidth}"))
    costs = costs_of_steps(problem, H2HSettings(knapsack=knapsack))
    assert [c.latency for c in costs] == pytest.approx(row.seconds, abs=SECONDS)
    assert [c.energy for c in costs[:2]] == pytest.approx(row.joules, abs=JOULES)


def test_vfs_of_the_csv_and_vfs_of_the_printed_row():
    """The printed row belongs to a model of 48 layers; the 49 of the layer tables give another one."""
    printed = mapping_problem(h2h_instance(vfs_as_printed(), 0.25, cross=True))
    assert printed.n == 48
    costs = costs_of_steps(printed, H2HSettings(knapsack="published"))
    assert [c.latency for c in costs] == pytest.approx(PRINTED_VFS.seconds, abs=SECONDS)
    assert [c.energy for c in costs[:2]] == pytest.approx(PRINTED_VFS.joules, abs=JOULES)
    whole = mapping_problem(load_bundled("h2h/vfs-0.25"))
    costs = costs_of_steps(whole, H2HSettings(knapsack="published"))
    assert [c.latency for c in costs] == pytest.approx((5.767065, 3.788724, 3.268882), abs=SECONDS)


@pytest.mark.parametrize(
    "row",
    [row for row in PRINTED if row.model in ("cnn-lstm", "mocap", "facebag")],
    ids=lambda row: f"{row.model}-{row.bandwidth}",
)
def test_remapped_plans_are_about_as_good_as_the_printed_ones(row):
    """Paths differ: ours ends within 1 % of the printed plan, or below it."""
    problem = mapping_problem(load_bundled(f"h2h/{row.model}-{row.bandwidth}"))
    search = Search(problem, Settings(time_limit=30), name="h2h")
    H2H(H2HSettings(knapsack="published")).run(problem, search)
    assert search.value <= row.remapped * 1.01


def test_each_step_is_a_solver_and_none_is_worse_than_the_one_before():
    values = [
        solve(load_bundled("h2h/facebag-0.125"), name, time_limit=20).objective.value
        for name in ("h2h_compute", "h2h_weights", "h2h_activations", "h2h")
    ]
    assert values == sorted(values, reverse=True)
    assert values[:3] == pytest.approx((0.9154, 0.205226, 0.184006), abs=SECONDS)


def enumerated(problem):
    """Step 1 by full enumeration, as published, for groups smaller than their number of devices."""
    busy = busy_seconds(problem)
    place, end, free = [-1] * problem.n, [0.0] * problem.n, [0.0] * problem.m
    left = list(range(problem.n))
    before = [[int(problem.source[k]) for k in problem.inputs[i] if problem.source[k] >= 0] for i in left]
    while left:
        frontier = [i for i in left if all(place[p] >= 0 for p in before[i])]
        groups = {}
        for i in frontier:
            groups.setdefault(problem.allowed[i], []).append(i)
        for devices, layers in sorted(groups.items()):
            layers = layers[: len(devices)] if len(layers) <= len(devices) else None
            if layers is None:
                return None

            def run(chosen, layers=layers, free=free):
                ends, now = {}, list(free)
                for i, d in zip(layers, chosen, strict=True):
                    ready = max([float(problem.release[i])] + [end[p] for p in before[i]])
                    ends[i] = now[d] = max(now[d], ready) + busy[i, d]
                return now, ends

            best = min(product(devices, repeat=len(layers)), key=lambda chosen: max(run(chosen)[0]))
            free, ends = run(best)
            for i, d in zip(layers, best, strict=True):
                place[i], end[i] = d, ends[i]
        left = [i for i in left if place[i] < 0]
    return place


def test_branch_and_bound_maps_like_full_enumeration():
    execution = Execution(staging="host", overlap=False, memory="static", weights="choice")
    compared = 0
    for seed in range(60):
        problem = mapping_problem(random_small(seed, execution))
        if problem.precedences or any(not row for row in problem.allowed):
            continue
        expected = enumerated(problem)
        if expected is not None:
            assert map_frontiers(problem)[0] == expected
            compared += 1
    assert compared > 20


def test_wide_frontiers_stay_within_the_budget_of_nodes():
    """2,000 layers in ten ranks on 8 devices: full enumeration would try 10^65 assignments."""
    problem = mapping_problem(layered(layers=2000, devices=8, seed=1))
    place, sequence = map_frontiers(problem)
    assert sorted(sequence) == list(range(problem.n))
    assert all(d in problem.allowed[i] for i, d in enumerate(place))


def test_knapsack_is_the_best_of_all_fillings():
    rng = np.random.default_rng(3)
    for _ in range(40):
        n = int(rng.integers(1, 11))
        sizes, values = rng.integers(1, 60, n).astype(float), rng.integers(1, 50, n).astype(float)
        capacity = float(sizes.sum() * rng.uniform(0.2, 0.8))
        chosen = fill(sizes, values, capacity)
        assert sizes[chosen].sum() <= capacity
        every = (np.array(bits, dtype=bool) for bits in product((0, 1), repeat=n))
        best = max(values[bits].sum() for bits in every if sizes[bits].sum() <= capacity)
        assert values[chosen].sum() == best


def test_many_different_weights_fit_and_fill_the_memory():
    rng = np.random.default_rng(5)
    sizes = rng.uniform(1, 2, 120)
    chosen = fill(sizes, sizes, 0.5 * sizes.sum())
    assert 0.999 * 0.5 * sizes.sum() < sizes[chosen].sum() <= 0.5 * sizes.sum()


def test_published_knapsack_takes_the_largest_and_exact_saves_more():
    problem = mapping_problem(load_bundled("h2h/vfs-0.125"))
    device = problem.devices.index("fc-ese")
    place = [device if device in allowed else allowed[0] for allowed in problem.allowed]
    pinned = {v: pin_by_knapsack(problem, place, v)[device] for v in ("published", "exact")}
    size = dict(zip(problem.weight_of.tolist(), problem.weight_bytes.tolist(), strict=True))
    saved = {v: sum(size[w] for w in chosen) for v, chosen in pinned.items()}
    assert max(pinned["published"], key=size.__getitem__) == max(
        (int(problem.weight_of[i]) for i in range(problem.n) if place[i] == device), key=size.__getitem__
    )
    assert saved["published"] <= saved["exact"] <= problem.weight_capacity[device]
