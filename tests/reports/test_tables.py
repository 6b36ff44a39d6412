"""Tables say what is in the instance and the results."""

from __future__ import annotations

import io

from report_plans import hand_evaluation
from rich.console import Console

from dnnplan.costs import mapping_problem
from dnnplan.costs.explain import explain
from dnnplan.instances import Cost, Device, Instance, ObjectiveValue, Platform, Result
from dnnplan.instances.catalogue import load_bundled, load_platform
from dnnplan.reports import tables


def _text(table, width=120) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _cells(table) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_devices_can_run_and_are_fastest_for():
    instance = load_bundled("tiny/hand")
    rows = _cells(tables.devices_table(instance.platform, mapping_problem(instance)))
    # The NPU cannot run score; join takes as long on both.
    assert [(row[0], row[-2], row[-1]) for row in rows] == [("cpu", "6 of 6", "2"), ("npu", "5 of 6", "5")]


def test_copies_of_a_device_are_one_row():
    platform = Platform(
        devices=(Device(name="a", count=2), Device(name="b", peak_flops={"*": 1e9, "int8": 4e9}))
    )
    rows = _cells(tables.devices_table(platform))
    assert [(row[0], row[2]) for row in rows] == [("a x 2", "-"), ("b", "4 GFLOP/s int8")]


def test_layers_with_times_on_every_device():
    instance = load_bundled("tiny/hand")
    rows = _cells(tables.layers_table(instance.models[0], mapping_problem(instance)))
    assert rows[0] == ["stem", "Conv", "0 FLOP", "500 B", "4 ms", "2 ms"]
    assert rows[5][-2:] == ["1 ms", "-"]


def test_links_and_models_of_a_bundled_platform():
    assert "cpu-gpu" in _text(tables.links_table(load_platform("phone-soc")))
    assert _cells(tables.models_table(load_bundled("tiny/hand")))[0][:3] == ["hand", "6", "7"]


def _result(solver, objective, value):
    cost = Cost(
        latency=0.01,
        energy=2.0,
        edp=0.02,
        traffic=1e6,
        max_load=0.004,
        weighted_completion=0.01,
        tardiness=0.0,
    )
    return Result(
        status="feasible",
        stop_reason="exhausted",
        objective=ObjectiveValue(name=objective, value=value, unit="s"),
        cost=cost,
        solver=solver,
    )


def test_comparison_shows_the_objective_where_no_column_does():
    instance = Instance(name="x")
    plain = tables.comparison_table([(instance, _result("heft", "latency", 0.01))], several=False)
    assert "latency" in [column.header for column in plain.columns]
    assert "instance" not in [column.header for column in plain.columns]
    own = tables.comparison_table([(instance, _result("heft", "max_load", 0.004))], several=True)
    row = dict(zip([column.header for column in own.columns], _cells(own)[0], strict=True))
    assert (row["instance"], row["max_load"], row["latency"], row["bound"]) == ("x", "4 ms", "10 ms", "-")


def test_the_longest_steps_are_shown_in_the_order_of_time():
    evaluation = hand_evaluation()
    path = explain(evaluation.problem, evaluation.plan).path
    table = tables.path_table(path, most=3)
    assert "the longest 3 of 8 steps" in str(table.title)
    # right takes 5 ms; stem and head 2 ms each.
    assert [row[2] for row in _cells(table)] == ["hand/0/stem", "hand/0/right", "hand/0/head"]
    assert len(_cells(tables.path_table(path, most=50))) == len(path)


def test_use_and_what_if():
    evaluation = hand_evaluation()
    explanation = explain(evaluation.problem, evaluation.plan)
    assert [row[0] for row in _cells(tables.use_table(explanation))] == ["cpu", "npu", "bus"]
    assert _cells(tables.what_if_table(explanation))[0] == ["all transfers free", "11 ms", "21.43 %"]
