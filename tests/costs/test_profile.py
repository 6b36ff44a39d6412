"""Measuring with onnxruntime: settings, traces, optimised graphs, sampled networks, tables that survive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dnnplan.costs import profile as pf
from dnnplan.costs.profile import api, graphs, session, store, trace
from dnnplan.costs.profile.notation import Sketch
from dnnplan.costs.profile.offline import kernels_of
from dnnplan.costs.profile.schema import COLUMNS, ProfileRow, as_record
from dnnplan.costs.profile.shapes import value_shapes
from dnnplan.costs.runtime.kernels import MODULE_OF
from dnnplan.instances.errors import FormatError, InputError

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

QUICK = pf.Effort(warm_up=0, least=3, most=3, seconds=0.001)


def tiny_network(*, batch=1, channels=16):
    """Blocked convolutions with a residual sum, pooling and a classifier."""
    net = Sketch("tiny")
    value = net.input(batch, channels, 14, 14)
    value = net.conv(value, channels, 3)
    body = net.conv(net.node("Relu", value.shape, value), channels, 3)
    value = net.node("Relu", body.shape, net.node("Add", body.shape, body, value))
    value = net.node("GlobalAveragePool", (batch, channels, 1, 1), value)
    value = net.gemm(net.node("Flatten", (batch, channels), value), 10)
    net.output(net.node("Softmax", value.shape, value))
    return net.model()


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.onnx"
    onnx.save(tiny_network(), path)
    return path


def rows_of(*keys, seconds=1e-3):
    return [
        ProfileRow(
            key=key,
            scope="network",
            network="n",
            threads=1,
            batch=1,
            utilisation=0.0,
            runs=3,
            seconds=seconds,
            low=seconds,
            high=seconds,
            kernels=1,
            device="d",
            runtime="r",
        )
        for key in keys
    ]


def test_older_tables_were_measured_with_blocks_of_eight(tmp_path):
    rows = rows_of("a", "b")
    pf.ProfileTable(tmp_path / "new").append(rows)
    part = next((tmp_path / "new").glob("*.parquet"))
    table = pq.read_table(part)
    (tmp_path / "old").mkdir()
    pq.write_table(table.drop_columns(["block"]), tmp_path / "old" / "part.parquet")
    assert pf.ProfileTable(tmp_path / "old").read()["block"] == [8, 8]


# Settings.


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"threads": 10_000}, {"batch": 0}, {"utilisation": 1.0}, {"utilisation": -0.1}]
)
def test_settings_have_limits(wrong):
    with pytest.raises(InputError, match="expected"):
        pf.Setting(**wrong)


def test_effort_counts_runs_within_its_limits():
    effort = pf.Effort(warm_up=1, least=5, most=20, seconds=1.0)
    assert [effort.runs(one) for one in (1.0, 0.1, 1e-6)] == [5, 10, 20]
    with pytest.raises(InputError, match="least"):
        pf.Effort(least=0)


# Traces.


def event(name, duration, op="Relu", shape=(1, 4)):
    args = {
        "op_name": op,
        "input_type_shape": [{"float": list(shape)}],
        "output_type_shape": [{"float": list(shape)}],
    }
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": duration, "args": args}


def test_trace_keeps_counted_runs_and_adds_up_loops(tmp_path):
    path = tmp_path / "trace.json"
    events = [{"cat": "Session", "name": "model_run", "dur": 9}]
    for run in range(3):
        events += [event("a", 10 + run), event("b", 1), event("b", 2 + run)]
    path.write_text(json.dumps(events))
    a, b = trace.read_trace(path, np.array([False, True, True]))
    assert (a.node, a.operator, a.inputs) == ("a", "Relu", [[1, 4]])
    np.testing.assert_allclose(a.seconds, [11e-6, 12e-6])
    np.testing.assert_allclose(b.seconds, [4e-6, 5e-6])


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"cat": "Node", "name": "a_kernel_time"}]', '{"a": 1}'])
def test_damaged_traces_are_refused(tmp_path, text):
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="not a trace"):
        trace.read_trace(path, np.array([True]))


def test_a_kernel_that_skips_runs_is_refused(tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(json.dumps([event("a", 1), event("b", 1), event("b", 1)]))
    with pytest.raises(FormatError, match="1 events in 2 runs"):
        trace.read_trace(path, np.array([True, True]))


# Graphs.


def test_batches_are_set_where_the_graph_has_room_for_them(tmp_path):
    path = tmp_path / "four.onnx"
    onnx.save(tiny_network(batch=4), path)
    assert graphs.read_network(path, 1)
    with pytest.raises(InputError, match="first size of 4"):
        graphs.read_network(path, 2)


def test_reshapes_of_one_sample_take_a_batch():
    net = Sketch("reshaped")
    value = net.input(1, 8, 4, 4)
    net.output(net.reshape(value, 1, 128))
    model = net.model()
    graphs.set_batch(model, 3)
    made = runtime.InferenceSession(graphs.ready(model), providers=["CPUExecutionProvider"])
    (out,) = made.run(None, {"input_1": np.ones((3, 8, 4, 4), np.float32)})
    assert out.shape == (1, 1)


def test_every_node_gets_a_name_of_its_own():
    model = tiny_network()
    for node in model.graph.node:
        node.name = "same"
    graphs.name_nodes(model)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)


def test_hard_swish_is_spelled_out_as_the_runtime_runs_it():
    net = Sketch("swish")
    value = net.input(1, 4)
    net.output(net.node("HardSwish", (1, 4), value))
    data = graphs.ready(net.model())
    assert [node.op_type for node in onnx.ModelProto.FromString(data).graph.node][1:3] == [
        "HardSigmoid",
        "Mul",
    ]
    given = np.array([[-4.0, -1.0, 0.5, 4.0]], np.float32)
    (mean,) = runtime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"input_1": given})
    kept = given.clip(0)
    np.testing.assert_allclose(mean.item(), np.mean(kept * np.clip(kept / 6 + 0.5, 0, 1)), rtol=1e-5)


def test_shapes_of_fused_graphs_are_those_of_a_run(tiny):
    """What is inferred without running equals what the runtime reports when it runs."""
    job = api._network_job(tiny, pf.Setting(), QUICK)()
    (rows,) = session.measure([job])
    kernels = {row.node: row for row in rows if row.scope == "operator"}
    found = pf.network_kernels(tiny)
    assert sorted(k.operator for k in found) == sorted(row.operator for row in kernels.values())
    assert "nchwc.Conv" in {k.operator for k in found}
    shapes = sorted(json.dumps(k.outputs) for k in found)
    assert shapes == sorted(json.dumps(json.loads(row.outputs)) for row in kernels.values())


@pytest.mark.parametrize("side", ["transA", "transB"])
def test_shapes_of_fused_products(side):
    helper = onnx.helper
    left, right = (
        ([2, 5, 3] if side == "transA" else [2, 3, 5]),
        ([2, 7, 5] if side == "transB" else [2, 5, 7]),
    )
    node = helper.make_node("FusedMatMul", ["a", "b"], ["c"], domain="com.microsoft", **{side: 1})
    values = [helper.make_tensor_value_info(n, 1, s) for n, s in (("a", left), ("b", right))]
    graph = helper.make_graph([node], "g", values, [helper.make_tensor_value_info("c", 1, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert value_shapes(model)["c"] == [2, 3, 7]


@pytest.mark.parametrize("version", [9, 17])
def test_blocked_channels_are_cut_to_those_there_are(version):
    helper = onnx.helper
    node = helper.make_node("ReorderOutput", ["a"], ["b"], domain="com.microsoft.nchwc", channels=13)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("a", 1, [1, 16, 4, 4])],
        [helper.make_tensor_value_info("b", 1, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    assert value_shapes(model)["b"] == [1, 13, 4, 4]


# Measuring.


def test_measured_networks_are_whole_and_by_kernel(tmp_path, tiny):
    table = pf.ProfileTable(tmp_path / "table")
    settings = [pf.Setting(), pf.Setting(batch=2), pf.Setting(utilisation=0.3)]
    lines = []
    done = pf.profile_networks([tiny], table, settings, effort=QUICK, progress=lines.append)
    assert (done.measured, done.kept, done.failed) == (3, 0, ())
    assert len(lines) == 3
    columns = table.read()
    assert set(columns) == set(COLUMNS)
    assert columns["scope"].count("network") == 3
    assert all(
        seconds > 0
        for scope, seconds in zip(columns["scope"], columns["seconds"], strict=True)
        if scope == "network"
    )
    assert all(
        low <= mid <= high
        for low, mid, high in zip(*(columns[n] for n in ("low", "seconds", "high")), strict=True)
    )
    conv = columns["operator"].index("nchwc.Conv")
    assert json.loads(columns["attributes"][conv])["kernel_shape"] == [3, 3]
    again = pf.profile_networks([tiny], table, settings, effort=QUICK)
    assert (again.measured, again.kept) == (0, 3)


def test_a_network_that_cannot_have_a_batch_is_reported_and_the_others_go_on(tmp_path, tiny):
    fixed = tmp_path / "four.onnx"
    onnx.save(tiny_network(batch=4), fixed)
    table = pf.ProfileTable(tmp_path / "table")
    done = pf.profile_networks([fixed, tiny], table, [pf.Setting(batch=2)], effort=QUICK)
    assert done.measured == 1
    assert "four.onnx" in done.failed[0]


def test_damaged_networks_stop_the_run(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(FormatError):
        pf.profile_networks([path], pf.ProfileTable(tmp_path / "t"), [pf.Setting()], effort=QUICK)


# Samples.


def test_samples_are_the_same_for_a_seed():
    first, again, other = (pf.sample_network(*at).SerializeToString() for at in ((3, 1), (3, 1), (3, 2)))
    assert first == again != other


@pytest.mark.parametrize("cell", sorted(pf.CELLS))
def test_every_cell_runs_and_has_the_shapes_that_it_says(cell):
    """The runtime accepts the network, and inference gives its values the shapes of the notation."""
    for number in range(3):
        ranges = pf.Ranges(cells=(cell,), macs=1.0, largest=3e7)
        model = pf.sample_network(7, number, ranges, batch=2)
        onnx.checker.check_model(model)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        made = runtime.InferenceSession(graphs.ready(model), options, providers=["CPUExecutionProvider"])
        outputs = made.get_outputs()
        # Cells without products never reach the least size, so that there are several, and some start anew.
        assert len(outputs) == 1 or cell == "loose"
        assert all(size == 1 for output in outputs for size in output.shape)


def test_kernels_of_samples_have_a_module():
    found = set()
    for number in range(6):
        model = pf.sample_network(1, number, pf.Ranges(macs=5e7, largest=2e7))
        found |= {kernel.operator for kernel in kernels_of(graphs.ready(model), "sample")}
    assert found <= set(MODULE_OF)
    assert len({MODULE_OF[name] for name in found}) >= 5


def test_cells_that_are_all_too_large_do_not_hang():
    model = pf.sample_network(0, 0, pf.Ranges(cells=("plain",), macs=1.0, largest=1.0))
    onnx.checker.check_model(model)


def test_keys_tell_machines_apart(tiny, monkeypatch):
    here = api._network_job(tiny, pf.Setting(), QUICK)()
    monkeypatch.setattr(api, "device_name", lambda: "another")
    assert api._network_job(tiny, pf.Setting(), QUICK)().key != here.key


PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid)
"""
CHILD = """
import sys, time
from dnnplan.costs.profile.load import end_with
end_with(int(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""


def test_workers_end_with_the_process_that_started_them():
    """The parent ends when its child is ready; nothing else is told to the child."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    started = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD], capture_output=True, text=True, check=True, env=environment
    )
    pid = int(started.stdout)
    for _ in range(200):
        if not _alive(pid):
            return
        time.sleep(0.1)
    os.kill(pid, 9)
    pytest.fail("the worker outlived its parent")


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_ranges_are_checked():
    with pytest.raises(InputError, match="cell"):
        pf.Ranges(cells=("no-such-cell",))
    with pytest.raises(InputError, match="above 0"):
        pf.Ranges(macs=0)


# Tables.


def test_tables_keep_one_of_each_key_and_ignore_what_is_unfinished(tmp_path):
    table = pf.ProfileTable(tmp_path)
    table.append(rows_of("a", seconds=1.0))
    table.append(rows_of("b", seconds=2.0))
    (tmp_path / "x.parquet.99.part").write_bytes(b"half")
    # A compaction that was killed before it removed the parts.
    table._write("all-0.parquet", [as_record(row) for row in rows_of("a", "b")])
    assert sorted(table.read()["key"]) == ["a", "b"]
    assert table.keys() == {"a", "b"}


def test_many_parts_become_one(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MANY_PARTS", 3)
    table = pf.ProfileTable(tmp_path)
    for key in "abcd":
        table.append(rows_of(key))
    table.compact()
    assert len(table.parts()) == 1
    assert sorted(table.read()["key"]) == list("abcd")


def test_damaged_and_foreign_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="no table"):
        pf.ProfileTable(tmp_path / "none").read()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(FormatError, match="not a table"):
        pf.ProfileTable(tmp_path).read()
    import pyarrow
    from pyarrow import parquet

    other = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"key": ["a"]}), other)
    with pytest.raises(FormatError, match="no column"):
        pf.ProfileTable(other).read()
    with pytest.raises(InputError, match="cannot be appended"):
        pf.ProfileTable(other).append(rows_of("a"))


# The command.


def run(*words):
    from dnnplan.cli.app import app

    return CliRunner().invoke(app, ["profile", *map(str, words)])


def test_command_measures_and_resumes(tmp_path, tiny):
    words = (tiny, "--output", tmp_path / "t", "--seconds", "0.001", "--json")
    first = run(*words)
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["measured"] == 1
    assert json.loads(run(*words).stdout)["kept"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to measure"),
        (("x.onnx", "--threads", "a"), "--threads"),
        (("x.onnx", "--threads", "1.5"), "whole numbers"),
        (("x.onnx", "--utilisation", "2"), "utilisation"),
        (("--sample", "1", "--cells", "zzz"), "cell"),
    ],
)
def test_command_explains_wrong_words(tmp_path, words, message):
    result = run(*words, "--output", tmp_path / "t")
    assert result.exit_code != 0
    assert message in str(result.exception) + result.output
