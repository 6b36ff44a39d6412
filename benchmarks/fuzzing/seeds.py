"""Small valid inputs of every reader."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import dnnplan
from dnnplan.instances.canonical import plain
from dnnplan.instances.files import dumps, loads_instance
from dnnplan.instances.generators import chain, random_small, task_sharing, whole_instance
from dnnplan.instances.instance import Instance


def instances() -> list[Instance]:
    """Small instances with every section."""
    tasks = task_sharing(3, 2)
    return [
        dnnplan.load("tiny/hand"),
        chain(3, seed=1),
        *(random_small(seed) for seed in range(3)),
        tasks,
        whole_instance(tasks=2, blocks=3, devices=2),
        _serving(),
    ]


def _serving(streams_at_most: int = 2) -> Instance:
    exits = {
        "layers": [{"name": "a", "exit": "e"}, {"name": "b"}],
        "tensors": [{"name": "x", "bytes": 4, "source": "a", "targets": ["b"]}],
    }
    streams = [
        {"name": "s", "task": "t", "slo": 0.2, "arrivals": {"kind": "trace", "times": [0, 0.1, 0.3]}},
        {"name": "r", "task": "t", "arrivals": {"kind": "poisson", "rate": 3.0}},
    ]
    tree = {
        "format_version": "1.0",
        "platform": {"devices": [{"name": "cpu"}]},
        "models": [{"name": "net", **exits}],
        "tasks": [{"name": "t", "model": "net"}],
        "workload": {"streams": streams[:streams_at_most]},
        "costs": {"batch_latency": {"net/e": {"1": 0.01, "2": 0.015}, "net/final": {"1": 0.02, "2": 0.03}}},
    }
    return loads_instance(json.dumps(tree), syntax="json")


def instance_json() -> list[bytes]:
    """Instances as JSON."""
    return [dumps(instance).encode() for instance in instances()]


def instance_yaml() -> list[bytes]:
    """Instances as YAML."""
    return [dumps(instance, syntax="yaml").encode() for instance in instances()[:4]]


def platforms() -> list[bytes]:
    """Platforms as JSON, which is YAML as well, and as YAML."""
    found = [i.platform for i in instances() if i.platform is not None]
    return [dumps(p).encode() for p in found[:4]] + [dumps(p, syntax="yaml").encode() for p in found[:2]]


def hand_plans() -> list[bytes]:
    """Plans of `tiny/hand`."""
    found = [
        dnnplan.solve(dnnplan.load("tiny/hand"), name, time_limit=5).plan
        for name in ("heft", "peft", "single_device")
    ]
    return [dumps(plan).encode() for plan in found if plan is not None]


def task_plans() -> list[bytes]:
    """Plans of `task_sharing(3, 2)`, and of orders."""
    sharing = task_sharing(3, 2)
    found = [dnnplan.solve(sharing, problem=problem, time_limit=2).plan for problem in ("grouping", "joint")]
    return [dumps(plan).encode() for plan in found if plan is not None]


def plans() -> list[bytes]:
    """Plans of several problems."""
    return hand_plans() + task_plans()


def results() -> list[bytes]:
    """A result of a search."""
    return [
        dnnplan.solve(dnnplan.load("tiny/hand"), name, time_limit=5).to_json().encode()
        for name in ("heft", "auto")
    ]


def events() -> list[bytes]:
    """Change events of every kind for `tiny/hand`."""
    hand = dnnplan.load("tiny/hand")
    devices = [device.name for device in hand.platform.devices] if hand.platform else []
    link = hand.platform.links[0].name if hand.platform else ""
    model = plain(hand.models[0])
    listed: list[dict[str, Any]] = [
        {"kind": "device_throttled", "device": devices[0], "speed": 0.5},
        {"kind": "device_lost", "device": devices[1]},
        {"kind": "link_changed", "link": link, "bandwidth": 0.5},
        {"kind": "link_lost", "link": link},
        {"kind": "model_removed", "task": hand.models[0].name},
        {"kind": "batch_changed", "task": hand.models[0].name, "batch": 2},
        {
            "kind": "model_added",
            "model": {**model, "name": "more"},
            "task": {"name": "more", "model": "more"},
        },
    ]
    texts = [json.dumps(one) for one in listed]
    texts.append(json.dumps({"format_version": "1.0", "events": listed[:3]}))
    return [text.encode() for text in texts]


def pipe() -> list[bytes]:
    """Requests, a line each."""
    hand, plan = json.loads(instance_json()[0]), json.loads(hand_plans()[0])
    lines: list[dict[str, Any]] = [
        {"id": 1, "method": "version"},
        {"id": "a", "method": "cancel"},
        {"id": 2, "method": "check", "instance": "tiny/hand", "plan": plan},
        {"id": 3, "method": "evaluate", "instance": hand, "plan": plan},
        {
            "id": 4,
            "method": "solve",
            "instance": hand,
            "warm_start": plan,
            "time_limit": 1,
            "limits": {"energy": 3},
        },
    ]
    return [json.dumps(line).encode() + b"\n" for line in lines]


def conditions() -> list[bytes]:
    """Conditions of the tasks of `task_sharing(3, 2)`."""
    a, b, c = (task.name for task in task_sharing(3, 2).tasks)
    one = {"task": b, "given": a, "probability": 0.5, "model": "independent"}
    return [json.dumps(tree).encode() for tree in ({"conditions": [one]}, [[a, b, 0.25], [a, c, 1]])]


def manifest_folder(folder: Path) -> Path:
    """A folder as `dnnplan split` writes it."""
    from tests.deploy.hand_manifests import write_folder

    place: Path = write_folder(folder / "made")
    return place.rename(folder / "split")


def in_folder(make: Callable[[Path], Any], *names: str) -> Callable[[], list[bytes]]:
    """Seeds that are files which something writes into a folder."""

    def seeds() -> list[bytes]:
        import tempfile

        with tempfile.TemporaryDirectory() as name:
            make(Path(name))
            return [path.read_bytes() for pattern in names for path in sorted(Path(name).rglob(pattern))]

    return seeds


def foreign(name: str) -> Callable[[], list[bytes]]:
    """Samples of a foreign format."""

    def seeds() -> list[bytes]:
        from tests.instances.foreign_samples import SAMPLES
        from tests.instances.task_samples import TASK_SAMPLES

        return [{**SAMPLES, **TASK_SAMPLES}[name][1].encode()]

    return seeds


def onnx() -> list[bytes]:
    """Networks: with learnt weights, with symbolic sizes, with a sub-graph and a function."""
    from onnx import TensorProto, helper

    from tests.instances.onnx.onnx_graphs import make_model, node

    def weighted(*nodes: Any, **more: Any) -> Any:
        return make_model(list(nodes), {"x": [1, 4]}, {"y": [1, 4]}, {"w": (4, 4)}, **more)

    conv = make_model(
        [
            node("Conv", "x w", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Relu", "c", "r"),
            node("GlobalAveragePool", "r", "p"),
            node("Flatten", "p", "y"),
        ],
        {"x": ["batch", 3, 8, 8]},
        {"y": ["batch", 4]},
        {"w": (4, 3, 3, 3)},
    )
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["b"])],
        "then",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 4])],
    )
    condition = helper.make_node(
        "Constant", [], ["k"], value=helper.make_tensor("k", TensorProto.BOOL, [], [True])
    )
    choice = helper.make_node("If", ["k"], ["i"], then_branch=branch, else_branch=branch)
    models = [
        weighted(node("MatMul", "x w", "y")),
        conv,
        weighted(condition, choice, node("MatMul", "i w", "y")),
        weighted(node("Gemm", "x w", "g", transB=1), node("Softmax", "g", "y", axis=-1)),
    ]
    return [model.SerializeToString() for model in models]


def predictor_folder(folder: Path) -> None:
    """A predictor as `dnnplan train` writes it."""
    from dnnplan.costs.runtime import training
    from dnnplan.costs.runtime.files import save_predictor
    from tests.costs.test_predictor import table

    save_predictor(training.train(table(), kind="linear").predictor, folder)


def modules_folder(folder: Path) -> None:
    """A predictor of modules."""
    from dnnplan.costs.predict.module_files import save_modules
    from dnnplan.costs.predict.modules import module_designs
    from dnnplan.costs.predict.selection import select_models
    from tests.costs.test_modules import operators

    save_modules(select_models(module_designs(operators()), kinds=("linear", "lasso"), folds=2).model, folder)


def whole() -> list[bytes]:
    """A model of whole networks."""
    record = {
        "version": "dnnplan-networks-1",
        "kind": "shapes",
        "names": ["a"],
        "terms": ["t"],
        "overhead": 1e-5,
        "coefficients": [1e-6],
        "classes": ["c"],
        "group": [0, 0],
        "shapes": [[1.0], [2.0]],
        "weights": [0.5, 0.5],
        "residuals": [-0.1, 0.1],
    }
    return [json.dumps(record).encode()]


def costs() -> list[bytes]:
    """`costs.json` with analytic sources."""
    rows = {"gpu": {"kind": "roofline", "peak": 1e9, "error": 0.1}, "*": {"kind": "roofline", "peak": 1e9}}
    return [
        json.dumps({"format_version": "1.0", "devices": rows}).encode(),
        json.dumps(
            {"format_version": "1.0", "devices": {"*": {"kind": "predictor", "folder": "p"}}}
        ).encode(),
    ]


def store() -> list[bytes]:
    """A store with a few rows, small pages."""
    import tempfile

    from dnnplan.reports.runs import Store
    from tests.reports.report_rows import few_rows

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "rows.sqlite"
        with Store(path) as kept:
            kept.add(*few_rows()[:3])
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")
        connection.close()
        return [path.read_bytes()]


def arrays() -> list[bytes]:
    """Arrays of samples."""
    packed, plain_ = io.BytesIO(), io.BytesIO()
    np.savez_compressed(packed, x=np.ones((2, 3), np.float32), y=np.arange(2))
    np.savez(plain_, x=np.ones((2, 3)))
    return [packed.getvalue(), plain_.getvalue()]


def tables() -> list[bytes]:
    """Tables of operators, of phones and of GPUs, and of networks."""
    from tests.costs.test_predict import HEAD, qed_row

    row = qed_row("n0", "CONV_2D", 14, 16, 14, 1, 3, 32, 1, 90.0, "convolution_2d_0_linked_:_relu_1")
    return [
        "\n".join([HEAD, row]).encode(),
        b"model,FLOPS,size,mi8se|gpu|float|mean\nn0,1,1,500\nn1,1,1,600\n",
        b"op,device,B,M,latency_ms\nbmm,V100,1,64,0.5\nfc,T4,2,32,0.25\n",
    ]


def cost_table() -> list[bytes]:
    """Latencies of the layers of `tiny/hand`."""
    hand = dnnplan.load("tiny/hand")
    assert hand.platform is not None
    devices = [device.name for device in hand.platform.devices]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("model", "layer", "device", "latency", "energy"))
    for layer in hand.models[0].layers:
        writer.writerows((hand.models[0].name, layer.name, name, 1e-3, 2.0) for name in devices)
    return [out.getvalue().encode()]


def kernel_trace() -> list[bytes]:
    """A trace of ONNX Runtime."""
    rows = [
        {
            "cat": "Node",
            "name": "a_kernel_time",
            "dur": d,
            "args": {
                "op_name": "Conv",
                "input_type_shape": [{"float": [1, 3]}],
                "output_type_shape": [{"float": [1]}],
            },
        }
        for d in (10, 11)
    ]
    return [json.dumps([{"cat": "Session", "name": "x"}, *rows]).encode()]


def profile_folder(folder: Path) -> None:
    """A table of measurements."""
    from dnnplan.costs.profile.store import ProfileTable
    from tests.costs.test_profile import rows_of

    ProfileTable(folder / "t").append(rows_of("a"))


def front() -> list[bytes]:
    """A trade-off as `solve --pareto --json` prints it."""
    rows = [
        {"values": {"latency": 1.0, "energy": 3.0}, "plan": {}},
        {"values": {"latency": 2.0, "energy": 2.0}},
    ]
    return [json.dumps({"objectives": ["latency", "energy"], "front": rows}).encode()]


def texts(*lines: str) -> Callable[[], list[bytes]]:
    """Lines of text."""
    return lambda: [line.encode() for line in lines]


def medn_file(folder: Path) -> None:
    """A small network that predicts modules; needs PyTorch."""
    from dnnplan.costs.predict.medn_files import save_medn
    from dnnplan.costs.predict.medn_torch import MednSettings
    from dnnplan.costs.predict.medn_train import fit_medn
    from dnnplan.costs.predict.modules import module_designs
    from tests.costs.test_modules import operators

    settings = MednSettings(members=1, width=4, decoder=2, batch=32, epochs=2, rate=0.01)
    save_medn(fit_medn(module_designs(operators()), settings=settings), folder / "m.npz")
