"""Small networks with weights, of the kinds that people deploy, and random plans for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from dnnplan.costs import encode, mapping_problem
from dnnplan.costs.mapping import topological_order
from dnnplan.costs.sharing.expand import expand
from dnnplan.instances import Device, Instance, Link, Plan, Platform, Sharing, Task
from dnnplan.instances.formats.onnx import read_onnx

FLOAT = TensorProto.FLOAT
SHAPE = tuple[int | str, ...]


class Builder:
    """Nodes one after the other, with seeded weights; each method returns the name of its output."""

    def __init__(self, seed: int = 0, opset: int = 17, ir: int = 8) -> None:
        self.random = np.random.default_rng(seed)
        self.opset, self.ir = opset, ir
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.inputs: list[Any] = []

    def input(self, name: str, shape: SHAPE, dtype: int = FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def weight(self, *shape: int, scale: float = 0.3, name: str = "") -> str:
        values = self.random.standard_normal(shape).astype(np.float32) * np.float32(scale)
        return self.constant(values, name)

    def constant(self, values: Any, name: str = "") -> str:
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        number = len(self.nodes)
        names = [f"v{number}" if outputs == 1 else f"v{number}.{k}" for k in range(outputs)]
        self.nodes.append(
            helper.make_node(op, inputs, names, name=f"{op}_{number}", domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def conv(self, x: str, c: int, k: int, kernel: int = 3, stride: int = 1, group: int = 1) -> str:
        pads = [kernel // 2] * 4
        w, b = self.weight(k, c // group, kernel, kernel), self.weight(k)
        return self.node("Conv", x, w, b, pads=pads, strides=[stride] * 2, group=group)

    def linear(self, x: str, n: int, m: int) -> str:
        return self.node("Add", self.node("MatMul", x, self.weight(n, m)), self.weight(m))

    def model(
        self, outputs: Iterable[tuple[str, SHAPE]], dtype: int = FLOAT, functions: Sequence[Any] = ()
    ) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "net",
            self.inputs,
            [helper.make_tensor_value_info(name, dtype, shape) for name, shape in outputs],
            initializer=self.weights,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, 1) for domain in {f.domain for f in functions}]
        return helper.make_model(graph, opset_imports=opsets, ir_version=self.ir, functions=list(functions))


def mobilenet(seed: int = 0) -> Any:
    """MobileNetV2: inverted residuals with clipped activations."""
    b = Builder(seed)
    low, high = b.constant(np.float32(0)), b.constant(np.float32(6))

    def relu6(x: str) -> str:
        return b.node("Clip", x, low, high)

    x = relu6(b.conv(b.input("image", (1, 3, 32, 32)), 3, 8, stride=2))
    channels = 8
    for out, stride in ((8, 1), (12, 2), (12, 1), (16, 2), (16, 1)):
        wide = 4 * channels
        y = relu6(b.conv(x, channels, wide, 1))
        y = relu6(b.conv(y, wide, wide, 3, stride, wide))
        y = b.conv(y, wide, out, 1)
        x = b.node("Add", x, y) if stride == 1 and out == channels else y
        channels = out
    x = b.node("Flatten", b.node("GlobalAveragePool", x))
    y = b.node("Gemm", x, b.weight(10, 16), b.weight(10), transB=1)
    return b.model([(y, (1, 10))])


def vision_transformer(seed: int = 0, batch: int | str = 1) -> Any:
    """ViT: patches, attention whose shapes are computed from tensors, feed-forward blocks with GELU."""
    b = Builder(seed)
    d, heads = 16, 2
    x = b.input("image", (batch, 3, 16, 16))
    x = b.node("Conv", x, b.weight(d, 3, 4, 4), b.weight(d), strides=[4, 4])
    size = b.node("Slice", b.node("Shape", x), b.constant([0]), b.constant([2]))
    x = b.node("Reshape", x, b.node("Concat", size, b.constant([-1]), axis=0))
    x = b.node("Add", b.node("Transpose", x, perm=[0, 2, 1]), b.weight(1, 16, d))
    for _ in range(2):
        y = b.node("LayerNormalization", x, b.weight(d), b.weight(d))
        parts = []
        for transposed in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            z = b.linear(y, d, d)
            count = b.node("Slice", b.node("Shape", z), b.constant([0]), b.constant([2]))
            split = b.node("Concat", count, b.constant([heads, d // heads]), axis=0)
            parts.append(b.node("Transpose", b.node("Reshape", z, split), perm=transposed))
        scores = b.node("Mul", b.node("MatMul", parts[0], parts[1]), b.constant(np.float32(0.35)))
        z = b.node("MatMul", b.node("Softmax", scores, axis=-1), parts[2])
        z = b.node("Transpose", z, perm=[0, 2, 1, 3])
        x = b.node("Add", x, b.linear(b.node("Reshape", z, b.constant([0, 0, d])), d, d))
        y = b.linear(b.node("LayerNormalization", x, b.weight(d), b.weight(d)), d, 32)
        half = b.node("Mul", y, b.constant(np.float32(0.5)))
        erf = b.node("Erf", b.node("Mul", y, b.constant(np.float32(0.70710678))))
        y = b.node("Mul", half, b.node("Add", erf, b.constant(np.float32(1))))
        x = b.node("Add", x, b.linear(y, 32, d))
    x = b.node("ReduceMean", x, axes=[1], keepdims=0)
    return b.model([(b.linear(x, d, 10), (batch, 10))])


def lstm(seed: int = 0) -> Any:
    """Two LSTM layers with an omitted output, an omitted input and states of the caller."""
    b = Builder(seed)
    x = b.input("sequence", (12, 1, 8))
    h0, c0 = b.input("h0", (1, 1, 16)), b.input("c0", (1, 1, 16))
    shape = (1, 64, 8)
    b.nodes.append(
        helper.make_node(
            "LSTM",
            [x, b.weight(*shape), b.weight(1, 64, 16), b.weight(1, 128), "", h0, c0],
            ["all", "", "cell"],
            hidden_size=16,
        )
    )
    y = b.node("Squeeze", "all", b.constant([1]))
    b.nodes.append(
        helper.make_node("LSTM", [y, b.weight(1, 64, 16), b.weight(1, 64, 16)], ["", "last"], hidden_size=16)
    )
    z = b.node("Reshape", "last", b.constant([1, 16]))
    return b.model([(b.linear(z, 16, 5), (1, 5)), ("cell", (1, 1, 16))])


def early_exit(seed: int = 0) -> Any:
    """Three stages with a classifier each, weights that two of them share, and an output that others read."""
    b = Builder(seed)
    x = b.conv(b.input("image", (1, 3, 16, 16)), 3, 8)
    shared = b.weight(10, 8)
    found = []
    for stage in range(3):
        x = b.node("Relu", b.conv(x, 8, 8, stride=2))
        pooled = b.node("Flatten", b.node("GlobalAveragePool", x))
        weight = shared if stage != 1 else b.weight(10, 8)
        found.append(b.node("Gemm", pooled, weight, transB=1))
    total = b.node("Sum", *found)
    return b.model([(name, (1, 10)) for name in (*found, total)])


def sub_graphs(seed: int = 0) -> Any:
    """An If and a Loop whose bodies read values from around them, a constant output, and an input that is not read."""
    b = Builder(seed)
    x = b.input("x", (1, 8))
    b.input("unused", (1, 2))
    y, z = b.linear(x, 8, 8), b.linear(x, 8, 8)
    flag = b.node("Greater", b.node("ReduceSum", y, keepdims=0), b.constant(np.float32(0)))
    weight = b.weight(8, 8)

    def branch(name: str, *nodes: Any) -> Any:
        out = helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, (1, 8))
        return helper.make_graph(list(nodes), name, [], [out])

    make = helper.make_node
    then = branch("then", make("MatMul", [z, weight], ["t"]), make("Tanh", ["t"], ["then_out"]))
    other = branch("else", make("Sub", [z, y], ["else_out"]))
    chosen = b.node("If", flag, then_branch=then, else_branch=other)
    inner = [
        make("MatMul", ["state", weight], ["s"]),
        make("Add", ["s", chosen], ["next"]),
        make("Identity", ["going"], ["goes_on"]),
    ]
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        inner,
        "body",
        [info("i", TensorProto.INT64, ()), info("going", TensorProto.BOOL, ()), info("state", FLOAT, (1, 8))],
        [info("goes_on", TensorProto.BOOL, ()), info("next", FLOAT, (1, 8))],
    )
    last = b.node("Loop", b.constant(np.int64(3)), b.constant(np.bool_(True)), z, body=body)
    fixed = b.node("Mul", b.weight(1, 8, name="bias"), b.constant(np.float32(2)))
    result = b.linear(b.node("Relu", last), 8, 4)
    return b.model([(result, (1, 4)), (fixed, (1, 8)), ("bias", (1, 8))])


def functions(seed: int = 0) -> Any:
    """Calls of a local function, and large constants in `Constant` nodes."""
    b = Builder(seed)
    make = helper.make_node
    body = [make("MatMul", ["a", "w"], ["m"], name="mul"), make("Relu", ["m"], ["r"], name="act")]
    function = helper.make_function(
        "own", "Dense", ["a", "w"], ["r"], body, [helper.make_opsetid("", b.opset)]
    )
    x = b.input("x", (4, 48))
    for _ in range(3):
        value = numpy_helper.from_array(b.random.standard_normal((48, 48)).astype(np.float32) / 8)
        x = b.node("Dense", x, b.node("Constant", value=value), domain="own")
    return b.model([(x, (4, 48))], functions=[function])


def float16(seed: int = 0) -> Any:
    """Half precision in the middle, integers and booleans at cuts."""
    b = Builder(seed)
    x = b.node("Cast", b.input("x", (2, 8)), to=TensorProto.FLOAT16)
    w = b.constant(b.random.standard_normal((8, 8)).astype(np.float16))
    y = b.node("Cast", b.node("MatMul", x, w), to=FLOAT)
    place = b.node("ArgMax", y, axis=1, keepdims=0)
    taken = b.node("Gather", b.weight(8, 4), place)
    mask = b.node("Greater", taken, b.constant(np.float32(0)))
    return b.model([(b.node("Where", mask, taken, b.node("Neg", taken)), (2, 4))])


SMALL: dict[str, Callable[[int], Any]] = {
    "mobilenet": mobilenet,
    "vit": vision_transformer,
    "lstm": lstm,
    "early-exit": early_exit,
    "sub-graphs": sub_graphs,
    "functions": functions,
    "float16": float16,
}


def platform(devices: int = 3, kinds: Sequence[str] = ("cpu", "gpu", "npu"), host: bool = False) -> Platform:
    """Devices of different speeds, all connected."""
    names = [f"{kind}{at if at >= len(set(kinds)) else ''}" for at, kind in enumerate(kinds[:devices])]
    return Platform(
        name="test",
        devices=tuple(
            Device(name=name, kind=kind, peak_flops={"*": 1e9 * (1 + at)})
            for at, (name, kind) in enumerate(zip(names, kinds, strict=False))
        ),
        links=tuple(
            Link(name=f"{a}-{b}", source=a, target=b, bandwidth=1e9, latency=1e-6)
            for at, a in enumerate(names)
            for b in names[at + 1 :]
        ),
    )


def instance_of(paths: Sequence[Path], devices: int = 3, **reading: Any) -> Instance:
    """The networks of files on a platform."""
    models = tuple(read_onnx(path, **reading)[0] for path in paths)
    return Instance(name="test", models=models, platform=platform(devices))


def random_plan(instance: Instance, seed: int, stay: float = 0.7) -> Plan:
    """Each layer on a random device, or with probability `stay` on that of the layer before; in a random order."""
    problem, r = mapping_problem(instance), random.Random(seed)
    place, order = [0] * problem.n, [[] for _ in range(problem.m)]
    device = r.randrange(problem.m)
    for i in topological_order(problem):
        if r.random() > stay:
            device = r.randrange(problem.m)
        place[i] = device
        order[device].append(i)
    return encode(problem, place, order)


def saved(model: Any, folder: Path, name: str) -> Path:
    """Write a model without checking it."""
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def branch(head: int, *, trunk: int = 0, image: str = "image", size: int = 16) -> Any:
    """A trunk of four layers, whose weights follow from `trunk`, and a head of its own."""
    b = Builder(trunk)
    x = b.node("Relu", b.conv(b.input(image, (1, 3, size, size)), 3, 8, stride=2))
    x = b.node("Add", x, b.node("Relu", b.conv(x, 8, 8)))
    x = b.node("Relu", b.conv(x, 8, 8, stride=2))
    b.random = np.random.default_rng(100 + head)
    x = b.node("Flatten", b.node("GlobalAveragePool", x))
    return b.model([(b.linear(x, 8, 4 + head), (1, 4 + head))])


def sharing_tasks(paths: Sequence[Path], devices: int = 2) -> Instance:
    """One task a network of `branch`, cut into stem, two blocks and head, that could share all but their heads."""
    instance = instance_of(paths, devices)
    tasks = []
    for model in instance.models:
        names = [layer.name for layer in model.layers]
        blocks = (tuple(names[:1]), tuple(names[1:3]), tuple(names[3:4]), tuple(names[4:]))
        tasks.append(Task(name=f"t-{model.name}", model=model.name, blocks=blocks))
    affinity = tuple(tuple(1.0 if a is b else 0.5 for b in tasks) for a in tasks)
    sharing = Sharing(branch_points=("early", "late"), affinity=(affinity, affinity))
    return replace(instance, tasks=tuple(tasks), sharing=sharing)


def joint_plan(
    instance: Instance, groups: Sequence[Sequence[Sequence[str]]], seed: int, stay: float = 0.5
) -> Plan:
    """A random plan of the network that a task graph gives."""
    partitions = tuple(tuple(tuple(group) for group in level) for level in groups)
    plan = random_plan(expand(instance, partitions), seed, stay)
    return replace(plan, problem="joint", groups=partitions, instance=instance.hash())


def placed(instance: Instance, devices: str) -> Plan:
    """The plan in which layer k of the instance runs on the device of that number; "0" for what follows the text."""
    problem = mapping_problem(instance)
    where = ([int(d) for d in devices] + [0] * problem.n)[: problem.n]
    return encode(problem, where, [[i for i in range(problem.n) if where[i] == d] for d in range(problem.m)])
