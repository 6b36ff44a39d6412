"""The schedule of the search under host staging against the evaluation, and the search against exact search."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.compiled import compiled
from dnnplan.instances import Execution
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import random_small
from dnnplan.solvers import Search, Settings, solve
from dnnplan.solvers.kernels.host_schedule import choose_pins, host_schedule
from dnnplan.solvers.kernels.host_simulation import host_simulation
from dnnplan.solvers.local.host_search import host_net, host_plan, search_host, searches_host
from dnnplan.solvers.start import propose_simple_plans

MEMORY, WEIGHTS = ("none", "static"), ("choice", "resident", "streamed")


def host_problem(seed, **options):
    execution = Execution(
        staging="host",
        overlap=False,
        memory=MEMORY[seed % 2],
        weights=WEIGHTS[seed // 2 % 3],
        **options,
    )
    return mapping_problem(random_small(seed, execution))


def random_order(problem, rng):
    waiting = np.bincount(problem.edges[:, 2], minlength=problem.n)
    order, ready = [], np.flatnonzero(waiting == 0).tolist()
    while ready:
        i = ready.pop(int(rng.integers(len(ready))))
        order.append(i)
        for _, p, j in problem.edges.tolist():
            if p == i:
                waiting[j] -= 1
                if waiting[j] == 0:
                    ready.append(j)
    return np.array(order, dtype=np.int64)


def random_states(seed, count, **options):
    rng = np.random.default_rng(seed)
    problem = host_problem(seed, **options)
    if not searches_host(problem) or any(not row for row in problem.allowed):
        return
    net = host_net(problem)
    for _ in range(count):
        place = np.array([rng.choice(row) for row in problem.allowed], dtype=np.int64)
        pinned = np.zeros((len(problem.weights), problem.m), dtype=np.bool_)
        if choose_pins(net, place, rng.permutation(problem.n).astype(np.int64), pinned):
            yield problem, net, random_order(problem, rng), place, pinned


def timed(schedule, problem, net, order, place, pinned):
    start, end, because = np.zeros(problem.n), np.zeros(problem.n), np.full(problem.n, -1, dtype=np.int64)
    cost = schedule(net, order, place, pinned, start, end, because)
    return cost, start, end, because


def test_times_of_the_schedule_are_those_of_the_evaluation():
    compared = 0
    for seed in range(90):
        for problem, net, order, place, pinned in random_states(seed, 3):
            _, start, end, because = timed(host_schedule, problem, net, order, place, pinned)
            chosen = [set(np.flatnonzero(pinned[:, d]).tolist()) for d in range(problem.m)]
            found = evaluate(problem, host_plan(problem, order, place, chosen))
            assert start.tolist() == pytest.approx(found.start, rel=1e-12, abs=1e-15)
            assert end.tolist() == pytest.approx(found.end, rel=1e-12, abs=1e-15)
            for i in np.flatnonzero(because >= 0):
                assert start[i] >= start[because[i]]
            compared += 1
    assert compared > 100


def test_times_of_the_simulation_are_those_of_the_evaluation_with_contention():
    compared = waited = 0
    for seed in range(90):
        for problem, net, order, place, pinned in random_states(seed, 3, contention="links"):
            if not net.channels:
                continue
            _, start, end, _ = timed(host_simulation, problem, net, order, place, pinned)
            chosen = [set(np.flatnonzero(pinned[:, d]).tolist()) for d in range(problem.m)]
            found = evaluate(problem, host_plan(problem, order, place, chosen))
            assert start.tolist() == pytest.approx(found.start, rel=1e-9, abs=1e-15)
            assert end.tolist() == pytest.approx(found.end, rel=1e-9, abs=1e-15)
            _, _, alone, _ = timed(host_schedule, problem, net, order, place, pinned)
            waited += alone.max() < end.max() * (1 - 1e-6)
            compared += 1
    assert compared > 100
    assert waited > 10


@pytest.mark.parametrize(("kernel", "contention"), [(host_schedule, "none"), (host_simulation, "links")])
def test_compiled_kernel_is_its_plain_twin(kernel, contention):
    fast = compiled(kernel)
    for seed in range(24):
        for state in random_states(seed, 1, contention=contention):
            plain, quick = timed(kernel, *state), timed(fast, *state)
            assert plain[0] == quick[0]
            for a, b in zip(plain[1:], quick[1:], strict=True):
                assert a.tolist() == b.tolist()


def test_pins_never_exceed_what_fits():
    for seed in range(60):
        for problem, _, _, _, pinned in random_states(seed, 2):
            if problem.execution.memory == "none":
                continue
            size = np.zeros(len(problem.weights))
            size[problem.weight_of] = problem.weight_bytes
            held = size @ pinned
            assert (held <= problem.weight_capacity * (1 + 1e-12)).all()


def test_search_reaches_the_optimum_of_small_instances():
    reached = compared = 0
    for seed in range(0, 24, 2):
        problem = host_problem(seed + 1)
        if not searches_host(problem):
            continue
        best = solve(problem.instance, "cpsat", time_limit=20, workers=1)
        if best.status != "optimal":
            continue
        search = Search(problem, Settings(time_limit=None, work_limit=0.2), name="anneal")
        propose_simple_plans(problem, search)
        search_host(problem, search, 60.0)
        if search.value is None:
            continue
        compared += 1
        reached += search.value <= best.objective.value * (1 + 1e-6)
    assert compared >= 4
    assert reached >= 0.9 * compared


def test_search_is_reproducible_and_never_loses_its_start():
    problem = mapping_problem(load_bundled("h2h/casia-surf-0.125"))
    values = []
    for _ in range(2):
        search = Search(problem, Settings(time_limit=None, work_limit=0.4, seed=3), name="anneal")
        propose_simple_plans(problem, search)
        start = search.value
        search_host(problem, search, 60.0)
        values.append((search.value, tuple(search.best.decisions.place)))
        assert search.value <= start
    assert values[0] == values[1]


def test_settings_that_are_searched():
    assert searches_host(mapping_problem(load_bundled("h2h/mocap-0.5")))
    assert not searches_host(mapping_problem(load_bundled("tiny/hand")))
    assert not searches_host(mapping_problem(load_bundled("layered/50x4-ccr0.5-live")))
