"""Parts that are swapped, dropped or changed are caught."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from msgspec.structs import replace
from onnx import helper, numpy_helper

from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.manifest import Manifest, read_manifest
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import check_parts, verify
from dnnplan.instances import FormatError, UnsupportedError
from tests.support.deploy_networks import (
    Builder,
    early_exit,
    instance_of,
    placed,
    random_plan,
    saved,
)


@pytest.fixture
def parts(place, tmp_path):
    """A split chain whose parts could be swapped: they read and make tensors of one shape."""
    b = Builder()
    x = b.input("x", (4, 8))
    for _ in range(4):
        x = b.node("Tanh", b.node("MatMul", x, b.weight(8, 8)))
    path = saved(b.model([(x, (4, 8))]), place, "chain")
    instance = instance_of([path], 2)
    split(placed(instance, "0101"), instance, {"chain": path}, tmp_path / "parts")
    return tmp_path / "parts", {"chain": path}


def rewritten(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_text(dumps_manifest(manifest))


def test_swapped_parts_are_caught(parts):
    """First by their digests; with a manifest that was made to fit, by the names of their tensors."""
    folder, files = parts
    manifest = read_manifest(folder)
    a, b = manifest.segments[1:3]
    data = [(folder / s.file).read_bytes() for s in (a, b)]
    (folder / a.file).write_bytes(data[1])
    (folder / b.file).write_bytes(data[0])
    with pytest.raises(FormatError, match=r"SHA-256|bytes"):
        verify(folder, files)
    swapped = {
        a.name: replace(a, sha256=b.sha256, bytes=b.bytes),
        b.name: replace(b, sha256=a.sha256, bytes=a.bytes),
    }
    rewritten(folder, replace(manifest, segments=tuple(swapped.get(s.name, s) for s in manifest.segments)))
    with pytest.raises(FormatError, match="by the manifest"):
        verify(folder, files)


def test_swapped_weights_are_caught(parts):
    """Everything fits, names, shapes and digests; only the numbers say so."""
    folder, files = parts
    manifest = read_manifest(folder)
    a, b = manifest.segments[1:3]
    models = [onnx.load(folder / s.file) for s in (a, b)]
    weights = [numpy_helper.to_array(m.graph.initializer[0]) for m in models]
    entries = {}
    for segment, model, array in zip((a, b), models, reversed(weights), strict=True):
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, model.graph.initializer[0].name))
        data = model.SerializeToString()
        (folder / segment.file).write_bytes(data)
        entries[segment.name] = replace(segment, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    rewritten(folder, replace(manifest, segments=tuple(entries.get(s.name, s) for s in manifest.segments)))
    found = verify(folder, files)
    assert not found.bitwise
    assert not found.equal


def test_a_dropped_tensor_is_caught(parts):
    """In the manifest by its rules; in a part, with a manifest that fits, by the ONNX checker."""
    folder, files = parts
    manifest = read_manifest(folder)
    last = manifest.segments[-1]
    tree = json.loads((folder / "manifest.json").read_text())
    tree["segments"][-1]["inputs"] = []
    (folder / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(FormatError, match="not among the inputs"):
        read_manifest(folder)
    rewritten(folder, manifest)
    model = onnx.load(folder / last.file)
    del model.graph.input[:]
    (folder / last.file).write_bytes(model.SerializeToString())
    with pytest.raises(FormatError):
        verify(folder, files)
    with pytest.raises(FormatError, match="inputs"):
        check_parts(folder, manifest)


def test_an_output_of_no_job_is_caught(parts):
    folder, files = parts
    manifest = read_manifest(folder)
    jobs = tuple(replace(job, outputs={}) for job in manifest.jobs)
    rewritten(folder, replace(manifest, jobs=jobs))
    with pytest.raises(FormatError, match="no job of the manifest says"):
        verify(folder, files)


def test_weights_in_another_file_are_caught(parts):
    """As long as it lies in the folder, readers of ONNX files would take it."""
    folder, _ = parts
    manifest = read_manifest(folder)
    model = onnx.load(folder / manifest.segments[0].file)
    tensor = model.graph.initializer[0]
    (folder / "other").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="other")
    (folder / manifest.segments[0].file).write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=r"has its numbers in .other., expected in the part itself"):
        check_parts(folder, manifest)


@pytest.mark.parametrize("shape", [(1,) * 70, (0, 2**62)])
def test_inputs_that_numpy_does_not_take(parts, shape):
    folder, files = parts
    manifest = read_manifest(folder)
    values = tuple(replace(v, shape=shape) if v.source is None else v for v in manifest.values)
    rewritten(folder, replace(manifest, values=values))
    with pytest.raises(UnsupportedError, match="too large"):
        verify(folder, files)


def test_an_output_that_is_stored_keeps_its_name(place):
    """Its constant needs another one, which may be taken."""
    b = Builder()
    inputs = [b.input("x", (1, 8)), b.weight(1, 8, name="bias")]
    b.nodes.append(helper.make_node("Add", inputs, ["bias/stored"], name="add"))
    y = b.node("Tanh", "bias/stored")
    path = saved(b.model([(y, (1, 8)), ("bias", (1, 8))]), place, "stored")
    instance = instance_of([path], 2)
    split(placed(instance, "00"), instance, {"stored": path}, place / "stored-parts", overwrite=True)
    assert verify(place / "stored-parts", {"stored": path}).bitwise


def test_a_wrong_wire_is_caught(place):
    """Two values of one shape exchanged in the manifest alone."""
    path = saved(early_exit(), place, "exits")
    instance = instance_of([path], 2)
    split(random_plan(instance, 1, 0.3), instance, {"exits": path}, place / "wire", overwrite=True)
    manifest = read_manifest(place / "wire")
    a, b = [v for v in manifest.outputs if v.shape == (1, 10)][:2]
    values = {a.id: replace(a, name=b.name), b.id: replace(b, name=a.name)}
    rewritten(place / "wire", replace(manifest, values=tuple(values.get(v.id, v) for v in manifest.values)))
    with pytest.raises(FormatError, match="by the manifest"):
        verify(place / "wire", {"exits": path})
