"""The largest common rate: against brute force, by simulation, and on the bundled scenarios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs.compiled import compiled
from dnnplan.costs.periodic import CyclicPlan, periodic_problem
from dnnplan.costs.steady_state import steady_state
from dnnplan.formulations.mapping.periodic import cpsat
from dnnplan.formulations.mapping.periodic.bounds import cycle_bound, path_bound, window_bound
from dnnplan.instances import SolverError, Task, UnsupportedError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.solvers.kernels.modulo_schedule import modulo_schedule
from dnnplan.solvers.rates import RATE_SOLVERS, exact, largest_rate
from dnnplan.solvers.rates.decode import Decoder
from dnnplan.solvers.rates.local import anneal, list_schedules
from dnnplan.solvers.rates.search import RateSearch
from dnnplan.solvers.rates.tighten import tightened
from dnnplan.solvers.search import Settings
from tests.support.periodic_cases import case, least_cycle, random_case, simulate

SCENARIOS = ("camera", "glasses", "driver")


def cyclic(instance, result, **options):
    """The plan of a result as the judge takes it."""
    problem = periodic_problem(instance, **options)
    view = problem.mapping
    place = tuple(view.devices.index(result.plan.placement[key]) for key in view.layers)
    start = tuple(result.plan.times[key][0] for key in view.layers)
    return problem, CyclicPlan(cycle=result.cycle, place=place, start=start)


@pytest.mark.parametrize("seed", range(12))
def test_exact_agrees_with_brute_force(seed):
    instance = random_case(seed)
    if instance.tasks[1].release:
        pytest.skip("a job reaches over the border, which the brute force does not cover")
    result = largest_rate(instance, "cpsat", time_limit=20, workers=1)
    assert result.status == "optimal"
    assert result.cycle == pytest.approx(least_cycle(instance), rel=1e-6)
    assert result.bound >= 2 / least_cycle(instance) * (1 - 1e-9)


def rate_search(instance, **limits):
    """A search with the bound that needs no search."""
    problem = periodic_problem(instance)
    settings = Settings(workers=1, **limits)
    search = RateSearch(problem=problem.mapping, settings=settings, name="test", periodic=problem)
    search.improve_bound(cycle_bound(problem).value, "bound")
    return search


@pytest.mark.parametrize("seed", [0, 1, 4, 6])
def test_single_cycles_close_in_on_the_optimum(seed):
    instance = random_case(seed)
    assert not instance.tasks[1].release
    search = rate_search(instance, time_limit=20)
    search.offer(sequential(search.periodic))
    before = search.value
    exact._decide(search, search.phase(1.0), None)
    assert search.value <= before
    assert search.proved
    assert search.value == pytest.approx(least_cycle(instance), rel=2e-4)
    assert search.bound <= least_cycle(instance) * (1 + 1e-9)


def sequential(problem):
    """One call after the other in a cycle long enough for that."""
    view, cycle = problem.mapping, 1000.0
    place, start, free = [], [], {}
    for i in view.topological:
        job = int(view.job_of[i])
        moment = max(float(problem.release[job]) * cycle, free.get("all", 0.0)) + 2.0
        place.append((i, view.allowed[i][0]))
        start.append((i, moment))
        free["all"] = moment + float(view.duration[i, view.allowed[i][0]])
    return CyclicPlan(
        cycle=cycle,
        place=tuple(dict(place)[i] for i in range(view.n)),
        start=tuple(dict(start)[i] for i in range(view.n)),
    )


def test_annealing_shortens_the_cycle_of_list_schedules():
    search = rate_search(load_bundled("rates/glasses"), time_limit=None, work_limit=1.0)
    list_schedules(search)
    before = search.value
    anneal(search, search.phase(1.0))
    assert search.value < 0.98 * before
    assert steady_state(search.periodic, search.cyclic).violations == ()


def test_a_plan_below_a_proven_bound_is_an_error():
    search = rate_search(random_case(0), time_limit=None)
    search.improve_bound(500.0, "wrong")
    with pytest.raises(SolverError, match="wrong"):
        search.offer(sequential(search.periodic))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("solver", ["cpsat", "best_device", "genetic"])
def test_plans_hold_when_they_are_simulated(seed, solver):
    instance = random_case(seed)
    result = largest_rate(instance, solver, time_limit=10, work_limit=0.2, workers=1)
    assert result.factor is not None
    assert result.violations == ()
    starts = {key: times[0] for key, times in result.plan.times.items()}
    response = simulate(instance, result.cycle, result.plan.placement, starts)
    for task in result.tasks:
        assert response[task.task] <= task.deadline * (1 + 1e-9)
        assert response[task.task] <= task.response * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_no_solver_beats_the_proven_optimum(seed):
    instance = random_case(seed)
    best = largest_rate(instance, "cpsat", time_limit=20, workers=1)
    assert best.status == "optimal"
    assert cycle_bound(periodic_problem(instance)).value <= best.cycle
    for solver in RATE_SOLVERS:
        found = largest_rate(instance, solver, time_limit=5, work_limit=0.1, workers=1)
        assert found.factor <= best.factor * (1 + 1e-6)
        assert found.bound >= best.factor * (1 - 1e-9)
        assert found.gap == pytest.approx((found.bound - found.factor) / found.factor)


def pipeline(**options):
    return case({"x": [{"a": 3.0}, {"b": 3.0}]}, (Task(name="x", model="x", period=8, **options),))


@pytest.mark.parametrize(
    ("instance", "deadlines", "cycle"),
    [(pipeline(), "period", 7.0), (pipeline(), "given", 3.0), (pipeline(deadline=7), "period", 3.0)],
)
def test_a_pipeline_is_as_fast_as_its_deadline_lets_it_be(instance, deadlines, cycle):
    result = largest_rate(instance, "cpsat", deadlines=deadlines, time_limit=10, workers=1)
    assert result.status == "optimal"
    assert result.cycle == pytest.approx(cycle)
    problem, plan = cyclic(instance, result, deadlines=deadlines)
    assert steady_state(problem, plan).violations == ()


def test_a_deadline_shorter_than_the_job_is_infeasible_at_any_rate():
    result = largest_rate(pipeline(deadline=6.9), time_limit=10, workers=1)
    assert (result.status, result.plan) == ("infeasible", None)
    assert result.message


def test_two_jobs_that_never_fit_together_are_infeasible_at_any_rate():
    """Both are released at once, and the device needs 6 s for what has to be done after 5."""
    tasks = tuple(Task(name=n, model="x", period=20, deadline=5) for n in "xy")
    result = largest_rate(case({"x": [{"a": 3.0}]}, tasks), "cpsat", time_limit=20, workers=1)
    assert result.status == "infeasible"


def test_with_given_deadlines_a_lower_rate_may_be_harder():
    """Docs/cost-model.md, 8: at factor 1 the long job runs after the short one; at 1/4 it is in its way."""
    tasks = (
        Task(name="x", model="x", period=8, deadline=10),
        Task(name="y", model="y", period=8, deadline=2, release=1),
    )
    instance = case({"x": [{"a": 6.0}], "y": [{"a": 1.0}]}, tasks)
    result = largest_rate(instance, "cpsat", time_limit=10, workers=1)
    assert result.factor >= 1
    from ortools.sat.python import cp_model

    v = cpsat.build(periodic_problem(instance), 1e-3, shortest=31.99, longest=32.0)
    solver = cp_model.CpSolver()
    assert solver.solve(v.model) == cp_model.INFEASIBLE


def test_without_deadlines_load_alone_decides():
    """Three jobs of one layer, 4 s on a or 2 s on b: two on b and one on a in 4 s."""
    tasks = tuple(Task(name=n, model="x", period=6) for n in ("x", "y", "z"))
    instance = case({"x": [{"a": 4.0, "b": 2.0}]}, tasks)
    result = largest_rate(instance, "cpsat", deadlines="given", time_limit=10, workers=1)
    assert result.cycle == pytest.approx(4.0)
    assert result.factor == pytest.approx(1.5)


def test_baselines_keep_networks_whole():
    instance = load_bundled("rates/camera")
    result = largest_rate(instance, "best_device", time_limit=3, work_limit=0.5, workers=1)
    problem = periodic_problem(instance)
    for key, device in result.plan.placement.items():
        task, _, layer = key.split("/", 2)
        homes = {result.plan.placement[k] for k in problem.mapping.layers if k.startswith(f"{task}/")}
        assert result.plan.placement[f"{task}/0/{layer}"] == device
        assert len(homes) <= 2, "one device, and another for what it cannot run"
    alone = largest_rate(instance, "npu_only", time_limit=3, work_limit=0.5, workers=1)
    able = [k for i, k in enumerate(problem.mapping.layers) if 2 in problem.mapping.allowed[i]]
    assert {alone.plan.placement[k] for k in able} == {"npu"}
    assert alone.factor < result.factor


def test_npu_only_needs_an_npu():
    instance = pipeline()
    devices = tuple(replace(d, kind="cpu") for d in instance.platform.devices)
    with pytest.raises(UnsupportedError, match="kind 'npu'"):
        largest_rate(replace(instance, platform=replace(instance.platform, devices=devices)), "npu_only")


@pytest.mark.parametrize("solver", ["genetic", "auto"])
def test_same_seed_and_work_give_the_same_plan(solver):
    instance = load_bundled("rates/glasses")
    runs = [
        largest_rate(instance, solver, time_limit=None, work_limit=0.06, workers=1, seed=3) for _ in range(2)
    ]
    assert runs[0].plan == runs[1].plan
    assert runs[0].stop_reason == "work_limit"


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_are_sustained_by_what_is_found(name):
    instance = load_bundled(f"rates/{name}")
    result = largest_rate(instance, time_limit=20, work_limit=0.08, workers=1)
    problem, plan = cyclic(instance, result)
    assert steady_state(problem, plan).violations == ()
    assert 1 < result.factor <= result.bound
    bounds = [cycle_bound(problem), path_bound(problem), window_bound(problem, 0.0)]
    assert all(bound.value <= result.cycle for bound in bounds)


def test_compiled_decoder_agrees_with_its_twin():
    problem = periodic_problem(load_bundled("rates/glasses"))
    decoder, rng = Decoder(problem, fast=False), np.random.default_rng(0)
    for cycle in (0.01, 0.02, 0.1):
        order = decoder.urgency(cycle)
        forced = np.array([rng.choice([-1, *row]) for row in problem.mapping.allowed], dtype=np.int64)
        arrays = decoder.arrays._replace(
            release=decoder.release * cycle, ready=decoder.tensor_release * cycle
        )
        plain = modulo_schedule(arrays, order, forced, decoder.after, cycle)
        fast = compiled(modulo_schedule)(arrays, order, forced, decoder.after, cycle)
        for one, other in zip(plain, fast, strict=True):
            assert (one == other).all()


def test_list_schedules_are_plans_and_tightening_never_lengthens():
    problem = periodic_problem(load_bundled("rates/driver"))
    decoder, low = Decoder(problem, fast=False), cycle_bound(problem).value
    free = np.full(problem.mapping.n, -1, dtype=np.int64)
    plan = decoder.shortest(decoder.urgency(2 * low), free, low, 4 * low)
    assert steady_state(problem, plan).violations == ()
    tight = tightened(problem, plan)
    assert tight.cycle <= plan.cycle * (1 + 1e-9)
    assert steady_state(problem, tight).violations == ()


def test_a_bound_in_ticks_is_lowered_by_the_tick_it_was_rounded_by():
    assert cpsat.safe_bound(100.0, 0.5) == pytest.approx(49.5)
    assert cpsat.safe_bound(0.0, 0.5) == 0.0
    assert math.isfinite(cpsat.safe_bound(1e9, 1e-9))


def test_unknown_solver_is_named():
    with pytest.raises(UnsupportedError, match=r"cpst.*cpsat"):
        largest_rate(pipeline(), "cpst")
