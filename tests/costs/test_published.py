"""The one evaluator against published data: stored schedules and splits cost what their authors say.

Figures are compared to the digits that are printed. See the readers in `instances/formats/` for the sources.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable

import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.instances import Plan
from dnnplan.instances.files import read_instance
from dnnplan.instances.plan import layer_key
from tests.support.data import data_folder, needs_data

SAGA_COUNT, AUCKLAND_COUNT = 24, 176


def plan_of(rows: Iterable[tuple[str, str, float, float]], task: str = "graph") -> Plan:
    """A plan from (layer, device, start, end); each device runs its layers in the order of their times."""
    placement: dict[str, str] = {}
    order: dict[str, tuple[str, ...]] = {}
    for layer, device, *_ in sorted(rows, key=lambda row: row[2:]):
        key = layer_key(task, 0, layer)
        placement[key] = device
        order[device] = (*order.get(device, ()), key)
    return Plan(placement=placement, order=order)


@needs_data("saga_instances")
def test_stored_heft_schedules_of_saga_take_what_they_took() -> None:
    files = sorted((data_folder() / "saga_instances").glob("*.json"))
    assert len(files) >= SAGA_COUNT
    for file in files:
        tree = json.loads(file.read_text())
        instance = read_instance(file)
        schedule = [(task, node, start, end) for task, node, start, end in tree["heft_schedule_hashseed0"]]
        printed = tree["hashseed_makespans"]["0"]["HEFT"]
        plan = plan_of(schedule)
        assert evaluate(instance, plan).cost.latency == pytest.approx(printed, abs=1e-6), file.name
        if len(schedule) < 100:
            assert check(instance, plan) == ()


@needs_data("sched/auckland")
def test_reference_schedules_of_auckland_take_the_optimum() -> None:
    files = sorted((data_folder() / "sched" / "auckland").glob("*.json"))
    assert len(files) >= AUCKLAND_COUNT
    for file in files:
        tree = json.loads(file.read_text())
        instance = read_instance(file)
        names = mapping_problem(instance).devices
        schedule = tree["reference_schedule"].items()
        plan = plan_of((task, names[processor], start, end) for task, (processor, start, end) in schedule)
        assert evaluate(instance, plan).cost.latency == tree["optimum"], file.name
        assert check(instance, plan) == (), file.name


EXPERTS = {
    "bert24_inference": "20.084",
    "bert24_training": "49.4049",
    "gnmt_inference": "46.2085",
    "gnmt_training": "137.154",
    "inceptionv3_inference": "102.482",
    "resnet50_inference": "43.9183",
}
"""Max-load of the experts' splits, as the code of the authors prints it."""


def expert_parts(name: str) -> dict[str, list[str]]:
    """Nodes of each device of an expert's split."""
    path = data_folder() / "dnn_partitioning" / "human-experts" / f"{name}_expert.json"
    tree = json.loads(path.read_text())
    parts = {"cpu": [str(node) for cpu in tree["cpus"] for node in cpu["nodes"]]}
    for number, accelerator in enumerate(tree["fpgas"]):
        parts[f"accelerator-{number}"] = [str(node) for node in accelerator["nodes"]]
    return parts


def graph_file(kind: str, name: str):
    """The file of a layer graph; skips where it is not among the data."""
    path = data_folder() / "dnn_partitioning" / f"{kind}-inputs" / "LayerGraphs" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {path.parent}")
    return path


@needs_data("dnn_partitioning")
@pytest.mark.parametrize("name", EXPERTS)
def test_max_load_of_experts_splits(name: str) -> None:
    instance = read_instance(graph_file("throughput", name))
    assert instance.objective == "max_load"
    rank = {key: i for i, key in enumerate(mapping_problem(instance).layers)}
    order = mapping_problem(instance).topological
    position = {key: order.index(i) for key, i in rank.items()}
    plan = plan_of(
        (node, device, position[layer_key("graph", 0, node)], 0)
        for device, nodes in expert_parts(name).items()
        for node in nodes
    )
    value = evaluate(instance, plan).cost.max_load
    assert f"{value:.6g}" == EXPERTS[name]
    with (data_folder() / "dnn_partitioning" / "throughput_results_authors_code.csv").open() as file:
        rows = {(row["instance"], row["method"]): row["max_load"] for row in csv.DictReader(file)}
    assert rows[f"LayerGraphs/{name}.json", "human expert"] == EXPERTS[name]
    assert check(instance, plan) == ()


def one_call_each(name: str) -> Plan:
    """An expert's split with one call on each accelerator."""
    parts = {device: nodes for device, nodes in expert_parts(name).items() if nodes}
    return Plan(
        placement={layer_key("graph", 0, node): device for device, nodes in parts.items() for node in nodes},
        calls={
            device: tuple(layer_key("graph", 0, node) for node in nodes) for device, nodes in parts.items()
        },
        order={device: (device,) for device in parts},
    )


@needs_data("dnn_partitioning")
def test_latency_of_the_expert_for_bert_who_needs_an_accelerator_more(tmp_path) -> None:
    path = graph_file("latency", "bert24_inference")
    tree = json.loads(path.read_text())
    plan = one_call_each("bert24_inference")
    assert len(plan.order) == tree["maxFPGAs"] + 1
    tree["maxFPGAs"] += 1
    larger = tmp_path / path.name
    larger.write_text(json.dumps(tree))
    instance = read_instance(larger)
    assert (instance.objective, instance.limits.calls_per_device) == ("latency", 1)
    assert f"{evaluate(instance, plan).cost.latency:.6g}" == "111.937"
    assert check(instance, plan) == ()
    unknown = {v.rule for v in check(read_instance(path), plan)}
    assert unknown  # the device is not there


@needs_data("dnn_partitioning")
def test_latency_of_the_expert_for_inception_who_exceeds_the_memory() -> None:
    instance = read_instance(graph_file("latency", "inceptionv3_inference"))
    plan = one_call_each("inceptionv3_inference")
    assert f"{evaluate(instance, plan).cost.latency:.6g}" == "865.519"
    assert {violation.rule for violation in check(instance, plan)} == {"memory_static"}


@needs_data("hax_conn")
def test_both_networks_of_haxconn_one_after_the_other_on_the_gpu() -> None:
    path = data_folder() / "hax_conn" / "layer_groups.csv"
    instance = read_instance(path, networks="googlenet,alexnet")
    layers = mapping_problem(instance).layers
    plan = Plan(placement=dict.fromkeys(layers, "gpu"), order={"gpu": layers})
    assert evaluate(instance, plan).cost.latency == pytest.approx(3.51e-3, rel=1e-12)
    assert check(instance, plan) == ()


@needs_data("hax_conn")
@pytest.mark.parametrize(
    ("options", "optimum"),
    [({}, 2.52e-3), ({"switches": 1}, 2.52e-3), ({"switches": 1, "slowdown": "static"}, 4.84844e-3)],
)
def test_optimum_of_the_model_of_haxconn(options, optimum) -> None:
    from dnnplan.solvers import solve

    path = data_folder() / "hax_conn" / "layer_groups.csv"
    instance = read_instance(path, networks="googlenet,alexnet", **options)
    result = solve(instance, "cpsat", time_limit=30, workers=1)
    assert result.status == "optimal"
    assert result.objective.value == pytest.approx(optimum, rel=1e-5)


@needs_data("sched/hetero_dag")
def test_examples_on_unrelated_machines_have_their_known_optima() -> None:
    from dnnplan.solvers import solve

    with (data_folder() / "sched" / "best_known.csv").open() as file:
        known = {row["file"]: float(row["upper_bound"]) for row in csv.DictReader(file) if row["status"]}
    files = sorted((data_folder() / "sched" / "hetero_dag").glob("*.txt"))
    assert len(files) >= 7
    for file in files:
        result = solve(read_instance(file), "cpsat", time_limit=30, workers=1)
        assert result.status == "optimal"
        assert result.objective.value == pytest.approx(known[f"hetero_dag/{file.name}"], rel=1e-6), file.name


ON_THE_CPU = {
    "LayerGraphs/bert24_inference": "924.06",
    "LayerGraphs/inceptionv3_inference": "1952.77",
    "OperatorGraphs/bert_l-3_inference": "1099.93",
    "OperatorGraphs/resnet50_inference": "6666.67",
}
"""Latency with every layer on the CPU: the longest path of the graph in `cpuLatency`."""


@needs_data("dnn_partitioning")
@pytest.mark.parametrize("name", ON_THE_CPU)
def test_the_cpu_runs_any_number_of_calls_at_once(name: str) -> None:
    path = data_folder() / "dnn_partitioning" / "latency-inputs" / f"{name}.json"
    instance = read_instance(path)
    problem = mapping_problem(instance)
    seconds = problem.duration[:, problem.devices.index("cpu")]
    start = [0.0] * problem.n
    for i in problem.topological:
        before = [int(problem.source[k]) for k in problem.inputs[i]]
        start[i] = max((start[j] + seconds[j] for j in before), default=0.0)
    # Calls start in the order of their device, also where it has a slot for each of them.
    keys = [problem.layers[i] for i in sorted(problem.topological, key=start.__getitem__)]
    plan = Plan(placement=dict.fromkeys(keys, "cpu"), order={"cpu": tuple(keys)})
    assert f"{evaluate(instance, plan).cost.latency:.6g}" == ON_THE_CPU[name]
    assert check(instance, plan) == ()
