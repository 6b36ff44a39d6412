"""A small network cut by hand into three parts on two devices, written as `dnnplan split` would."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from dnnplan.costs import evaluate
from dnnplan.deploy.folder import dumps_manifest
from dnnplan.deploy.manifest import (
    INSTANCE,
    MANIFEST,
    PLAN,
    JobEntry,
    Manifest,
    ModelEntry,
    Predicted,
    SegmentEntry,
    Transfer,
    Value,
)
from dnnplan.instances import Device, Instance, Layer, Link, Model, Plan, Platform, Tensor
from dnnplan.instances.files import write_instance, write_plan
from dnnplan.instances.platform import Execution
from dnnplan.instances.sections import Costs

SIZE = 8
BYTES = 4 * SIZE
LAYERS = {
    "stem": ("MatMul", ("x", "w1"), "h"),
    "act": ("Relu", ("h",), "r"),
    "left": ("MatMul", ("r", "w2"), "l"),
    "right": ("MatMul", ("r", "w3"), "m"),
    "join": ("Add", ("l", "m"), "y"),
}
PARTS = {
    "net/0/a": ("one", ("stem", "act", "left"), ("x",), ("r", "l")),
    "net/0/b": ("two", ("right",), ("r",), ("m",)),
    "net/0/c": ("one", ("join",), ("l", "m"), ("y",)),
}
TIMES = {"stem": 1e-5, "act": 2e-6, "left": 1e-5, "right": 1e-5, "join": 2e-6}


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {name: random.standard_normal((SIZE, SIZE)).astype(np.float32) for name in ("w1", "w2", "w3")}


def write_onnx(path: Path, layers, inputs, outputs, *, operator: dict[str, str] | None = None) -> None:
    """A graph of some layers; `operator` replaces operators by layer, to make parts that fail."""
    nodes, used = [], set()
    for layer in layers:
        kind, reads, makes = LAYERS[layer]
        nodes.append(helper.make_node((operator or {}).get(layer, kind), list(reads), [makes], name=layer))
        used.update(reads)
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SIZE]) for name in names]
        for names in (inputs, outputs)
    ]
    stored = [numpy_helper.from_array(array, name) for name, array in weights().items() if name in used]
    graph = helper.make_graph(nodes, "part", values[0], values[1], stored)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def instance(*, overlap: bool = False) -> Instance:
    """The network on two devices, with a table of times."""
    readers: dict[str, list[str]] = {}
    for name, (_, reads, _) in LAYERS.items():
        for read in reads:
            readers.setdefault(read, []).append(name)
    tensors = [Tensor(name="x", targets=("stem",), bytes=BYTES)]
    tensors += [
        Tensor(
            name=makes, source=name, targets=tuple(readers.get(makes, ())), bytes=BYTES, output=makes == "y"
        )
        for name, (_, _, makes) in LAYERS.items()
    ]
    layers = tuple(
        Layer(name=name, op=kind, flops=2 * SIZE, attributes={"onnx_nodes": [name]})
        for name, (kind, _, _) in LAYERS.items()
    )
    model = Model(name="net", layers=layers, tensors=tuple(tensors))
    devices = tuple(Device(name=name, peak_flops={"*": 1e9}) for name in ("one", "two"))
    link = Link(name="copy", source="one", target="two", bandwidth=1e9, latency=5e-6)
    platform = Platform(name="pair", devices=devices, links=(link,), execution=Execution(overlap=overlap))
    latency = {"net": {name: {"one": seconds, "two": seconds} for name, seconds in TIMES.items()}}
    return Instance(name="hand", models=(model,), platform=platform, costs=Costs(latency=latency))


def plan(whole: Instance) -> Plan:
    """Three calls on two devices."""
    calls = {name: tuple(f"net/0/{layer}" for layer in part[1]) for name, part in PARTS.items()}
    place = {f"net/0/{layer}": part[0] for part in PARTS.values() for layer in part[1]}
    order = {"one": ("net/0/a", "net/0/c"), "two": ("net/0/b",)}
    return Plan(instance=whole.hash(), placement=place, calls=calls, order=order)


def write_folder(folder: Path, *, operator: dict[str, str] | None = None, overlap: bool = False) -> Path:
    """Everything that a folder of parts holds, and the original beside the parts."""
    folder.mkdir()
    whole = instance(overlap=overlap)
    decided = plan(whole)
    evaluation = evaluate(whole, decided)
    entries = []
    for at, (name, (device, layers, inputs, outputs)) in enumerate(PARTS.items()):
        path = folder / f"part{at}.onnx"
        write_onnx(path, layers, inputs, outputs, operator=operator)
        data = path.read_bytes()
        entries.append(
            SegmentEntry(
                name=name,
                file=path.name,
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
                device=device,
                model="net",
                task="net",
                layers=layers,
                nodes=layers,
                inputs=tuple(f"net/0/{value}" for value in inputs),
                outputs=tuple(f"net/0/{value}" for value in outputs),
            )
        )
    original = folder / "original.onnx"
    write_onnx(original, tuple(LAYERS), ("x",), ("y",))
    digest = hashlib.sha256(original.read_bytes()).hexdigest()
    values = [
        Value(
            id=f"net/0/{name}",
            name=name,
            task="net",
            dtype="float32",
            shape=(1, SIZE),
            source=next((e.name for e in entries if f"net/0/{name}" in e.outputs), None),
            targets=tuple(e.name for e in entries if f"net/0/{name}" in e.inputs),
            output=name == "y",
        )
        for name in ("x", "r", "l", "m", "y")
    ]
    manifest = Manifest(
        name="hand",
        instance_hash=whole.hash(),
        devices=("one", "two"),
        models=(ModelEntry(name="net", file="original.onnx", sha256=digest),),
        segments=tuple(entries),
        jobs=(JobEntry(task="net", model="net", inputs={"x": "net/0/x"}, outputs={"y": "net/0/y"}),),
        values=tuple(values),
        order=dict(decided.order),
        transfers=(
            Transfer(value="net/0/r", source="one", target="two", bytes=BYTES),
            Transfer(value="net/0/m", source="two", target="one", bytes=BYTES),
        ),
        predicted=Predicted(
            latency=evaluation.cost.latency,
            segments={name: (evaluation.starts[name], evaluation.ends[name]) for name in PARTS},
        ),
    )
    (folder / MANIFEST).write_text(dumps_manifest(manifest))
    write_instance(whole, folder / INSTANCE)
    write_plan(decided, folder / PLAN)
    return folder
