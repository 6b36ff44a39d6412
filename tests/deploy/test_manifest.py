"""Manifests: what is written is read back, and what is hostile, swapped or missing is refused."""

from __future__ import annotations

import copy
import json
import os
import shutil

import pytest

from dnnplan.deploy.folder import dumps_manifest, loads_manifest
from dnnplan.deploy.manifest import read_manifest
from dnnplan.deploy.manifest_schema import manifest_schema_text, published_path
from dnnplan.deploy.split import split
from dnnplan.instances import FormatError, InputError
from tests.support.deploy_networks import early_exit, instance_of, random_plan, saved


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A split network."""
    place = tmp_path_factory.mktemp("manifest")
    path = saved(early_exit(), place, "net")
    instance = instance_of([path], 2)
    split(random_plan(instance, 1, 0.4), instance, {"net": path}, place / "parts")
    return place / "parts"


@pytest.fixture
def tree(folder):
    return copy.deepcopy(json.loads((folder / "manifest.json").read_text()))


def refused(tree) -> str:
    """What is said of a manifest."""
    with pytest.raises(InputError) as error:
        loads_manifest(json.dumps(tree).encode())
    return str(error.value)


def test_written_and_read_back(folder):
    manifest = read_manifest(folder)
    assert loads_manifest(dumps_manifest(manifest).encode()) == manifest
    assert len(manifest.segments) > 3
    assert manifest.inputs
    assert len(manifest.outputs) == 4
    assert manifest.transfers
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "instance.json",
        "plan.json",
        ".written-by-dnnplan",
        *(segment.file for segment in manifest.segments),
    }


def test_the_published_schema_is_current():
    assert published_path().read_text() == manifest_schema_text(), "python -m dnnplan.deploy.manifest_schema"


def test_the_manifest_keeps_its_schema(tree):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(tree, json.loads(manifest_schema_text()))


@pytest.mark.parametrize(
    "name",
    [
        "../part.onnx",
        "/etc/passwd",
        "a/b.onnx",
        "a\\b.onnx",
        "..",
        ".hidden.onnx",
        "",
        "C:x.onnx",
        "a\nb",
        "x" * 300,
    ],
)
@pytest.mark.parametrize("key", ["file", "data"])
def test_names_that_are_not_plain(tree, name, key):
    tree["segments"][0][key] = name
    assert f"segments[0].{key}" in refused(tree)


@pytest.mark.parametrize("name", ["manifest.json", "plan.json", "INSTANCE.json"])
def test_parts_cannot_be_the_other_files(tree, name):
    tree["segments"][0]["file"] = name
    assert "the name of another file" in refused(tree)


def drop_input(tree):
    tree["segments"][-1]["inputs"].pop()


def drop_output(tree):
    next(s for s in tree["segments"] if len(s.get("outputs", ())) > 0)["outputs"].pop()


def drop_value(tree):
    tree["values"].pop()


def drop_transfer(tree):
    tree["transfers"].pop()


def drop_segment(tree):
    tree["segments"].pop()


def drop_from_order(tree):
    next(iter(tree["order"].values())).pop()


def reverse_transfer(tree):
    move = tree["transfers"][0]
    move["source"], move["target"] = move["target"], move["source"]


def swap_inputs(tree):
    """Two parts read each other's tensors."""
    a, b = tree["segments"][1], tree["segments"][-1]
    a["inputs"], b["inputs"] = b["inputs"], a["inputs"]


def swap_outputs(tree):
    a, b = tree["segments"][0], tree["segments"][1]
    a["outputs"], b["outputs"] = b["outputs"], a["outputs"]


def other_device(tree):
    devices = tree["devices"]
    segment = tree["segments"][0]
    segment["device"] = next(name for name in devices if name != segment["device"])


def same_name(tree):
    tree["segments"][1]["name"] = tree["segments"][0]["name"]


def same_value(tree):
    tree["values"].append(dict(tree["values"][0]))


def same_name_in_file(tree):
    """Two inputs of a part with one ONNX name."""
    ids = next(s["inputs"] for s in tree["segments"] if len(s["inputs"]) > 1)
    values = {value["id"]: value for value in tree["values"]}
    values[ids[0]]["name"] = values[ids[1]]["name"]


def twice_in_order(tree):
    names = next(iter(tree["order"].values()))
    names.append(names[0])


def backwards(tree):
    """The order of a device against the tensors."""
    for names in tree["order"].values():
        names.reverse()


def unknown_model(tree):
    tree["segments"][0]["model"] = "nobody"


def odd_type(tree):
    tree["values"][0]["dtype"] = "float31"


def negative_shape(tree):
    tree["values"][0]["shape"] = [-1]


def no_digest(tree):
    tree["segments"][0]["sha256"] = "0" * 63


def other_digest_same_file(tree):
    first, second = tree["segments"][:2]
    second["file"] = first["file"].upper()


def waits_for_itself(tree):
    tree["segments"][0]["after"] = [tree["segments"][0]["name"]]


def waits_for_the_last(tree):
    tree["segments"][0]["after"] = [tree["segments"][-1]["name"]]


def unknown_key(tree):
    tree["run"] = "rm -rf"


def unknown_version(tree):
    tree["format_version"] = "2.0"


def no_version(tree):
    del tree["format_version"]


def job_without_output(tree):
    tree["jobs"][0]["outputs"] = {"y": tree["inputs"] if "inputs" in tree else tree["values"][0]["id"]}


def no_segments(tree):
    tree["segments"], tree["values"], tree["order"], tree["transfers"] = [], [], {}, []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop_input, "not among the inputs of its target"),
        (drop_output, "not among the outputs of its source"),
        (drop_value, "is not a value"),
        (drop_transfer, "is missing"),
        (drop_segment, "is not a segment"),
        (drop_from_order, "is not listed"),
        (reverse_transfer, "no segment there needs it"),
        (swap_inputs, "among"),
        (swap_outputs, "its source is"),
        (other_device, "is on device"),
        (same_name, "is there twice"),
        (same_value, "is there twice"),
        (same_name_in_file, "is there twice"),
        (twice_in_order, "is there twice"),
        (backwards, "wait for each other"),
        (unknown_model, "is not a model"),
        (odd_type, "element type"),
        (negative_shape, "values[0].shape"),
        (no_digest, "sha256"),
        (other_digest_same_file, "stated differently"),
        (waits_for_itself, "wait for each other"),
        (waits_for_the_last, "wait for each other"),
        (unknown_key, "run"),
        (unknown_version, "format_version"),
        (no_version, "format_version"),
        (job_without_output, "jobs[0].outputs"),
        (no_segments, "segments"),
    ],
)
def test_what_does_not_fit_together_is_refused(tree, change, told):
    change(tree)
    assert told in refused(tree)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'"x"', b"\xff\xfe", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_text_that_is_no_manifest(text):
    with pytest.raises(InputError):
        loads_manifest(text)


def copied(folder, tmp_path):
    target = tmp_path / "parts"
    shutil.copytree(folder, target)
    return target


def test_a_changed_part_is_refused(folder, tmp_path):
    place = copied(folder, tmp_path)
    part = place / read_manifest(place).segments[0].file
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="was changed"):
        read_manifest(place)
    assert read_manifest(place, files=False).segments
    part.write_bytes(bytes(data) + b"\0")
    with pytest.raises(FormatError, match="bytes, expected"):
        read_manifest(place)


def test_swapped_files_are_refused(folder, tmp_path):
    place = copied(folder, tmp_path)
    a, b = (place / segment.file for segment in read_manifest(place).segments[:2])
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)
    with pytest.raises(FormatError):
        read_manifest(place)


def test_missing_files_and_folders(folder, tmp_path):
    place = copied(folder, tmp_path)
    (place / read_manifest(place).segments[-1].file).unlink()
    with pytest.raises(FormatError, match="is not in the folder"):
        read_manifest(place)
    (place / "manifest.json").unlink()
    with pytest.raises(FormatError, match=r"no manifest\.json"):
        read_manifest(place)
    with pytest.raises(FormatError, match="not a folder"):
        read_manifest(tmp_path / "nowhere")


def test_links_are_not_followed(folder, tmp_path):
    """Even to the right content: what is outside the folder may change at any time."""
    place = copied(folder, tmp_path)
    part = place / read_manifest(place).segments[0].file
    part.rename(tmp_path / "outside.onnx")
    part.symlink_to(tmp_path / "outside.onnx")
    with pytest.raises(FormatError, match="no regular file"):
        read_manifest(place)
    manifest = place / "manifest.json"
    manifest.rename(tmp_path / "manifest.json")
    manifest.symlink_to(tmp_path / "manifest.json")
    with pytest.raises(FormatError, match=r"no manifest\.json"):
        read_manifest(place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_not_waited_for(folder, tmp_path):
    place = copied(folder, tmp_path)
    part = place / read_manifest(place).segments[0].file
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(FormatError, match="no regular file"):
        read_manifest(place)


def test_sizes_are_limited(folder, tmp_path, tree):
    tree["segments"][0]["bytes"] = 2**40
    place = copied(folder, tmp_path)
    (place / "manifest.json").write_text(json.dumps(tree))
    with pytest.raises(FormatError, match="expected at most"):
        read_manifest(place)
    with (place / "manifest.json").open("wb") as file:
        file.truncate(2**30)  # a sparse file: nothing of it is read
    with pytest.raises(FormatError, match="larger than"):
        read_manifest(place)
