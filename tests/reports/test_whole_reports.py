"""Whole plans as text and as a picture."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.whole import whole_problem
from dnnplan.instances import Limits, PlanError
from dnnplan.instances.generators import whole_instance
from dnnplan.reports.whole_figure import write_whole_plan
from dnnplan.reports.whole_plan_text import order_line, whole_plan_text
from dnnplan.reports.whole_views import ALL, whole_views


@pytest.fixture(scope="module")
def solved():
    instance = whole_instance(3, 5, 2, seed=0)
    return instance, dnnplan.solve(instance, "sequential", problem="whole", time_limit=30, workers=1)


def test_bars_have_the_colours_of_the_tasks_they_run_for(solved):
    instance, result = solved
    views = whole_views(instance, result.plan, result)
    shared = ["+".join(instance.tasks[t].name for t in group) for group in views.shares if len(group) < 3]
    assert views.schedule.networks == ("task0", "task1", "task2", ALL, *shared)
    problem = whole_problem(instance)
    answer = problem.judge(result.plan).decisions
    users = {}
    for row in problem.layers(answer.groups):
        for task, (layer,) in enumerate(row):
            users.setdefault(answer.evaluation.problem.layers[layer], set()).add(task)
    bars = [bar for row in views.schedule.rows if row.kind == "device" for bar in row.bars]
    assert len(bars) == len(users)
    for bar in bars:
        assert views.networks[tuple(sorted(users[bar.name]))] == bar.network
        assert bar.detail == bar.name.split("/")[-1]
    assert views.schedule.latency == result.cost.latency
    assert max(views.ends) == pytest.approx(max(bar.end for bar in bars))
    assert [instance.tasks[t].name for t in views.order] == list(result.plan.task_order)


def test_text_has_task_graph_ends_and_chart(solved):
    instance, result = solved
    text = whole_plan_text(instance, result.plan, result, width=80).plain
    assert text.startswith("task graph, on the best device: ")
    assert order_line(whole_views(instance, result.plan)) in text
    assert f"E {ALL}" in text or f"D {ALL}" in text
    assert "d0 " in text


def test_pictures_are_the_same_for_the_same_plan_and_not_overwritten(solved, tmp_path):
    pytest.importorskip("matplotlib")
    instance, result = solved
    for name in ("a.svg", "b.svg"):
        write_whole_plan(instance, result.plan, tmp_path / name, result)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    drawn = (tmp_path / "a.svg").read_text()
    assert "where and when it runs" in drawn
    assert "task graph: " in drawn
    with pytest.raises(FileExistsError):
        write_whole_plan(instance, result.plan, tmp_path / "a.svg")


def test_plans_without_a_task_graph_have_a_chart_alone(tmp_path):
    pytest.importorskip("matplotlib")
    instance = replace(whole_instance(2, 3, 2, seed=1), sharing=None, limits=Limits())
    result = dnnplan.solve(instance, "sequential", problem="whole", time_limit=30, workers=1)
    views = whole_views(instance, result.plan)
    assert views.graph is None
    assert views.shares == ()
    assert views.schedule.networks == ("task0", "task1")
    assert "task graph" not in whole_plan_text(instance, result.plan).plain
    write_whole_plan(instance, result.plan, tmp_path / "x.png")
    with pytest.raises(PlanError):
        whole_views(whole_instance(2, 3, 2, seed=1), result.plan)
