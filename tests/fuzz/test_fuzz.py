"""A small run of the fuzzer for every reader, and what it found before.

The long runs are `python -m benchmarks.fuzz`; see benchmarks/results/fuzzing.md.
"""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzzing import feeding
from benchmarks.fuzzing import mutations as mt
from benchmarks.fuzzing.feeding import Finding, feed, input_of, prepared, read_seeds
from benchmarks.fuzzing.readers import READERS
from dnnplan.costs.npz import read_npz
from dnnplan.costs.runtime.files import load_predictor
from dnnplan.instances import FormatError, InputError, SolverError
from dnnplan.reports.html.front_document import read_front
from dnnplan.reports.runs import Store

INPUTS = 60


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.filterwarnings("ignore")
def test_damaged_inputs_are_read_or_refused(name, seeds) -> None:
    reader = READERS[name]
    if not all(map(find_spec, reader.packages)):
        pytest.skip(f"needs {reader.packages}")
    valid = read_seeds(seeds, name)
    with prepared(reader) as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accepted = sum(feed(reader, data, place) for data in valid)
        assert accepted, "no seed is valid"
        for number in range(INPUTS):
            feed(reader, input_of(name, valid, 1, number), place)


def test_the_fuzzer_sees_what_readers_must_not_do(monkeypatch) -> None:
    """It can fail: untyped errors, long messages, hangs."""

    def hangs(data: bytes, folder: Path) -> None:
        raise feeding.TooLong

    def untyped(data: bytes, folder: Path) -> None:
        raise KeyError("x")

    def long(data: bytes, folder: Path) -> None:
        raise SolverError("x" * 200_000)

    for bad, what in ((hangs, "CPU time"), (untyped, "KeyError"), (long, "message of")):
        reader = feeding.Reader(feed=bad, seeds=list, mutate=mt.mutate_bytes)
        with pytest.raises(Finding, match=what):
            feed(reader, b"", Path())


def test_the_same_number_gives_the_same_input() -> None:
    valid = [b'{"a": [1, 2, {"b": "c"}]}', b"[]"]
    for mutate in (mt.mutate_bytes, mt.mutate_text, mt.mutate_tree, mt.mutate_proto, mt.mutate_arrays):
        first, again = ([mutate(random.Random(k), valid[0], valid) for k in range(50)] for _ in range(2))
        assert first == again
        assert len(set(first)) > 10


# What was found.


def npz(path: Path, content: bytes, name: str = "x.npy") -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(name, content)
    return path


def member(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"(2,)", b"(2, ", "not an .npz"),  # TokenError of the tokeniser in numpy
        (b"\x93NUMPY", b"\x93NUMPX", "not an .npz"),  # numpy gives the bytes, not an array
        (b"(2,), }", b"(99999999,), }", "an array of 799999992 bytes"),  # memory for what is not there
        (b"(2,)", b"(-2,)", "not an .npz"),
    ],
)
def test_damaged_arrays(old, new, message, tmp_path) -> None:
    content = member(np.ones(2))
    assert old in content
    changed = content.replace(old, new).replace(b" " * (len(new) - len(old)) + b"\n", b"\n", 1)
    path = npz(tmp_path / "a.npz", changed)
    with pytest.raises(FormatError, match=message):
        read_npz(path, 2**20)


def test_arrays_in_archives_that_are_none_or_too_large(tmp_path) -> None:
    whole = npz(tmp_path / "a.npz", member(np.ones(2))).read_bytes()
    assert read_npz(tmp_path / "a.npz", 2**20)["x"].tolist() == [1, 1]
    with pytest.raises(FormatError, match="expected at most 10 bytes"):
        read_npz(tmp_path / "a.npz", 10)
    for data in (b"", b"PK", whole[:-10], whole.replace(b"PK\x01\x02", b"PK\x01\x03"), b"\x93NUMPY"):
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(FormatError):
            read_npz(tmp_path / "b.npz", 2**20)
    objects = io.BytesIO()
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        read_npz(npz(tmp_path / "c.npz", objects.getvalue()), 2**20)


def test_a_predictor_that_is_not_text(tmp_path) -> None:
    for data in (b'{"format": "\xff"}', b"[" * 100_000):
        (tmp_path / "predictor.json").write_bytes(data)
        with pytest.raises(FormatError, match="not a predictor"):
            load_predictor(tmp_path)


def test_a_store_whose_schema_is_not_text(tmp_path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path):
        pass
    data = path.read_bytes()
    at = data.index(b"CREATE TABLE") if b"CREATE TABLE" in data else data.index(b"rows")
    path.write_bytes(data[:at] + b"\xff\xfe" + data[at + 2 :])
    for read_only in (True, False):
        with pytest.raises(FormatError), Store(path, read_only=read_only) as store:
            store.rows()


def test_shapes_that_contradict_each_other(tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    from dnnplan.costs.profile.graphs import read_sites

    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Flatten", [], ["y"])
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, [1, 2])], [info("y", 1, None)])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "n.onnx")
    with pytest.raises(FormatError, match="contradict"):
        read_sites(tmp_path / "n.onnx")


def test_a_front_without_values() -> None:
    for row in ({"values": 3}, {"measures": [1]}, {"values": {"a": 1, "b": 10**400}}):
        with pytest.raises(FormatError, match="values"):
            read_front({"objectives": ["a", "b"], "front": [row]}, "f")


@pytest.mark.parametrize("text", ["no-such-file", "x" * 300, "a:" + "b" * 5000, "a\x00b", "."])
def test_arrivals_that_are_no_file(text) -> None:
    from benchmarks.fuzzing.readers import _serving
    from dnnplan.serving.spec import arrivals_of

    with pytest.raises(InputError):
        arrivals_of(text, _serving(), 1.0)


def test_seeds_are_json_where_they_are_said_to_be() -> None:
    for name in ("plan", "result", "events", "costs"):
        for data in READERS[name].seeds()[:1]:
            assert json.loads(data)


@pytest.mark.parametrize(
    "event",
    [
        '{"cat": "Node", "name": "a_kernel_time", "dur": 1' + "0" * 400 + ', "args": {"op_name": "Conv"}}',
        '{"cat": "Node", "name": "a_kernel_time", "dur": 1, "args": {"op_name": "Conv", '
        '"input_type_shape": [{"float": [1e999]}]}}',
    ],
    ids=["duration", "shape"],
)
def test_a_trace_with_numbers_beyond_all_measure(event, tmp_path) -> None:
    import numpy as np

    from dnnplan.costs.profile.trace import read_trace
    from dnnplan.instances import FormatError

    path = tmp_path / "trace.json"
    path.write_text(f"[{event}]")
    with pytest.raises(FormatError, match="not a trace"):
        read_trace(path, np.array([True]))


def test_messages_are_short_whatever_names_are() -> None:
    from dnnplan.instances import InputError
    from dnnplan.instances.errors import Problem

    name = "x" * 50_000
    several = InputError(problems=[Problem(name, "no")] * 200, source="file")
    assert len(str(several)) < 100_000
    assert several.problems[0].path == name
    assert len(str(InputError(problems=[Problem(name, "no")]))) < 21_000
