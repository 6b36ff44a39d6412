"""The bundled platforms: complete, sourced, and equal to what their sources say."""

import csv
import doctest
import os
from pathlib import Path

import pytest

from dnnplan.instances import InputError, InstanceError, bundled_platforms
from dnnplan.instances.bundled_platforms import (
    KINDS,
    figure_rows,
    figures_markdown,
    load_platform,
    platform_names,
)

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DNNPLAN_DATA", ROOT / ".." / "shared" / "data"))


def device(platform, name):
    return next(d for d in platform.devices if d.name == name)


def memory(platform, name):
    return next(m for m in platform.memories if m.name == name)


def test_the_five_platforms_are_there():
    assert platform_names() == ("fpga-host", "jetson-soc", "mcu", "phone-soc", "workstation")


@pytest.mark.parametrize("name", platform_names())
def test_platform_is_called_like_its_file_and_says_where_it_is_from(name):
    platform = load_platform(name)
    assert platform.name == name
    assert platform.source


@pytest.mark.parametrize("name", platform_names())
def test_every_figure_has_a_source_and_every_source_a_figure(name):
    platform = load_platform(name)
    rows = figure_rows(platform)
    assert {kind for _, _, kind, _ in rows} <= set(KINDS)
    stated = {(s["kind"], s["source"]) for s in platform.extensions["figures"]}
    assert stated == {(kind, source) for _, _, kind, source in rows}


def test_a_figure_without_source_is_an_error(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text('format_version: "1.0"\nname: p\ndevices: [{name: cpu, overhead: 1.0e-6}]\n')
    with pytest.raises(InputError, match=r"devices\.cpu\.overhead: 1e-06 has no source"):
        figure_rows(load_platform(file))


def test_the_tables_of_the_documentation_are_current():
    text = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    assert text.endswith(figures_markdown()), "docs/platforms.md: replace its tables by figures_markdown()"


@pytest.mark.parametrize(
    ("name", "rate", "bandwidth", "overhead"),
    [
        ("cpu", 100e9, 15e9, 5e-6),
        ("gpu", 1500e9, 60e9, 30e-6),
        ("npu", 4000e9, 30e9, 20e-6),
        ("dsp", 400e9, 20e9, 20e-6),
    ],
)
def test_phone_devices_are_those_of_the_prototype_study(name, rate, bandwidth, overhead):
    platform = load_platform("phone-soc")
    found = device(platform, name)
    assert found.peak_flops == {"*": rate}
    assert memory(platform, found.memory).bandwidth == bandwidth
    assert found.overhead == overhead
    assert found.efficiency == {"Conv": 0.5, "Gemm": 0.3, "MatMul": 0.3, "*": 0.1}


def test_phone_transfers_are_direct_between_every_pair():
    platform = load_platform("phone-soc")
    pairs = {frozenset((link.source, link.target)) for link in platform.links}
    assert len(pairs) == len(platform.links) == 6
    assert {(link.bandwidth, link.latency) for link in platform.links} == {(5e9, 10e-6)}
    execution = platform.execution
    assert (execution.staging, execution.overlap, execution.contention) == ("direct", True, "none")
    assert (execution.memory, platform.host) == ("none", None)


def test_only_the_npu_of_the_phone_is_restricted():
    operators = {d.name: d.operators for d in load_platform("phone-soc").devices}
    assert {"Conv", "Gemm", "MaxPool", "AveragePool", "Concat", "Add"} <= set(operators.pop("npu"))
    assert set(operators.values()) == {None}


def test_jetson_rates_follow_from_the_printed_int8_rates():
    platform = load_platform("jetson-soc")
    gpu, dla = device(platform, "gpu"), device(platform, "dla")
    assert gpu.peak_flops == {"int8": 22.6e12, "*": 22.6e12 / 2}
    assert dla.count * dla.peak_flops["int8"] == 11.4e12
    assert dla.peak_flops["*"] == dla.peak_flops["int8"] / 2
    assert "Softmax" not in dla.operators
    assert {d.memory for d in platform.devices} == {"dram"}


def test_jetson_transitions_are_the_measured_means():
    path = DATA / "hax_conn" / "layer_groups.csv"
    if not path.is_file():
        pytest.skip(f"measured transitions not found: {path} (set DNNPLAN_DATA)")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["transition_out_of_gpu_ms"]]
    links = {link.name: link for link in load_platform("jetson-soc").links}
    for column, link in (
        ("transition_out_of_gpu_ms", "gpu-to-dla"),
        ("transition_out_of_dla_ms", "dla-to-gpu"),
    ):
        mean = sum(float(r[column]) for r in rows) / len(rows)
        assert links[link].latency == pytest.approx(mean * 1e-3, rel=0.005)


def test_jetson_reproduces_the_googlenet_times_it_was_fitted_to():
    pytest.importorskip("onnx")
    from msgspec.structs import replace

    from dnnplan.costs import mapping_problem
    from dnnplan.instances.catalogue import combine
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx

    platform = load_platform("jetson-soc")
    unrestricted = replace(platform, devices=tuple(replace(d, operators=None) for d in platform.devices))
    model, _ = read_onnx(light_network_paths()["inception-v1"])
    problem = mapping_problem(combine([model], unrestricted))
    seconds = dict(zip(problem.devices, problem.duration.sum(axis=0), strict=True))
    # github ismetdagli/HaX-CoNN, transition_results.json: whole GoogLeNet on GPU and on DLA
    assert seconds["gpu"] == pytest.approx(1.959e-3, rel=0.02)
    assert seconds["dla.0"] == pytest.approx(3.656e-3, rel=0.02)


def test_fpga_accelerators_share_one_channel_and_half_their_memory_is_for_weights():
    platform = load_platform("fpga-host")
    assert {(link.name, link.bandwidth) for link in platform.links} == {("ethernet", 1.25e9)}
    accelerators = [d for d in platform.devices if d.kind == "fpga"]
    assert len(accelerators) == 4
    assert {d.weight_fraction for d in accelerators} == {0.5}
    assert {link.target for link in platform.links} == {d.name for d in accelerators}
    execution = platform.execution
    assert (execution.staging, execution.overlap, execution.memory) == ("host", False, "static")
    assert execution.weights == "choice"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("conv-large", "cnn_acc_7"),
        ("conv-small", "cnn_acc_3"),
        ("dense", "fc_acc_ese_10"),
        ("lstm", "lstm_acc_vc707_13"),
    ],
)
def test_fpga_figures_are_those_of_the_published_code(name, file):
    path = DATA / "h2h" / "march_accelerators.csv"
    if not path.is_file():
        pytest.skip(f"accelerator figures not found: {path} (set DNNPLAN_DATA)")
    with path.open(newline="", encoding="utf-8") as table:
        row = next(r for r in csv.DictReader(table) if r["file"] == file)
    platform = load_platform("fpga-host")
    found = device(platform, name)
    assert found.peak_flops["*"] == pytest.approx(float(row["throughput"]) * 1e9)
    assert found.power.active == float(row["power"])
    assert memory(platform, found.memory).bytes == float(row["DDR"]) * 1e9
    assert memory(platform, found.memory).bandwidth == float(row["Bandwidth"]) * float(row["Freq"]) * 1e6 / 8


def test_mcu_stages_in_external_memory_and_chooses_what_to_pin():
    platform = load_platform("mcu")
    assert platform.host == "sdram"
    assert memory(platform, "sram").bytes < memory(platform, "sdram").bytes
    assert (platform.execution.staging, platform.execution.weights) == ("host", "choice")
    assert not platform.execution.overlap


def test_workstation_has_a_channel_each_way():
    platform = load_platform("workstation")
    assert {(link.source, link.target, link.directed) for link in platform.links} == {
        ("ram", "gpu", True),
        ("gpu", "ram", True),
    }


def test_every_operator_runs_on_some_device_of_every_platform():
    for name in platform_names():
        assert any(d.operators is None for d in load_platform(name).devices), name


def test_load_platform_reads_files_and_prefers_bundled_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'format_version: "1.0"\nname: mine\ndevices: [{name: cpu}]\n'
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "mcu").write_text(text)
    assert load_platform("mine.yaml").name == "mine"
    assert load_platform(tmp_path / "mine.yaml").name == "mine"
    assert load_platform("mcu").name == "mcu"
    assert load_platform(tmp_path / "mcu").name == "mine"


def test_unknown_platform_names_the_closest():
    with pytest.raises(
        InputError, match=r"phone_soc: neither a file nor a bundled platform; did you mean phone-soc"
    ):
        load_platform("phone_soc")


def test_a_file_that_is_no_platform_is_refused(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text('format_version: "1.0"\nname: p\ndevices: [{name: cpu, overhead: -1}]\n')
    with pytest.raises(InstanceError, match="overhead"):
        load_platform(file)


def test_doctests():
    assert doctest.testmod(bundled_platforms).failed == 0
