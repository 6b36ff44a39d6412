"""The MILP: what each constraint is there for, bounds in floats, limits, back ends, export."""

import dataclasses
import math

import highspy
import pytest
from msgspec.structs import replace

from dnnplan.costs import MappingProblem, mapping_problem
from dnnplan.formulations.mapping import milp
from dnnplan.formulations.mapping.milp import channels, constraints, direct, host, memory
from dnnplan.instances import UnsupportedError
from dnnplan.instances.generators import all_executions, generate, random_small
from dnnplan.solvers.exact.highs import Outcome, run_highs
from dnnplan.solvers.exact.milp import Milp, MilpParameters
from dnnplan.solvers.facade import solve
from dnnplan.solvers.search import Search, Settings
from tests.support.brute_force import brute_force

EXECUTIONS = all_executions()


def problem_of(seed: int, objective: str = "latency") -> MappingProblem:
    instance = random_small(seed, EXECUTIONS[seed % len(EXECUTIONS)])
    return mapping_problem(replace(instance, objective=objective))


def run(model: milp.Model) -> Outcome:
    return run_highs(
        model.pulp,
        time_limit=60,
        gap=1e-6,
        threads=1,
        seed=0,
        presolve=True,
        on_solution=lambda values: None,
        on_bound=lambda bound: None,
        stop=lambda: False,
    )


def optimum(problem: MappingProblem) -> float:
    model = milp.build(problem)
    outcome = run(model)
    return outcome.bound * model.unit if outcome.status == "optimal" else math.inf


NEEDED = [
    (constraints, "one_device_each", 0),
    (constraints, "colocated_layers_share_a_device", 5),
    (constraints, "calls_compute_while_they_load", 5),
    (constraints, "one_call_a_slot", 5),
    (constraints, "precedences_hold", 9),
    (constraints, "jobs_complete", 9),
    (direct, "tensors_are_sent", 6),
    (direct, "readers_wait_for_sends", 6),
    (host, "tensors_go_through_the_host", 47),
    (host, "readers_wait_for_reads", 36),
    (channels, "weights_are_loaded", 7),
    (channels, "one_transfer_a_channel", 17),
    (memory, "weights_fit", 3),
    (memory, "memories_hold_what_is_resident", 6),
]


@pytest.mark.parametrize(("module", "name", "seed"), NEEDED, ids=[name for _, name, _ in NEEDED])
def test_without_a_constraint_plans_look_better_than_they_are(module, name, seed, monkeypatch):
    """The pair of each constraint: with it the optimum of the oracle, without it something that no plan reaches."""
    problem = problem_of(seed)
    best = brute_force(problem).value
    assert optimum(problem) == pytest.approx(best)
    monkeypatch.setattr(module, name, lambda v: None)
    assert optimum(problem) < best * (1 - 1e-6) or (best == math.inf and optimum(problem) < math.inf)


REDUNDANT = [
    (constraints, "makespan_covers_load"),
    (constraints, "times_follow_critical_paths"),
    (channels, "makespan_covers_channels"),
]


@pytest.mark.parametrize(("module", "name"), REDUNDANT, ids=[name for _, name in REDUNDANT])
@pytest.mark.parametrize("seed", [9, 27, 46, 66])
def test_redundant_constraints_cut_off_no_plan(module, name, seed, monkeypatch):
    problem = problem_of(seed)
    with_it = optimum(problem)
    monkeypatch.setattr(module, name, lambda v: None)
    assert optimum(problem) == pytest.approx(with_it)


@pytest.mark.parametrize("factor", [math.pi * 1e-6, math.e * 1e3])
@pytest.mark.parametrize("seed", [0, 22, 37, 64, 69])
def test_bounds_hold_in_floats_and_in_any_unit(seed, factor):
    """Times that no float holds exactly, in microseconds and in hours: the same plan, a bound below its value."""
    problem = problem_of(seed)
    scaled = dataclasses.replace(
        problem,
        duration=problem.duration * factor,
        load=problem.load * factor,
        release=problem.release * factor,
        tensor_release=problem.tensor_release * factor,
        routes=dataclasses.replace(
            problem.routes, latency=problem.routes.latency * factor, per_byte=problem.routes.per_byte * factor
        ),
        override={key: seconds * factor for key, seconds in problem.override.items()},
        jobs=tuple(dataclasses.replace(job, release=job.release * factor) for job in problem.jobs),
    )
    search = Search(scaled, Settings(time_limit=60, workers=1), name="milp")
    Milp(MilpParameters(start=False)).run(scaled, search)
    assert search.value == pytest.approx(brute_force(problem).value * factor, rel=1e-9)
    assert search.bound is not None
    assert search.bound <= search.value
    assert search.proved


def test_building_stops_when_told_to():
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 3

    instance = generate("layered", layers=60, seed=1)
    with pytest.raises(milp.BuildStoppedError):
        milp.build(mapping_problem(instance), stop=stop)
    assert len(calls) == 4


def test_an_unbuilt_model_leaves_the_incumbent():
    problem = mapping_problem(generate("layered", layers=60, seed=1))
    search = Search(problem, Settings(time_limit=None, workers=1), name="milp")
    search.settings = dataclasses.replace(search.settings, stop=lambda: search.best is not None)
    Milp().run(problem, search)
    assert search.interrupted
    assert search.best is not None


def test_infeasible_limits_are_proved():
    instance = random_small(0, EXECUTIONS[0])
    problem = mapping_problem(replace(instance, limits=replace(instance.limits, latency=1.0)))
    search = Search(problem, Settings(time_limit=60, workers=1), name="milp")
    Milp().run(problem, search)
    assert search.best is None
    assert search.infeasible is not None


def test_an_objective_that_is_not_linear_is_refused():
    with pytest.raises(UnsupportedError, match="edp"):
        milp.build(problem_of(0, "edp"))


def test_other_back_ends_give_plans_but_no_bound():
    problem = problem_of(17)
    search = Search(problem, Settings(time_limit=60, workers=1), name="milp")
    Milp(MilpParameters(backend="PULP_CBC_CMD", start=False)).run(problem, search)
    assert search.value == pytest.approx(brute_force(problem).value)
    assert search.bound is None


def test_an_unknown_back_end_is_named():
    problem = problem_of(17)
    search = Search(problem, Settings(time_limit=60, workers=1), name="milp")
    with pytest.raises(UnsupportedError, match="'NOSUCH' is not available here; expected one of"):
        Milp(MilpParameters(backend="NOSUCH", start=False)).run(problem, search)


@pytest.mark.parametrize("suffix", ["lp", "mps"])
def test_exported_models_have_the_same_optimum(suffix, tmp_path):
    problem = problem_of(17)
    path = tmp_path / f"model.{suffix}"
    (milp.write_lp if suffix == "lp" else milp.write_mps)(problem, path)
    reader = highspy.Highs()
    reader.setOptionValue("output_flag", False)
    assert reader.readModel(str(path)) == highspy.HighsStatus.kOk
    reader.run()
    unit = milp.build(problem).unit
    assert reader.getInfo().objective_function_value * unit == pytest.approx(brute_force(problem).value)


def test_lexicographic_objectives_through_solve():
    instance = random_small(2, EXECUTIONS[2])
    fastest = brute_force(mapping_problem(instance)).value
    result = solve(instance, "milp", objective="latency>energy", time_limit=60, workers=1)
    assert result.status == "optimal"
    assert result.cost is not None
    assert result.cost.latency == pytest.approx(fastest)
    limited = replace(instance, objective="energy", limits=replace(instance.limits, latency=fastest))
    assert result.cost.energy == pytest.approx(brute_force(mapping_problem(limited)).value)


def test_the_same_seed_gives_the_same_plan():
    instance = random_small(14, EXECUTIONS[14])
    plans = [solve(instance, "milp", time_limit=60, workers=1, seed=3).plan for _ in range(2)]
    assert plans[0] == plans[1]
