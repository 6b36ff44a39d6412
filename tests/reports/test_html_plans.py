"""Documents of plans of every kind: their charts hold the times, memories, nodes and orders of the plan."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from report_plans import hand_evaluation, spread_evaluation

import dnnplan
from dnnplan.costs import evaluate
from dnnplan.costs.explain import explain
from dnnplan.costs.residency import memory_levels
from dnnplan.instances import (
    Costs,
    FormatError,
    InputError,
    Instance,
    Layer,
    Limits,
    Model,
    PlanError,
    Task,
    Tensor,
    Workload,
)
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import task_sharing, whole_instance
from dnnplan.instances.sections import Arrivals, Stream
from dnnplan.reports.html import gantt
from dnnplan.reports.html.document import Document, Figure, Table
from dnnplan.reports.html.front_document import front_document, is_front
from dnnplan.reports.html.gantt import gantt_figure
from dnnplan.reports.html.plan_document import plan_document
from dnnplan.reports.schedule import make_schedule
from dnnplan.solvers import solve


def figures(document: Document) -> dict[str, Figure]:
    blocks = (block for section in document.views[0].sections for block in section.blocks)
    return {block.key: block for block in blocks if isinstance(block, Figure)}


def tables(document: Document) -> dict[str, Table]:
    blocks = (block for section in document.views[0].sections for block in section.blocks)
    return {block.title: block for block in blocks if isinstance(block, Table)}


def bars(figure: Figure) -> list[tuple[float, float, str]]:
    """Start, length and text of all bars that are told."""
    return [
        (base, x, text)
        for trace in figure.variants[0].traces
        if trace["type"] == "bar" and trace["hoverinfo"] == "text" and trace["name"] != gantt.CRITICAL
        for base, x, text in zip(trace["base"], trace["x"], trace["text"], strict=True)
    ]


def gantt_of(evaluation) -> Figure:
    explanation = explain(evaluation.problem, evaluation.decisions)
    return gantt_figure(make_schedule(evaluation), evaluation, explanation.path)


def test_gantt_has_every_call_at_its_time_in_the_unit_of_the_axis():
    evaluation = hand_evaluation()
    figure = gantt_of(evaluation)
    assert figure.layout["xaxis"]["title"] == "time (ms)"
    found = {text.split(" on ")[0]: (base, x) for base, x, text in bars(figure)}
    for name, start, end in zip(
        evaluation.decisions.call_names, evaluation.start, evaluation.end, strict=True
    ):
        assert found[name] == pytest.approx((1e3 * start, 1e3 * (end - start)))


@pytest.mark.parametrize(
    "name", ["tiny/hand", "layered/50x4-ccr0.5-host", "h2h/casia-surf-0.25", "multi/3x20x4-ccr1"]
)
def test_critical_path_is_outlined_from_the_beginning_to_the_end(name):
    evaluation = hand_evaluation() if name == "tiny/hand" else spread_evaluation(name)
    explanation = explain(evaluation.problem, evaluation.decisions)
    figure = gantt_of(evaluation)
    outline = next(t for t in figure.variants[0].traces if t["name"] == gantt.CRITICAL and t["type"] == "bar")
    steps = [step for step in explanation.path if step.kind != "wait" and step.end > step.start]
    assert len(outline["x"]) == len(steps)
    end = max(base + x for base, x in zip(outline["base"], outline["x"], strict=True))
    size = steps[-1].end / end
    assert end * size == pytest.approx(evaluation.cost.latency)
    json.dumps([dict(trace) for trace in figure.variants[0].traces], allow_nan=False)


@pytest.mark.parametrize(
    "name", ["tiny/hand", "layered/50x4-ccr0.5-live", "layered/50x4-ccr0.5-host", "h2h/casia-surf-0.25"]
)
def test_memory_profiles_reach_the_peaks_of_the_cost_model_and_go_back(name):
    evaluation = hand_evaluation() if name == "tiny/hand" else spread_evaluation(name)
    levels = memory_levels(evaluation.graph, evaluation.times)
    for memory, (moments, held) in zip(evaluation.problem.memory_names, levels, strict=True):
        assert held.max() == pytest.approx(evaluation.cost.memory[memory])
        assert moments.tolist() == sorted(set(moments.tolist()))
        assert held.min() >= -1e-6


def test_long_plans_are_drawn_with_neighbours_joined(monkeypatch):
    evaluation = spread_evaluation("layered/200x4-ccr1")
    whole = bars(gantt_of(evaluation))
    monkeypatch.setattr(gantt, "MOST_BARS", 60)
    monkeypatch.setattr(gantt, "MOST_MOMENTS", 20)
    figure = gantt_of(evaluation)
    few = bars(figure)
    assert len(few) <= 60 < len(whole)
    assert max(b + x for b, x, _ in few) == pytest.approx(max(b + x for b, x, _ in whole))
    assert "drawn as one" in figure.caption
    memory = [t for t in figure.variants[0].traces if t.get("yaxis") == "y2" and t["hoverinfo"] == "text"]
    assert all(len(t["x"]) <= 21 for t in memory)
    peak = max(max(t["y"]) for t in memory)
    assert peak * 10 ** (3 * 0) > 0


def test_plan_of_mapping_says_what_is_known():
    instance = load_bundled("tiny/hand")
    result = solve(instance, "cpsat", time_limit=20)
    document = plan_document(instance, result.plan, result)
    assert set(figures(document)) >= {"gantt"}
    assert {"Devices and links", "Critical path"} <= set(tables(document))
    path = explain(instance, result.plan).path
    assert len(tables(document)["Critical path"].rows) == len(path)
    tiles = document.views[0].sections[0].blocks[0].tiles
    assert any(tile.value == "optimal" for tile in tiles)


def test_plan_without_its_result_and_of_another_instance():
    instance = load_bundled("tiny/hand")
    plan = solve(instance, "heft", time_limit=5).plan
    assert plan_document(instance, plan).title == "Plan of tiny/hand"
    with pytest.raises(PlanError):
        plan_document(load_bundled("layered/50x4-ccr1"), plan)


def test_whole_plan_has_tree_and_chart_in_the_same_colours():
    instance = whole_instance(3, 4, 2, seed=2)
    result = solve(instance, "sequential", problem="joint", time_limit=5)
    found = figures(plan_document(instance, result.plan, result))
    assert {"tree", "gantt"} <= set(found)
    nodes = sum(len(trace["x"]) for trace in found["tree"].variants[0].traces)
    assert nodes == len(found["tree"].variants[0].table.rows)
    colours = {
        trace["name"]: trace["marker"]["color"]
        for trace in found["gantt"].variants[0].traces
        if trace["type"] == "bar"
    }
    assert "critical path" in colours


def test_plans_of_tasks_have_tree_and_order():
    instance = replace(task_sharing(5, 2, seed=1), limits=Limits(variety=0.5))
    result = solve(instance, problem="joint", time_limit=5)
    found = figures(plan_document(instance, result.plan, result))
    assert {"tree", "order"} <= set(found)
    order = found["order"].variants[0]
    assert [cells[1].text for cells in order.table.rows] == list(result.plan.task_order)
    assert order.table.rows[-1][-1].sort == pytest.approx(result.objective.value)


def serving() -> Instance:
    layers, tensor = (
        (Layer(name="a", exit="early"), Layer(name="b")),
        Tensor(source="a", name="x", targets=("b",)),
    )
    trace = Arrivals(kind="trace", times=(0, 1, 2), exits=("", "early", ""))
    return Instance(
        name="camera",
        models=(Model(name="net", layers=layers, tensors=(tensor,)),),
        tasks=(Task(name="see", model="net"),),
        costs=Costs(batch_latency={"early": {"1": 2, "2": 3}, "final": {"1": 3, "2": 4}}),
        workload=Workload(streams=(Stream(name="camera", task="see", arrivals=trace),)),
    )


def test_serving_plan_has_batches_and_latencies():
    result = solve(serving(), "fifo", problem="serving", time_limit=5)
    found = figures(plan_document(serving(), result.plan, result))
    assert {"batches", "latencies"} <= set(found)
    drawn = sum(len(trace["x"]) for trace in found["batches"].variants[0].traces)
    assert drawn == len(result.plan.batches)
    latencies = found["latencies"].variants[0].table.rows
    assert latencies[-1][1].sort == pytest.approx(result.measures["p99"], rel=0.2)


def front_tree(count: int = 4) -> dict:
    rows = [
        {
            "values": {"latency": 1.0 + k, "energy": 8.0 - k},
            "limit": 8.0 - k,
            "status": "optimal" if k else "feasible",
            "gap": 0.0 if k else 0.25,
            "bound": 1.0 + k if k else 0.75,
            "objective": {"name": "latency"},
            "solver": "<b>cpsat",
        }
        for k in range(count)
    ]
    return {"front": rows, "objectives": ["latency", "energy"], "step": 1.0, "chosen": 1}


def test_front_has_its_points_gaps_and_knee():
    assert is_front(front_tree())
    figure = figures(front_document(front_tree()))["front"]
    traces = {trace["name"]: trace for trace in figure.variants[0].traces}
    assert traces["proven"]["x"] == [2.0, 3.0, 4.0]
    assert traces["best found"]["y"] == [8.0]
    assert traces["down to the bound"]["x"] == [0.75, 1.0, None]
    assert traces["knee"]["x"] == [2.0]


def test_front_of_task_graphs():
    tree = {"front": [{"measures": {"size": 10, "variety": 0.5}, "groups": [], "proven": True}], "chosen": 0}
    assert figures(front_document(tree))["front"].variants[0].traces


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        ({"front": []}, InputError),
        ({"front": [1]}, FormatError),
        ({"front": [{}]}, FormatError),
        ({"front": [{"values": {"a": 1}}], "objectives": ["a", "b"]}, FormatError),
        ({"front": [{"values": {"a": 1, "b": True}}], "objectives": ["a", "b"]}, FormatError),
        ({"front": [{"values": {"a": 1, "b": float("nan")}}], "objectives": ["a", "b"]}, FormatError),
        ({"front": [{"values": {"a": 1, "b": 2}}], "objectives": ["a", 3]}, FormatError),
    ],
)
def test_hostile_fronts_are_refused(tree, error):
    with pytest.raises(error):
        front_document(tree)


def test_evaluation_of_the_example_is_what_the_page_says():
    instance = dnnplan.load("tiny/hand")
    plan = solve(instance, "heft", time_limit=5).plan
    gantt_table = figures(plan_document(instance, plan))["gantt"].variants[0].table
    ends = [cells[4].sort for cells in gantt_table.rows]
    assert max(ends) == pytest.approx(evaluate(instance, plan).cost.latency)
