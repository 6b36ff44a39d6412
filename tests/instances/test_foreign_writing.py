"""Writers of foreign formats: there and back, conversions, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from dnnplan.instances import (
    DeviceRule,
    InputError,
    Instance,
    Layer,
    Limits,
    Model,
    Task,
    UnsupportedError,
)
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import read_instance
from dnnplan.instances.formats import detect_format, writable_formats, write_with
from tests.instances.foreign_samples import FOREIGN, SAMPLES, latency, write_sample  # noqa: F401 (a fixture)
from tests.support.data import data_folder


@pytest.mark.parametrize("name", FOREIGN)
def test_round_trip(sample, tmp_path: Path, name: str) -> None:
    instance = read_instance(sample(name))
    written = tmp_path / f"again{Path(SAMPLES[name][0]).suffix}"
    write_with(instance, written, name)
    again = read_instance(written)
    assert detect_format(written, written.read_bytes()) == name
    assert replace(again, name=instance.name, source=instance.source) == instance
    with pytest.raises(FileExistsError):
        write_with(instance, written, name)


@pytest.mark.parametrize("name", FOREIGN)
def test_round_trip_through_the_native_format(sample, tmp_path: Path, name: str) -> None:
    instance = read_instance(sample(name))
    write_with(instance, tmp_path / "native.json", "native")
    assert read_instance(tmp_path / "native.json") == instance


def test_what_two_formats_can_express_is_converted(sample, tmp_path: Path) -> None:
    instance = read_instance(sample("auckland"))
    for name, placement in {
        "saga": {"1": "processor.0", "2": "processor.1", "3": "processor.0"},
        "hetero-dag": {"0": "machine-0", "1": "machine-1", "2": "machine-0"},
    }.items():
        path = tmp_path / f"as-{name}"
        write_with(instance, path, name)
        assert latency(read_instance(path, format=name), **placement) == 2 + 4 + 3


def test_tasks_become_one_graph(tmp_path: Path, sample) -> None:
    instance = read_instance(sample("auckland"))
    both = replace(instance, tasks=(Task(name="x", model="graph"), Task(name="y", model="graph")))
    write_with(both, tmp_path / "both.json", "auckland")
    again = read_instance(tmp_path / "both.json")
    assert [layer.name for layer in again.models[0].layers] == ["x/1", "x/2", "x/3", "y/1", "y/2", "y/3"]
    assert again.models[0].tensors[2].name == "y/1>y/2"


def with_first_layer(instance: Instance, **fields: object) -> Instance:
    model = instance.models[0]
    return replace(
        instance, models=(replace(model, layers=(replace(model.layers[0], **fields), *model.layers[1:])),)
    )


def changed_device(instance: Instance, **fields: object) -> Instance:
    platform = instance.platform
    assert platform is not None
    first, *others = platform.devices
    return replace(instance, platform=replace(platform, devices=(replace(first, **fields), *others)))


def changed_run(instance: Instance, **fields: object) -> Instance:
    platform = instance.platform
    assert platform is not None
    return replace(instance, platform=replace(platform, execution=replace(platform.execution, **fields)))


REFUSED = {
    "objective energy": lambda i: replace(i, objective="energy"),
    r"limits\.energy": lambda i: replace(i, limits=Limits(energy=1)),
    "deadline of task": lambda i: replace(i, tasks=(Task(name="t", model="graph", deadline=1),)),
    "batch of task": lambda i: replace(i, tasks=(Task(name="t", model="graph", batch=2),)),
    "contention links": lambda i: changed_run(i, contention="links"),
    r"execution\.overlap False": lambda i: changed_run(i, overlap=False),
    "slots of device": lambda i: changed_device(i, slots=2),
    "overhead of device": lambda i: changed_device(i, overhead=1),
    "where layer": lambda i: with_first_layer(i, devices=DeviceRule(fix="N0")),
    "colocation": lambda i: replace(i, models=(replace(i.models[0], colocate=(("a", "b"),)),)),
}


@pytest.mark.parametrize("feature", REFUSED)
def test_what_saga_cannot_express_is_named(sample, tmp_path: Path, feature: str) -> None:
    instance = REFUSED[feature](read_instance(sample("saga")))
    with pytest.raises(UnsupportedError, match=f"format 'saga' cannot express .*{feature}"):
        write_with(instance, tmp_path / "never.json", "saga")
    assert not (tmp_path / "never.json").exists()


@pytest.mark.parametrize(
    ("source", "target", "feature"),
    [
        ("saga", "auckland", "different times for layer"),
        ("saga", "hetero-dag", "different times to move|cannot exchange data"),
        ("auckland", "fjsp", "time to move tensor"),
        ("hetero-dag", "saga", "tables of costs"),
        ("dnn-partitioning", "saga", "the objective max_load"),
        ("fjsp", "dnn-partitioning", "execution|calls_per_device"),
        ("auckland", "hax-conn", "other devices than gpu and dla"),
    ],
)
def test_conversions_that_lose_something_are_refused(
    sample, tmp_path: Path, source: str, target: str, feature: str
) -> None:
    with pytest.raises(UnsupportedError, match=feature):
        write_with(read_instance(sample(source)), tmp_path / "never", target)


def test_formats_that_are_only_read_say_so(tmp_path: Path) -> None:
    assert {*FOREIGN, "native"} <= set(writable_formats())
    with pytest.raises(UnsupportedError, match="'onnx' is only read"):
        write_with(load_bundled("tiny/hand"), tmp_path / "x.onnx", "onnx")
    with pytest.raises(UnsupportedError, match='"sagas" is not a format, did you mean "saga"'):
        write_with(load_bundled("tiny/hand"), tmp_path / "x", "sagas")


def test_an_instance_without_a_platform_is_refused(tmp_path: Path) -> None:
    bare = Instance(models=(Model(name="m", layers=(Layer(name="a"),)),))
    with pytest.raises(InputError, match="needs a platform"):
        write_with(bare, tmp_path / "x", "saga")


PUBLISHED = {
    "saga": "saga_instances/*.json",
    "auckland": "sched/auckland/*.json",
    "hetero-dag": "sched/hetero_dag*/*",
    "fjsp": "sched/fjsp/*.txt",
    "dnn-partitioning": "dnn_partitioning/*-inputs/*/*.json",
    "hax-conn": "hax_conn/layer_groups.csv",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_survive_the_way_there_and_back(tmp_path: Path, name: str) -> None:
    files = sorted(data_folder().glob(PUBLISHED[name]))
    if not files:
        pytest.skip(f"no {PUBLISHED[name]} in {data_folder()}; set DNNPLAN_DATA")
    for file in files[:: max(1, len(files) // 8)]:
        instance = read_instance(file)
        with file.open("rb") as stream:
            assert detect_format(file, stream.read(4096)) == name
        written = tmp_path / f"{file.stem}{file.suffix}"
        write_with(instance, written, name, overwrite=True)
        again = read_instance(written)
        assert again == replace(instance, name=again.name, source=again.source), file.name
