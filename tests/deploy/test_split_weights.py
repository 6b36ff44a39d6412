"""Weights beside the files: of parts that are too large for one, and of models that come with them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from dnnplan.deploy.manifest import read_manifest
from dnnplan.deploy.split import split
from dnnplan.deploy.verify import verify
from dnnplan.instances import FormatError
from tests.support.deploy_networks import (
    SMALL,
    instance_of,
    mobilenet,
    placed,
    random_plan,
    saved,
)


def test_large_weights_go_into_a_file_beside_the_part(place):
    """The limit of protocol buffers is 2 GiB; here it is lowered."""
    path = saved(mobilenet(), place, "net")
    instance = instance_of([path], 2)
    plan = placed(instance, "0" * 8 + "1" * 20)
    manifest = split(plan, instance, {"net": path}, place / "large", inline_limit=4000, overwrite=True)
    beside = [s for s in manifest.segments if s.data is not None]
    assert beside
    for segment in beside:
        model = onnx.load(place / "large" / segment.file, load_external_data=False)
        locations = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        assert locations == {segment.data}
        assert (place / "large" / segment.data).stat().st_size == segment.data_bytes
    assert verify(place / "large", {"net": path}).bitwise
    data = place / "large" / beside[0].data
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    with pytest.raises(FormatError, match="data"):
        read_manifest(place / "large")


def external(model: onnx.ModelProto, folder: Path, name: str) -> Path:
    """The same model with its weights in a file beside it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location=f"{name}.bin",
        size_threshold=64,
        convert_attribute=True,
    )
    return path


@pytest.mark.parametrize("name", ["mobilenet", "functions", "sub-graphs"])
@pytest.mark.parametrize("limit", [500, 2**30])
def test_models_with_external_data(place, name, limit):
    plain = saved(SMALL[name](0), place, name)
    path = external(SMALL[name](0), place / "external", name)
    instance = instance_of([plain], 2)
    plan = random_plan(instance, 1, 0.3)
    split(plan, instance, {name: path}, place / "ext", inline_limit=limit, overwrite=True)
    assert verify(place / "ext", {name: path}).bitwise
    files = {
        s.name: s.sha256 for s in split(plan, instance, {name: plain}, place / "p", overwrite=True).segments
    }
    if limit > 500:
        again = split(plan, instance, {name: path}, place / "ext", overwrite=True)
        assert {s.name: s.sha256 for s in again.segments} == files, (
            "the same parts, wherever the weights were"
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("location", "../outside.bin"),
        ("location", "/etc/passwd"),
        ("location", "link.bin"),
        ("location", "missing.bin"),
        ("location", ""),
        ("offset", "-1"),
        ("offset", "9" * 30),
        ("offset", "1000000"),
        ("length", "3"),
        ("length", str(2**40)),
    ],
)
def test_hostile_external_data(place, key, value):
    path = external(mobilenet(), place / "hostile", "net")
    (place / "outside.bin").write_bytes(bytes(10_000_000))
    link = place / "hostile" / "link.bin"
    link.unlink(missing_ok=True)
    link.symlink_to(place / "outside.bin")
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.external_data)
    kept = {entry.key: entry.value for entry in tensor.external_data} | {key: value}
    del tensor.external_data[:]
    for name, text in kept.items():
        tensor.external_data.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())
    plain = saved(mobilenet(), place, "net")
    instance = instance_of([plain], 2)
    with pytest.raises(FormatError):
        split(placed(instance, "01"), instance, {"net": path}, place / "no", overwrite=True)
    assert not (place / "no").exists()
