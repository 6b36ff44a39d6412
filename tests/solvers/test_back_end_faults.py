"""Native back ends that are missing, end, or lie: a typed error, or what was checked before stands."""

from __future__ import annotations

import builtins
import random
import sys
from typing import Any

import pytest

import dnnplan
from dnnplan.instances import Instance, MissingDependencyError, Ordering, SolverError, Task
from dnnplan.instances.files import loads_instance
from dnnplan.instances.generators import task_sharing, whole_instance
from dnnplan.solvers import Search, Settings, get_solver
from dnnplan.solvers.back_ends import contradiction
from dnnplan.solvers.exact.highs import Outcome

cp_model = pytest.importorskip("ortools.sat.python.cp_model")

ORDER = Instance(
    objective="switching",
    tasks=tuple(Task(name=name, model="net") for name in "abcd"),
    ordering=Ordering(switch=((0, 1, 9, 2), (9, 0, 2, 3), (3, 9, 0, 1), (1, 2, 3, 0)), closed=True),
)
SERVED = """{"format_version": "1.0", "platform": {"devices": [{"name": "cpu"}]},
 "models": [{"name": "net", "layers": [{"name": "a", "exit": "e"}, {"name": "b"}],
  "tensors": [{"name": "x", "bytes": 4, "source": "a", "targets": ["b"]}]}],
 "tasks": [{"name": "t", "model": "net"}],
 "workload": {"streams": [{"name": "s", "task": "t",
  "arrivals": {"kind": "trace", "times": [0, 0.001, 0.015, 0.03, 0.031]}}]},
 "costs": {"batch_latency": {"net/e": {"1": 0.01, "2": 0.015, "3": 0.018},
  "net/final": {"1": 0.02, "2": 0.03, "3": 0.034}}}}"""


def cases() -> dict[str, Instance]:
    return {
        "mapping": dnnplan.load("tiny/hand"),
        "grouping": task_sharing(4, 3),
        "joint": task_sharing(3, 2),
        "ordering": ORDER,
        "whole": whole_instance(tasks=2, blocks=3, devices=2),
        "serving": loads_instance(SERVED),
    }


PROBLEMS = tuple(cases())
WITH_MILP = tuple(name for name in PROBLEMS if name != "whole")


def solve(problem: str, solver: str, **more: Any) -> Any:
    return dnnplan.solve(cases()[problem], solver, problem=problem, workers=1, **{"time_limit": 3.0, **more})


def optimum(problem: str) -> float:
    # Kernels may have to be compiled first; the search itself takes a moment.
    result = solve(problem, "auto", time_limit=120)
    assert result.status == "optimal"
    return result.objective.value


def lies(monkeypatch: pytest.MonkeyPatch, *, status: int | None = None, bound: Any = None) -> None:
    """CP-SAT searches, and then says something else."""

    class Lying(cp_model.CpSolver):  # type: ignore[misc,name-defined]
        def solve(self, model: Any, callback: Any = None) -> int:
            found = super().solve(model, callback if status is None else None)
            return found if status is None else status

        @property
        def best_objective_bound(self) -> float:
            true = super().best_objective_bound
            return true if bound is None else bound(true)

    monkeypatch.setattr(cp_model, "CpSolver", Lying)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_wrong_infeasible_does_not_stand_against_a_plan(problem, monkeypatch):
    best = optimum(problem)
    lies(monkeypatch, status=cp_model.INFEASIBLE)
    result = solve(problem, "cpsat")
    assert result.status in ("feasible", "optimal")
    assert result.valid
    assert result.objective.value >= best * (1 - 1e-9)
    if result.status == "optimal":  # simple plans and bounds have proven it
        assert result.objective.value == pytest.approx(best)


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p != "serving"])
def test_a_bound_above_a_checked_plan_is_an_error(problem, monkeypatch):
    lies(monkeypatch, bound=lambda true: 10 * abs(true) + 1000)
    with pytest.raises(SolverError, match="claims the bound"):
        solve(problem, "cpsat")


def test_a_bound_above_a_checked_plan_is_an_error_in_serving(monkeypatch):
    """Quick bounds prove small ones, so CP-SAT has to be asked alone."""
    monkeypatch.setattr("dnnplan.solvers.serving.exact.improve_bounds", lambda *_: None)
    lies(monkeypatch, bound=lambda true: 10 * abs(true) + 1000)
    with pytest.raises(SolverError, match="claims the bound"):
        solve("serving", "cpsat")


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("values", [(0, 1), (0, 1, -1, 7, 10**12)])
def test_broken_assignments_are_not_plans(problem, values, monkeypatch):
    """Whatever is read from CP-SAT is judged here: a plan that cannot run, or is worse, is not kept."""
    best = optimum(problem)
    numbers = random.Random(0)
    monkeypatch.setattr(
        cp_model.CpSolverSolutionCallback, "value", lambda self, variable: numbers.choice(values)
    )
    result, said = None, ""
    try:
        result = solve(problem, "cpsat")
    except SolverError as error:
        said = str(error)
    if result is None:
        assert "its answer is none" in said or "claims the bound" in said
    else:
        assert result.valid
        assert result.objective.value >= best * (1 - 1e-9)


@pytest.mark.parametrize("problem", ["mapping", "grouping", "ordering", "joint", "whole"])
def test_what_native_code_raises_is_typed(problem, monkeypatch):
    def fails(self: Any, variable: Any) -> int:
        raise RuntimeError("out of something")

    monkeypatch.setattr(cp_model.CpSolverSolutionCallback, "value", fails)
    with pytest.raises(SolverError, match="out of something"):
        solve(problem, "cpsat")


def highs_says(
    monkeypatch: pytest.MonkeyPatch, status: str, bound: float, value: float | None = None
) -> None:
    def run(model: Any, *, on_solution: Any, on_bound: Any, **_: Any) -> Outcome:
        if value is not None:
            on_solution({variable.name: value for variable in model.variables()})
        return Outcome(status, bound, 0)

    monkeypatch.setattr("dnnplan.solvers.exact.highs.run_highs", run)
    monkeypatch.setattr("dnnplan.solvers.serving.exact.improve_bounds", lambda *_: None)


@pytest.mark.parametrize("problem", WITH_MILP)
def test_highs_that_lies(problem, monkeypatch):
    best = optimum(problem)
    with monkeypatch.context() as patched:
        highs_says(patched, "infeasible", float("-inf"))
        result = solve(problem, "milp")
        assert result.status in ("feasible", "optimal")
        assert result.valid
    with monkeypatch.context() as patched:
        highs_says(patched, "optimal", 1e9)
        with pytest.raises(SolverError, match="claims the bound"):
            solve(problem, "milp")
    for value in (0.0, 1.0):
        with monkeypatch.context() as patched:
            highs_says(patched, "time_limit", float("-inf"), value)
            result = solve(problem, "milp")
            assert result.valid
            assert result.objective.value >= best * (1 - 1e-9)


def test_highs_that_fails_is_an_error(monkeypatch):
    highspy = pytest.importorskip("highspy")

    def fails(self: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(highspy.Highs, "solve", fails)
    with pytest.raises(SolverError, match="HiGHS failed: RuntimeError: no memory"):
        solve("mapping", "milp")


def test_a_solver_of_pulp_that_is_killed_is_an_error(monkeypatch):
    pulp = pytest.importorskip("pulp")
    from dnnplan.solvers.exact.milp import Milp, MilpParameters

    if "PULP_CBC_CMD" not in pulp.listSolvers(onlyAvailable=True):
        pytest.skip("no CBC")
    popen = pulp.apis.coin_api.subprocess.Popen

    def killed(*arguments: Any, **options: Any) -> Any:
        process = popen(*arguments, **options)
        process.kill()
        return process

    monkeypatch.setattr(pulp.apis.coin_api.subprocess, "Popen", killed)
    problem = dnnplan.costs.mapping_problem(dnnplan.load("tiny/hand"))
    search = Search(problem, Settings(time_limit=10), name="milp")
    with pytest.raises(SolverError, match="PULP_CBC_CMD failed"):
        Milp(MilpParameters(backend="PULP_CBC_CMD")).run(problem, search)


@pytest.fixture
def nothing_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a package impossible to import."""

    def hide(package: str) -> None:
        real = builtins.__import__

        def load(name: str, *arguments: Any, **options: Any) -> Any:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
            return real(name, *arguments, **options)

        for name in list(sys.modules):
            if name.partition(".")[0] == package or name.startswith("dnnplan.formulations"):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(builtins, "__import__", load)

    return hide


@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_ortools_its_solver_is_refused_and_auto_goes_on(problem, nothing_of):
    best = optimum(problem)
    nothing_of("ortools")
    if problem != "serving":  # which quick bounds prove
        with pytest.raises(MissingDependencyError, match="ortools cannot be loaded"):
            solve(problem, "cpsat")
    try:
        result = solve(problem, "auto", time_limit=1.0)
    except MissingDependencyError:
        # First plans of the whole come from parts that may need OR-Tools; those in kernels that are compiled do not.
        assert problem == "whole"
        return
    assert result.valid
    assert result.objective.value >= best * (1 - 1e-9)


def test_who_says_infeasible_beside_a_plan_contradicts_itself(monkeypatch):
    problem = dnnplan.costs.mapping_problem(dnnplan.load("tiny/hand"))
    search = Search(problem, Settings(time_limit=1), name="heft")
    assert contradiction(search) == ""
    get_solver("heft").run(problem, search)
    assert contradiction(search) == ""
    search.infeasible = "no plan"
    assert "yet a checked plan costs" in contradiction(search)

    def claims(self: Any, problem: Any, search: Any) -> None:
        search.infeasible = "no plan"

    monkeypatch.setattr("dnnplan.solvers.lists.heft.Heft.run", claims)
    with pytest.raises(SolverError, match="yet a checked plan costs"):
        dnnplan.solve(dnnplan.load("tiny/hand"), "heft", warm_start=search.best.plan)
