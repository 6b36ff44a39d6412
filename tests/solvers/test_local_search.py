"""Compiled local search and windows: times are those of the evaluation, twins agree, runs can be repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.objectives import objective_value
from dnnplan.instances.generators import erdos, layered, multi_model, random_small
from dnnplan.instances.platform import Execution
from dnnplan.solvers import solve
from dnnplan.solvers.facade import with_objective
from dnnplan.solvers.kernels import local_search as kernels
from dnnplan.solvers.kernels import sequences, steps
from dnnplan.solvers.lists.heft import heft
from dnnplan.solvers.local.local_search import Team, times_exactly
from dnnplan.solvers.local.networks import net_of, plan_in, plan_out, state_of, suits
from dnnplan.solvers.local.windows import KINDS, Bandit, decisions_in, schedule_of, suits_windows
from dnnplan.solvers.search import Search, Settings

CASES = {
    "layered": layered(layers=40, devices=4, seed=1),
    "erdos": erdos(layers=60, devices=5, seed=2, ccr=3.0),
    "restricted": layered(layers=30, devices=3, seed=9, colocate=4, restrict=0.3, fixed=0.1),
    "networks": multi_model((20, 25, 15), seed=7),
}


def started(instance, objective: str | None = None):
    """A problem, a search with its HEFT plan, and the kernels' view of both."""
    problem = mapping_problem(with_objective(instance, objective, None))
    search = Search(problem, Settings(time_limit=30.0, workers=1))
    search.propose(heft(problem))
    net, goal = net_of(problem, search.best)
    state = state_of(net)
    state.order[:], state.place[:] = plan_in(problem, search.best)
    return problem, search, net, goal, state


def walk(net, state, goal, steps: int, heat: float, seed: int = 5):
    order, place = state.order.copy(), state.place.copy()
    value, timed = kernels.search(net, state, goal, (heat, heat / 10), steps, seed, order, place)
    return value, timed, order, place


@pytest.mark.parametrize("name", CASES)
def test_times_after_many_steps_are_those_of_the_evaluation(name: str) -> None:
    problem, search, net, goal, state = started(CASES[name])
    heat = 0.3 * float(problem.duration[np.isfinite(problem.duration)].mean())
    value, timed, order, place = walk(net, state, goal, 4_000, heat)
    assert timed > 1_000
    best = evaluate(problem, plan_out(problem, order, place))
    assert best.cost.latency == pytest.approx(value, rel=1e-9)
    assert value <= search.best.cost.latency * (1 + 1e-12)
    # Ends and tails that were kept up to date step by step are those of a fresh start.
    ends, tails = state.end.copy(), state.tail.copy()
    sequences.rebuild(net, state)
    assert ends.tolist() == pytest.approx(state.end.tolist(), rel=1e-12)
    assert tails.tolist() == pytest.approx(state.tail.tolist(), rel=1e-9, abs=1e-15)
    last = evaluate(problem, plan_out(problem, state.order, state.place))
    assert last.end == pytest.approx(state.end.tolist(), rel=1e-12)
    for i in range(problem.n):
        assert state.end[i] + state.tail[i] <= last.cost.latency * (1 + 1e-9)


@pytest.mark.parametrize(
    "objective", ["energy", "edp", "weighted_completion", "latency=1,energy=0.001", "traffic"]
)
def test_cost_of_other_objectives_is_that_of_the_evaluation(objective: str) -> None:
    """Up to a constant and, for products, up to first order: differences of costs are those of values."""
    instance = multi_model((12, 10), seed=3)
    problem, search, net, goal, state = started(instance, objective)
    heat = 0.01 * abs(search.value) / problem.n
    sequences.rebuild(net, state)
    before = kernels.cost_of(net, state, goal)[1]
    value, _, order, place = walk(net, state, goal, 3_000, heat)
    found = objective_value(problem.stages[0], evaluate(problem, plan_out(problem, order, place)).cost)
    assert value < before
    if objective == "edp":
        assert found < search.value
    else:
        assert found - search.value == pytest.approx(value - before, rel=1e-6, abs=1e-9 * abs(search.value))


def test_a_change_that_is_taken_back_leaves_everything_as_it_was() -> None:
    _, _, net, _, state = started(CASES["erdos"])
    sequences.rebuild(net, state)
    rng = np.random.default_rng(0)
    for _ in range(200):
        before = [np.array(part) for part in (state.order, state.place, state.end, state.tail, state.total)]
        for _ in range(int(rng.integers(1, 4))):
            i = int(rng.integers(net.duration.shape[0]))
            low, high = steps.window(net, state, i)
            sequences.move(
                net, state, i, int(rng.integers(low, high + 1)), int(rng.integers(net.room.shape[0]))
            )
        sequences.settle(net, state, float(rng.uniform(0.5, 2.0) * state.end.max()))
        sequences.take_back(net, state, float(before[4][0]))
        after = (state.order, state.place, state.end, state.tail, state.total)
        assert all((a == b).all() for a, b in zip(before, after, strict=True))
    links = state.before.copy(), state.after.copy()
    sequences.rebuild(net, state)
    assert links[0].tolist() == state.before.tolist()
    assert links[1].tolist() == state.after.tolist()


TWIN = """
import json
from tests.solvers.test_local_search import CASES, started, walk
answers = []
for name in ("layered", "restricted"):
    problem, search, net, goal, state = started(CASES[name])
    value, timed, order, place = walk(net, state, goal, 300, 0.05 * search.value)
    answers.append([value, timed, order.tolist(), place.tolist()])
print(json.dumps(answers))
"""


def test_compiled_search_is_its_plain_twin() -> None:
    answers = []
    for disabled in ("0", "1"):
        environment = os.environ | {
            "NUMBA_DISABLE_JIT": disabled,
            "PYTHONPATH": ":".join([os.getcwd(), *(p for p in sys.path if p)]),
        }
        run = subprocess.run(
            [sys.executable, "-c", TWIN], capture_output=True, text=True, check=True, env=environment
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("solver", ["local_search", "auto"])
def test_a_run_under_a_work_limit_can_be_repeated(solver: str) -> None:
    """Same seed, one worker: the same plan, and the same values and bounds on the way."""
    instance = layered(layers=160, devices=8, seed=4)
    runs = [
        solve(instance, solver, time_limit=None, work_limit=0.4, workers=1, seed=seed) for seed in (1, 1, 2)
    ]
    assert runs[0].plan == runs[1].plan
    assert [row[1:] for row in runs[0].history] == [row[1:] for row in runs[1].history]
    assert runs[0].objective.value < solve(instance, "heft").objective.value
    assert runs[0].plan != runs[2].plan


def test_threads_share_one_search_and_report_their_errors(monkeypatch) -> None:
    result = solve(layered(layers=80, devices=4, seed=6), "local_search", time_limit=5, workers=2)
    assert result.valid
    problem, search, *_ = started(CASES["layered"])
    team = Team(problem, search)
    monkeypatch.setattr("dnnplan.solvers.local.local_search.Walker.chunk", lambda *_: 1 / 0)
    team.start(1)
    team.threads[0].join()
    with pytest.raises(ZeroDivisionError):
        team.stop()


def test_what_the_search_can_time_and_what_only_the_evaluation_knows() -> None:
    plain = mapping_problem(CASES["layered"])
    assert suits(plain)
    assert times_exactly(plain)
    assert suits_windows(plain)
    contended = mapping_problem(
        layered(layers=40, devices=4, seed=1, execution=Execution(contention="links"))
    )
    assert suits(contended)
    assert not times_exactly(contended)
    assert not suits_windows(contended)


@pytest.mark.parametrize("seed", range(4))
def test_a_window_over_everything_has_the_optimum_of_the_whole_model(seed: int) -> None:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.window import build_window

    instance = layered(layers=9, devices=3, seed=seed, ccr=1.0)
    problem, search, *_ = started(instance)
    exact = solve(instance, "cpsat", time_limit=30)
    assert exact.status == "optimal"
    plan = schedule_of(problem, search)
    window = build_window(problem, plan, 0, problem.n - 1, list(range(problem.n)), plan.latency / 1e6)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(window.model) == cp_model.OPTIMAL
    found = evaluate(problem, decisions_in(problem, plan, window, solver.value))
    assert found.cost.latency == pytest.approx(exact.objective.value, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_state_the_length_of_the_plan_that_they_make(kind: str) -> None:
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.window import build_window

    problem, search, *_ = started(multi_model((30, 30), seed=2))
    plan = schedule_of(problem, search)
    rng = np.random.default_rng(1)
    for first in (0, 15, 35):
        inside = plan.order[first : first + 24].tolist()
        free = KINDS[kind][0](problem, plan, inside, rng)
        assert set(free) <= set(inside)
        window = build_window(problem, plan, first, first + 23, free, plan.latency / 1e7)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_deterministic_time = 0.3
        if solver.solve(window.model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            continue
        found = evaluate(problem, decisions_in(problem, plan, window, solver.value))
        stated = window.origin + window.tick * solver.value(window.length)
        assert found.cost.latency <= stated * (1 + 1e-4)
        if solver.solve(window.model) == cp_model.OPTIMAL:
            assert found.cost.latency == pytest.approx(stated, rel=1e-4)


def test_the_bandit_prefers_what_pays() -> None:
    bandit = Bandit(["poor", "rich"], np.random.default_rng(0))
    for _ in range(200):
        name = bandit.choose()
        bandit.learn(name, 1.0 if name == "rich" else 0.01, 1.0)
    picks = [bandit.choose() for _ in range(400)]
    assert picks.count("rich") > 300
    assert picks.count("poor") > 10


def test_small_random_problems_of_every_kind_go_in_and_out() -> None:
    """Releases, inputs at the host, outputs to it, precedences: what fits the search is timed as judged."""
    exact = 0
    for seed in range(25):
        problem = mapping_problem(random_small(seed, Execution(memory="none")))
        decisions = heft(problem)
        if decisions is None or not suits(problem):
            continue
        search = Search(problem, Settings(time_limit=30.0))
        search.propose(decisions)
        if search.best is None:
            continue
        net, goal = net_of(problem, search.best)
        state = state_of(net)
        state.order[:], state.place[:] = plan_in(problem, search.best)
        sequences.rebuild(net, state)
        if times_exactly(problem) and problem.host_device < 0 and problem.stages[0] == (("latency", 1.0),):
            assert kernels.cost_of(net, state, goal)[1] == pytest.approx(search.best.cost.latency, rel=1e-9)
            exact += 1
    assert exact > 5
