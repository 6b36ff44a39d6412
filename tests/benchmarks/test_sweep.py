"""A sweep is the cases of a suite over seeds, limits, objectives and solvers; its status tells how far it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from benchmarks.case import Case, Measurement
from benchmarks.status import Estimate, Status, Tracker
from benchmarks.sweep import Sweep, planned
from dnnplan.instances import InputError
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.runs import Row, best_values, primal_integral

HAND = partial(load_bundled, "tiny/hand")


def case(**changes: Any) -> Case:
    values: dict[str, Any] = {"instance": "hand", "build": HAND, "solver": "heft", "time_limit": 5.0}
    return Case(**(values | changes))


GIVEN = (case(), case(solver="cpsat", time_limit=20.0), Measurement(name="heft-1000x8"))


def rows_of(sweep: Sweep) -> list[Row]:
    return [task.row for task in planned(sweep, sweep.cases())]


def test_seeds_limits_and_objectives_multiply() -> None:
    sweep = Sweep(
        suite="s", given=GIVEN, seeds=(0, 1), time_limits=(1.0, 2.0), objectives=("latency", "energy")
    )
    rows = rows_of(sweep)
    solves = {(r.solver, r.seed, r.time_limit, r.objective) for r in rows if r.kind == "solve"}
    assert len(solves) == 2 * 2 * 2 * 2
    assert [r.instance for r in rows if r.kind == "measure"] == ["heft-1000x8"]
    assert len(rows) == 17 == len({row.key for row in rows})


def test_cases_that_differ_only_in_what_is_replaced_are_one() -> None:
    sweep = Sweep(suite="s", given=(case(objective="energy"), case()), objectives=("latency",))
    assert [row.objective for row in rows_of(sweep)] == ["latency"]


def test_solvers_are_chosen_from_a_suite_or_added_to_its_questions() -> None:
    chosen = rows_of(Sweep(suite="s", given=GIVEN, solvers=("cpsat",)))
    assert [(row.solver, row.time_limit) for row in chosen] == [("cpsat", 20.0)]
    added = rows_of(Sweep(suite="s", given=(*GIVEN, case(objective="energy")), solvers=("milp", "heft")))
    assert sorted((row.solver, row.objective) for row in added) == [
        ("heft", ""),
        ("heft", "energy"),
        ("milp", ""),
        ("milp", "energy"),
    ]
    with pytest.raises(InputError, match='hefty: no such solver, did you mean "heft"'):
        Sweep(suite="s", given=GIVEN, solvers=("hefty",)).cases()


def test_limits_of_a_task_follow_from_the_sweep() -> None:
    task, measurement = list(planned(Sweep(suite="s", given=(case(), GIVEN[2])), [case(), GIVEN[2]]))
    assert (task.task.patience, task.task.memory, task.alone) == (70.0, None, False)
    assert (measurement.task.patience, measurement.alone) == (200.0, True)
    sweep = Sweep(suite="s", given=(case(),), memory=2**30, grace=3.0)
    (strict,) = planned(sweep, sweep.cases())
    assert (strict.task.patience, strict.task.memory, strict.row.limit_memory) == (8.0, 2**30, 2**30)
    assert strict.row.key != task.row.key


def test_an_instance_is_built_once_for_several_solvers() -> None:
    built = []

    def build() -> Any:
        built.append(1)
        return HAND()

    cases = [case(build=build), case(build=build, solver="cpsat"), case(instance="other", build=build)]
    assert len(list(planned(Sweep(suite="s", seeds=(0, 1, 2)), cases))) == 9
    assert len(built) == 2


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "suite": "s", "instance": "hand", "solver": "heft", "time_limit": 5.0, "status": "feasible",
        "stop_reason": "time_limit", "value": 2.0, "valid": True, "seconds": 1.0,
    }  # fmt: skip
    return Row(**(values | changes))


def test_estimates_come_from_the_same_question_then_from_the_solver_then_from_the_limit() -> None:
    estimate = Estimate([row(seconds=1.0), row(seconds=3.0, seed=1)])
    assert estimate.seconds(case()) == 2.0
    assert estimate.seconds(case(instance="other", time_limit=10.0)) == pytest.approx(4.0)
    assert estimate.seconds(case(solver="cpsat", time_limit=10.0)) == 10.0
    assert estimate.seconds(Measurement(name="m", seconds=7.0)) == 7.0
    estimate.learn(row(kind="measure", instance="m", solver="", time_limit=None, seconds=3.0))
    assert estimate.seconds(Measurement(name="m", seconds=7.0)) == 3.0


def test_status_counts_and_names_what_runs() -> None:
    tracker = Tracker([case(), case(solver="cpsat", time_limit=20.0)], 2, [])
    tracker.skip(0)
    tracker.start(1, "hand heft")
    status = tracker.status(parallel=1)
    assert (status.done, status.total, [name for name, _ in status.running]) == (1, 4, ["hand heft"])
    assert 44.0 < status.remaining <= 45.0
    assert 22.0 < tracker.status(parallel=2).remaining <= 22.5
    tracker.finish(1, row(status="error"))
    tracker.skip(2)
    tracker.skip(3)
    after = tracker.status(parallel=1)
    assert (after.done, after.failed, after.running, after.remaining) == (4, 1, (), 0.0)
    assert "4 of 4 rows" in after.line()
    assert "1 failed" in after.line()


def test_the_line_of_a_sweep_at_its_end_has_no_estimate() -> None:
    status = Status(done=2, total=2, failed=0, running=(), elapsed=61.0, remaining=0.0)
    assert status.line() == "2 of 2 rows, 1 min 1 s"


@pytest.mark.parametrize(
    ("history", "value", "best", "expected"),
    [
        ((), None, 1.0, 5.0),
        (((1.0, 2.0, None),), 2.0, 2.0, 1.0),
        (((1.0, 4.0, None), (3.0, 2.0, None)), 2.0, 2.0, 1.0 + 2 * 0.5),
        (((1.0, 4.0, None),), 4.0, 2.0, 1.0 + 4 * 0.5),
        (((9.0, 2.0, None),), 2.0, 2.0, 5.0),
        (((1.0, 0.0, None),), 0.0, 0.0, 1.0),
        (((1.0, -1.0, None),), -1.0, 1.0, 5.0),
    ],
    ids=["no plan", "best at once", "two steps", "never the best", "after the limit", "zero", "other sign"],
)
def test_primal_integrals(history: Any, value: float | None, best: float, expected: float) -> None:
    assert primal_integral(row(history=history, value=value), best) == pytest.approx(expected)


def test_an_answer_without_a_history_counts_from_its_end() -> None:
    assert primal_integral(row(seconds=2.0), 2.0) == pytest.approx(2.0)
    assert primal_integral(row(time_limit=None), 2.0) is None


def test_a_plan_that_was_refused_counts_as_none() -> None:
    history = ((1.0, 2.0, None),)
    assert primal_integral(row(history=history, value=2.0), 2.0) == pytest.approx(1.0)
    assert primal_integral(row(history=history, value=2.0, valid=False, status="error"), 2.0) == 5.0


def test_best_values_are_those_of_checked_plans_by_sense() -> None:
    rows = [row(), row(solver="bad", value=1.0, valid=False), row(solver="cpsat", value=1.5)]
    rows += [row(instance="most", sense="max", value=v) for v in (1.0, 3.0)]
    best = best_values(rows)
    assert best[rows[0].question] == 1.5
    assert best[rows[-1].question] == 3.0
