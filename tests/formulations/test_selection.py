"""Choosing networks: the models constraint by constraint, all exact solvers against each other, published sets."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from ortools.sat.python import cp_model

import dnnplan
from dnnplan.costs.sharing.selection import SelectionProblem, selection_problem
from dnnplan.formulations.grouping.selection import cpsat, milp
from dnnplan.formulations.grouping.selection.useful import useful
from dnnplan.instances import Instance, Limits, Sharing, Task, UnsupportedError
from dnnplan.instances.formats import standley, tag
from dnnplan.instances.sections import Candidate
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.exact.highs import run_highs
from dnnplan.solvers.grouping.selection import Auto
from dnnplan.solvers.grouping.selection_enumeration import Enumeration
from dnnplan.solvers.grouping.selection_exact import CpSat, Milp
from dnnplan.solvers.grouping.selection_greedy import Greedy
from dnnplan.solvers.grouping.selection_labels import choose_within_budget
from dnnplan.solvers.grouping.selection_limits import explain
from dnnplan.solvers.grouping.selection_sets import least_by_number, partition
from dnnplan.solvers.grouping.selection_subsets import Subsets
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support.data import data_folder, needs_data
from tests.support.task_oracles import agrees, best_choice, random_selection

EXACT = (Subsets, Enumeration, CpSat, Milp, Auto)
PAIR = ({"a": 0.3, "b": 0.2}, 1.0)
"""A network of both tasks at cost 1; those of one task are better, and cost 1 and 2."""
ALONE = (({"a": 0.1}, 1.0), ({"b": 0.15}, 2.0))


def choice(
    *candidates: tuple[dict[str, float], float], kind: str = "loss", **limits: Any
) -> SelectionProblem:
    """A problem of candidates, given as (figures by task, cost)."""
    names = sorted({name for figures, _ in candidates for name in figures})
    networks = (
        Candidate(tasks=tuple(figures), cost=cost, **{kind: figures})  # type: ignore[arg-type]
        for figures, cost in candidates
    )
    return selection_problem(
        Instance(
            objective=kind,
            tasks=tuple(Task(name=name, model="net") for name in names),
            sharing=Sharing(candidates=tuple(networks)),
            limits=Limits(**limits),
        )
    )


def solved(solver: Any, problem: SelectionProblem, seconds: float = 60) -> TaskSearch[SelectionProblem]:
    search = TaskSearch(problem, Settings(time_limit=seconds), name="test")
    solver.run(problem, search)
    return search


# -- the models, constraint by constraint --------------------------------------------------------------------


def with_cpsat(problem: SelectionProblem, chosen: set[int], taken: set[tuple[int, int]]) -> float | None:
    """Value where exactly these candidates are there, and these are taken (task, candidate)."""
    v = cpsat.build(useful(problem))
    for c, one in enumerate(v.chosen):
        v.model.add(one == int(c in chosen))
    for t, c in taken:
        v.model.add(v.takes[t][c] == 1)
    solver = cp_model.CpSolver()
    if solver.solve(v.model) != cp_model.OPTIMAL:
        return None
    return solver.objective_value * v.unit + v.constant


def with_milp(problem: SelectionProblem, chosen: set[int], taken: set[tuple[int, int]]) -> float | None:
    v = milp.build(useful(problem))
    for c, one in enumerate(v.chosen):
        one.lowBound = one.upBound = int(c in chosen)
    for t, c in taken:
        v.takes[t][c].lowBound = 1
    outcome = run_highs(
        v.model,
        time_limit=20,
        gap=0.0,
        threads=1,
        seed=0,
        presolve=True,
        on_solution=lambda values: None,
        on_bound=lambda bound: None,
        stop=lambda: False,
    )
    return outcome.bound * v.unit + v.constant if outcome.status == "optimal" else None


BACK_ENDS = pytest.mark.parametrize("value", [with_cpsat, with_milp], ids=["cpsat", "milp"])


@BACK_ENDS
def test_each_task_takes_one(value: Any) -> None:
    assert value(choice(PAIR, *ALONE), {0}, set()) == pytest.approx(0.5)
    assert value(choice(PAIR, *ALONE), {1}, set()) is None
    assert value(choice(PAIR, *ALONE), {0, 1}, {(0, 0), (0, 1)}) is None


@BACK_ENDS
def test_only_chosen_ones_are_taken(value: Any) -> None:
    assert value(choice(PAIR, *ALONE), {0, 1}, {(0, 1)}) == pytest.approx(0.3)
    assert value(choice(PAIR, *ALONE), {0}, {(0, 1)}) is None


@BACK_ENDS
def test_the_budget_is_kept(value: Any) -> None:
    assert value(choice(PAIR, *ALONE, budget=3), {1, 2}, set()) == pytest.approx(0.25)
    assert value(choice(PAIR, *ALONE, budget=2.9), {1, 2}, set()) is None


@BACK_ENDS
def test_few_are_chosen(value: Any) -> None:
    assert value(choice(PAIR, *ALONE, groups=2), {0, 1}, set()) is not None
    assert value(choice(PAIR, *ALONE, groups=1), {0, 1}, set()) is None


@BACK_ENDS
def test_the_loss_is_kept(value: Any) -> None:
    assert value(choice(PAIR, *ALONE, loss=0.5), {0}, set()) == pytest.approx(0.5)
    assert value(choice(PAIR, *ALONE, loss=0.5 * (1 - 1e-5)), {0}, set()) is None
    assert value(choice(PAIR, *ALONE, loss=0.5 * (1 - 5e-7)), {0}, set()) is not None
    assert value(choice(PAIR, *ALONE, loss=0.2), {0, 1, 2}, set()) is None


def test_only_useful_candidates_are_left() -> None:
    """Candidate 1 is as candidate 0 and dearer; candidate 3 is beyond the budget; of equal ones one is left."""
    same = ({"a": 0.3, "b": 0.2}, 1.5)
    problem = choice(PAIR, same, ALONE[0], ({"b": 0.0}, 9.0), ALONE[0], budget=4)
    assert useful(problem).candidates.tolist() == [0, 4]
    # Candidate 0 brings task a to 0.3 at best: no part of a choice of 0.3 in all.
    usable = useful(problem).usable(0.3)
    assert usable.tolist() == [[False, True], [True, False]]


def test_the_hint_is_complete_and_feasible() -> None:
    for seed in range(12):
        problem = selection_problem(random_selection(seed))
        best = best_choice(problem)
        if best is None:
            continue
        v = cpsat.build(useful(problem), best.value)
        cpsat.hint(v, best.decisions)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.presolve_inclusion_work_limit = 0
        assert solver.solve(v.model) == cp_model.OPTIMAL
        assert solver.objective_value * v.unit + v.constant == pytest.approx(best.value, rel=1e-6)
        assert len(v.model.proto.solution_hint.vars) == len(v.model.proto.variables)


# -- all solvers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_all_exact_solvers_and_exhaustion_agree(seed: int) -> None:
    problem = selection_problem(random_selection(seed))
    best = best_choice(problem)
    for kind in EXACT:
        search = solved(kind(), problem)
        assert agrees(search.value, best), kind.__name__
        assert search.proved, kind.__name__
        assert (search.infeasible is not None) == (best is None)
        if best is not None:
            assert search.bound is not None
            assert search.bound <= best.value + 1e-9 * max(1.0, abs(best.value))


@pytest.mark.parametrize("seed", range(30))
def test_greedy_proposes_what_keeps_the_limits(seed: int) -> None:
    problem = selection_problem(random_selection(seed))
    search, best = solved(Greedy(), problem), best_choice(problem)
    assert search.bound is None
    if search.best is not None:
        assert search.best.feasible
        assert best is not None
        assert best.value <= search.best.value + 1e-9 * max(1.0, abs(best.value))


@pytest.mark.parametrize("kind", EXACT)
def test_weights_of_the_objective_count(kind: Any) -> None:
    problem = choice(PAIR, *ALONE)
    weighted = selection_problem(replace(problem.instance, objective="loss=4"))
    search = solved(kind(), weighted)
    assert search.value == pytest.approx(1.0)
    assert search.bound == pytest.approx(1.0)
    assert search.proved


@pytest.mark.parametrize("kind", EXACT)
def test_why_nothing_keeps_the_limits(kind: Any) -> None:
    cheap = choice(PAIR, *ALONE, budget=0.5)
    assert solved(kind(), cheap).infeasible == "limits.budget: 0.5 cannot be kept; the least possible is 1"
    few = choice(*ALONE, groups=1)
    assert solved(kind(), few).infeasible == "limits.groups: 1 cannot be kept; the least possible is 2"
    both = choice(*ALONE, ({"a": 0.2, "b": 0.2}, 9.0), groups=1, budget=5)
    assert solved(kind(), both).infeasible == "limits.budget: 5 cannot be kept; the least possible is 9"
    for limits in ({"loss": 0.2}, {"loss": 0.3, "budget": 1}):
        good = choice(PAIR, *ALONE, **limits)
        search = solved(kind(), good)
        assert search.best is None
        assert search.infeasible is not None
        assert f"limits.loss: {limits['loss']}" in search.infeasible


@pytest.mark.parametrize("name", solver_names("selection"))
def test_a_limit_on_the_loss_is_named_with_the_nearest_value(name: str) -> None:
    instance = choice(PAIR, *ALONE).instance
    limits = {"loss": 0.3, "budget": 1}
    result = dnnplan.solve(instance, name, problem="selection", limits=limits, time_limit=10)
    if get_solver(name, "selection").capabilities.exact:
        assert result.status == "infeasible"
        assert result.message == "limits.loss: 0.3 cannot be kept; the least possible is 0.5"
    else:
        assert result.status == "unknown"


def test_a_limit_on_the_loss_beside_affinities_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'loss' beside objective 'affinity'"):
        choice(PAIR, *ALONE, kind="affinity", loss=1)


@pytest.mark.parametrize("kind", EXACT)
def test_a_task_without_any_candidate_is_named(kind: Any) -> None:
    candidates = (Candidate(tasks=("a", "b"), loss={"a": 1.0}),)
    instance = Instance(
        objective="loss",
        tasks=(Task(name="a", model="net"), Task(name="b", model="net")),
        sharing=Sharing(candidates=candidates),
    )
    search = solved(kind(), selection_problem(instance))
    assert search.infeasible == 'no candidate states loss for task "b"'


def test_limits_of_many_tasks_are_explained_by_a_set_cover() -> None:
    """Fourteen tasks, a network for each pair of neighbours: seven serve all."""
    names = [f"t{i:02}" for i in range(14)]
    networks = [({a: 0.1, b: 0.2}, 1.5) for a, b in itertools.pairwise(names)]
    problem = choice(*networks, groups=6)
    assert explain(problem) == "limits.groups: 6 cannot be kept; the least possible is 7"
    assert explain(choice(*networks, budget=9)).endswith("the least possible is 10.5")
    search = solved(Auto(), choice(*networks, budget=10.5))
    assert search.proved
    assert search.value == pytest.approx(7 * 0.3)


def test_cpsat_does_not_lose_solutions_in_its_presolve() -> None:
    """Presolve of OR-Tools 9.15 loses candidates 2 and 4 here, the best choice (google/or-tools #5293).

    It takes an enforced row for one that holds anyway. The costs are what made it happen; they sum to far below the
    budget for the two.
    """
    problem = choice(
        ({"b": 0.0, "c": -0.015}, 0.45229309),
        ({"b": -2.303, "c": -24.0, "d": 4.552}, 7.0),
        ({"a": 1.818, "b": 0.051, "c": -1.212}, 0.57297747),
        ({"a": -0.291, "d": -2e6, "e": -0.258}, 0.58423901),
        ({"c": -0.033, "d": -0.056, "e": -3e6}, 8.0),
        ({"a": -0.024, "c": -0.012, "d": -0.002, "e": 0.006}, 5.0),
        groups=2,
        budget=12.1401063727984,
    )
    search = solved(CpSat(), problem)
    assert search.best is not None
    assert search.best.decisions == (2, 4)
    assert search.proved


def test_highs_does_not_lose_solutions_in_its_presolve() -> None:
    """With continuous `takes` the presolve of HiGHS 1.14 called a choice of -0.054 optimal (as in its issue 3274)."""
    problem = choice(
        ({"a": -0.021, "b": 0.016}, 3.0),
        ({"a": 17.61, "b": 4.31, "c": -3e6}, 3.0),
        ({"b": -0.018, "c": -0.027}, 0.28914903),
        ({"c": 102.444}, 2.47308405),
        ({"a": -0.018, "b": -0.036, "c": 0.09}, 2.55827912),
        kind="affinity",
        groups=4,
        budget=4.316047280296392,
    )
    assert solved(Milp(), problem).value == pytest.approx(-21.893)


# -- sets of tasks -------------------------------------------------------------------------------------------


def test_partitions_of_least_price() -> None:
    """Three tasks; the price of a part is the square of its size: parts of one are best."""
    price = np.array([bin(mask).count("1") ** 2 for mask in range(8)], dtype=float)
    best, part = least_by_number(price, 3)
    assert best[:, -1].tolist() == [math.inf, 9, 5, 3]
    assert partition(part, 3) == [1, 2, 4]
    assert partition(part, 1) == [7]


def test_too_many_partial_choices_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the default goes on with CP-SAT."""
    monkeypatch.setattr("dnnplan.solvers.grouping.selection_labels.MOST_LABELS", 0)
    problem = choice(PAIR, *ALONE, budget=3)
    assert choose_within_budget(useful(problem), None, lambda: False) is None
    search = solved(Auto(), problem)
    assert search.proved
    assert search.value == pytest.approx(0.25)


def test_a_stopped_programme_chooses_nothing() -> None:
    assert choose_within_budget(useful(choice(PAIR, *ALONE, budget=3)), None, lambda: True) is None


# -- published sets ------------------------------------------------------------------------------------------


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default has to do without CP-SAT: its dynamic programme is enough for few tasks."""
    asked = "the default asked CP-SAT"
    monkeypatch.setattr(
        "dnnplan.solvers.grouping.selection.solve_selection_cpsat", lambda *_: pytest.fail(asked)
    )


@needs_data("grouping")
@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("file", "setting"), [("results.txt", "setting1"), ("results_large.txt", "setting2")]
)
def test_budgets_of_standley(file: str, setting: str) -> None:
    """The least validation loss for each budget, found by others by exhaustion (facts of the data set)."""
    folder = data_folder() / "grouping" / "standley2020"
    known = json.loads((folder / "check_optima.json").read_text(encoding="utf-8"))[setting]
    for row in known:
        instance = standley.read(folder / file)
        problem = selection_problem(_with_limits(instance, budget=row["budget"]))
        search = solved(Auto(), problem)
        assert search.proved
        assert search.value == pytest.approx(row["val_opt"], abs=1e-5)


@needs_data("grouping")
@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("matrix", "groups", "value"),
    [
        ("tag_taskonomy", 2, 0.3216958032394596),
        ("tag_taskonomy", 3, 0.34867039830237195),
        ("hoa_taskonomy_loss", 2, 0.10186),
        ("hoa_taskonomy_loss", 3, 0.09792),
        ("tag_celeba", 2, -99.44181870393943),
    ],
)
def test_groups_of_tag(matrix: str, groups: int, value: float) -> None:
    """The best choice of at most so many groups, by exhaustion; 511 candidates for the nine tasks of CelebA."""
    path = data_folder() / "grouping" / "tag2021" / "tag_matrices.json"
    problem = selection_problem(_with_limits(tag.read(path, matrix), groups=groups))
    for kind in (Auto, Subsets, Enumeration, CpSat, Milp):
        search = solved(kind(), problem)
        assert search.proved, kind.__name__
        assert search.best is not None
        assert search.best.measures[problem.name] == pytest.approx(value, rel=1e-9), kind.__name__


def _with_limits(instance: Instance, **limits: Any) -> Instance:
    return replace(instance, limits=Limits(**limits))
