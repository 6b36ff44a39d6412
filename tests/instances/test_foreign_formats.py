"""Readers of foreign formats: figures known by hand, recognition, damaged files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.instances import (
    InputError,
    Plan,
    UnsupportedError,
)
from dnnplan.instances.files import read_instance
from dnnplan.instances.formats import FORMATS, detect_format
from tests.instances.foreign_samples import FOREIGN, PLACEMENT, SAGA, SAMPLES, latency, write_sample  # noqa: F401 (a fixture)
from tests.instances.task_samples import TASK_SAMPLES


def test_every_foreign_format_has_a_sample() -> None:
    assert {*SAMPLES, *TASK_SAMPLES, "onnx", "native"} == set(FORMATS)


@pytest.mark.parametrize("name", FOREIGN)
def test_formats_are_recognised_by_content(sample, name: str) -> None:
    path = sample(name)
    assert detect_format(Path("no suffix"), path.read_bytes()) == name
    assert read_instance(path) == read_instance(path, format=name)


def test_a_native_file_is_not_taken_for_a_foreign_one(tmp_path: Path) -> None:
    assert (
        detect_format(Path("x.json"), b'{"format_version": "1.0", "extensions": ' + SAGA.encode()) == "native"
    )


def test_saga_has_related_machines_and_undirected_links(sample) -> None:
    instance = read_instance(sample("saga"))
    assert instance.name == "saga example"
    assert latency(instance, a="N0", b="N0", c="N0") == pytest.approx(2 + 0.8)
    assert latency(instance, a="N0", b="N1", c="N1") == pytest.approx(2 + 5 / 2.5 + 2)
    assert latency(instance, a="N1", b="N0", c="N0") == pytest.approx(5 + 5 / 2.5 + 0.8)
    placement = {"graph/0/a": "N0", "graph/0/b": "N2", "graph/0/c": "N2"}  # which have no link
    plan = Plan(placement=placement, order={"N0": ("graph/0/a",), "N2": ("graph/0/b", "graph/0/c")})
    assert {violation.rule for violation in check(instance, plan)} == {"route"}


def test_auckland_has_identical_processors(sample) -> None:
    instance = read_instance(sample("auckland"))
    assert mapping_problem(instance).devices == ("processor.0", "processor.1")
    placement = {"1": "processor.0", "2": "processor.0", "3": "processor.1"}
    assert latency(instance, **placement) == 5
    assert latency(instance, **{**placement, "2": "processor.1", "3": "processor.0"}) == 2 + 4 + 3


def test_hetero_dag_has_a_table_and_uniform_communication(sample) -> None:
    instance = read_instance(sample("hetero-dag"))
    assert instance.costs.latency["graph"] == {
        "0": {"machine-0": 5, "machine-1": 10},
        "1": {"machine-0": 4.5, "machine-1": 2},
    }
    assert latency(instance, **{"0": "machine-0", "1": "machine-0"}) == 9.5
    assert latency(instance, **{"0": "machine-0", "1": "machine-1"}) == 5 + 3 + 2


def test_fjsp_jobs_are_chains_between_which_nothing_moves(sample) -> None:
    instance = read_instance(sample("fjsp"))
    assert [model.name for model in instance.models] == ["job-1", "job-2"]
    assert instance.costs.latency["job-1"]["2"] == {"machine-3": 2}
    order = {"machine-1": ("job-1/0/1",), "machine-2": ("job-2/0/1",), "machine-3": ("job-1/0/2",)}
    plan = Plan(placement={key: device for device, keys in order.items() for key in keys}, order=order)
    assert evaluate(instance, plan).cost.latency == 5


def test_device_placement_pays_each_tensor_once_a_device(sample) -> None:
    instance = read_instance(sample("dnn-partitioning"))
    assert instance.objective == "max_load"
    assert instance.costs.latency["graph"]["9"] == {"cpu": 30}
    placement = {"graph/0/4": "accelerator-0", "graph/0/7": "accelerator-1", "graph/0/9": "cpu"}
    order = {device: (key,) for key, device in placement.items()}
    cost = evaluate(instance, Plan(placement=placement, order=order)).cost
    assert cost.load == {"cpu": 30, "accelerator-0": 1 + 0.25, "accelerator-1": 0.25 + 2 + 0.5}
    assert cost.max_load == 30


def test_device_placement_with_several_cpus_is_about_latency(sample) -> None:
    path = sample("dnn-partitioning", PLACEMENT.replace('"maxCPUs": 1', '"maxCPUs": 8'))
    instance = read_instance(path)
    assert (instance.objective, instance.limits.calls_per_device) == ("latency", 1)
    assert read_instance(path, calls=3).limits.calls_per_device == 3
    assert read_instance(path, calls=0).limits.calls_per_device is None
    other = read_instance(path, objective="max_load")
    assert (other.objective, other.limits.calls_per_device) == ("max_load", None)


def test_device_placement_colocates_classes(sample) -> None:
    instance = read_instance(
        sample("dnn-partitioning", PLACEMENT.replace('"colorClass": 1', '"colorClass": 0'))
    )
    assert instance.models[0].colocate == (("4", "7"),)


def test_haxconn_options(sample) -> None:
    path = sample("hax-conn")
    instance = read_instance(path, switches="1")
    assert [model.name for model in instance.models] == ["one", "two"]
    assert instance.limits.switches == 1
    assert instance.costs.latency["one"]["0-3"] == {"gpu": 0.00035, "dla": 0.00075}
    assert instance.costs.transfer["one"]["0-3>4-9"] == {"gpu": {"dla": 1e-5}, "dla": {"gpu": 2e-5}}
    assert [model.name for model in read_instance(path, networks="two").models] == ["two"]
    for options in ({"networks": "three"}, {"slowdown": "static"}, {"slowdown": "x"}, {"switches": "few"}):
        with pytest.raises(UnsupportedError):
            read_instance(path, **options)


WRONG: dict[str, list[tuple[str, str, str]]] = {
    "saga": [
        ('"N0": 10', '"N0": 0', r"nodes.*> 0|nodes"),
        ('"N1|N2": 1', '"N1|N9": 1', r"links\[.*a\|b"),
        ('["b", "c", 1]', '["b", "z", 1]', '"z" is not a task'),
        ('["b", "c", 1]', '["b", "a", 1]', "cycle"),
        ('["b", "c", 1]', '["a", "b", 1]', "second edge"),
        ('"a": 20', '"a": NaN', "tasks|flops"),
        ('"a": 20', '"a": "20"', "tasks"),
    ],
    "auckland": [
        ('"procs": 2', '"procs": 100000', "100000 devices, expected 1 to 512"),
        ('"procs": 2', '"procs": 0', "procs"),
        ('["1", "3", 1]', '["1", "3"]', "edges"),
    ],
    "hetero-dag": [
        ("4.5, 2", "4.5", "line 5: task 1 has 1 times, task 0 2"),
        ("4.5, 2", "4.5, x", 'line 5: "x", expected a number'),
        ("1: 4.5", "0: 4.5", "line 5.*number of another task"),
        ("#edges", "#arcs", "line 6.*expected one of #critical"),
        ("0: 0, 1,  3", "0: 0, 1", "line 7: 2 numbers"),
        ("0: 0, 1,  3", "0: 0, 8,  3", '"8" is not a task'),
        ("#end\n", "#end\nmore", "after #end"),
        ("0: 5, 10\n1: 4.5, 2 \n", "", "no task"),
    ],
    "fjsp": [
        ("2 3 1.5", "2 9999 1.5", "9999 devices"),
        (" 1  3 1 5 2 5 3 7", " 1  3 1 5 2 5", "job 2, operation 1"),
        (" 1  3 1 5 2 5 3 7", " 1  3 1 5 2 5 0 7", '"0", expected a whole number from 1 to 3'),
        (" 1  3 1 5 2 5 3 7", " 1  3 1 5 2 5 2 7", "machine-2 is named twice"),
        ("3 7\n", "3 7 4\n", "more numbers than 2 jobs"),
    ],
    "dnn-partitioning": [
        ('"destId": 7, "cost": 0.25', '"destId": 7, "cost": 0.5', "one cost for each output"),
        ('"id": 7', '"id": 4', "already the id of another node"),
        ('"destId": 7', '"destId": 8', "8 is not the id of a node"),
        ('"maxFPGAs": 2', '"maxFPGAs": 1000000', "1000001 devices"),
        ('"cpuLatency": 10', '"cpuLatency": -1', r"nodes\[0\].cpuLatency"),
    ],
    "hax-conn": [
        ("0.35", "fast", 'line 2: "fast", expected a number'),
        ("0.01,0.02", ",0.02", 'line 2: "", expected a number'),
        ("one,4-9", "one,0-3", "comes twice"),
        (",transition_out_of_dla_ms", "", "column transition_out_of_dla_ms is missing"),
    ],
}


@pytest.mark.parametrize(("name", "old", "new", "message"), [(n, *w) for n in WRONG for w in WRONG[n]])
def test_what_is_wrong_is_named(sample, name: str, old: str, new: str, message: str) -> None:
    text = SAMPLES[name][1]
    assert old in text
    with pytest.raises(InputError, match=message):
        read_instance(sample(name, text.replace(old, new, 1)), format=name)


@pytest.mark.parametrize("name", FOREIGN)
def test_damaged_files_give_typed_errors(sample, name: str) -> None:
    text = SAMPLES[name][1]
    for cut in range(0, len(text), 3):
        for damaged in (
            text[:cut],
            text[:cut] + "\u2028-1e999" + text[cut + 2 :],
            text[:cut] + text[cut + 5 :],
        ):
            with suppress(InputError):  # any other error fails the test
                read_instance(sample(name, damaged), format=name)


@pytest.mark.parametrize("name", ["saga", "auckland", "dnn-partitioning"])
def test_deep_nesting_is_refused(sample, name: str) -> None:
    with pytest.raises(InputError, match="nested too deep"):
        read_instance(sample(name, "[" * 200_000), format=name)
