"""Damaged and hostile files: one typed error each, and nothing opened that should not be."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

from dnnplan.instances import FormatError, InputError
from dnnplan.instances.formats.onnx import ReadLimits, light_network_paths, read_onnx
from tests.instances.onnx.onnx_graphs import helper, make_model, node, onnx, save


def small_model(**options):
    return make_model(
        [node("MatMul", "x w", "y")], {"x": [1, 40]}, {"y": [1, 40]}, {"w": (40, 40)}, **options
    )


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_truncated_file(tmp_path):
    path = save(small_model(), tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError) as error:
        read_onnx(path)
    assert "not an ONNX model, or a damaged one" in one_line(error)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("content", [b"", b"hello, world", b"\x00" * 1000, b"PK\x03\x04" + b"\x07" * 500])
def test_junk(tmp_path, content):
    path = tmp_path / "junk.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not an ONNX model"):
        read_onnx(path)


def test_missing_file_folder_and_pipe(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_onnx(tmp_path / "missing.onnx")
    with pytest.raises(FormatError, match=r"cannot be read|not a regular file"):
        read_onnx(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.onnx")
        with pytest.raises(FormatError, match="not a regular file"):
            read_onnx(tmp_path / "pipe.onnx")


def test_size_is_checked_before_reading(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 1024**3)  # sparse: takes no space
    with pytest.raises(FormatError, match="3221225472 bytes, expected at most 2147483648"):
        read_onnx(path)


def test_node_limit_counts_subgraphs(tmp_path):
    body = helper.make_graph(
        [node("Identity", "x", "b"), node("Identity", "b", "c")],
        "body",
        [],
        [helper.make_tensor_value_info("c", 1, None)],
    )
    nodes = [
        node("Cast", "x", "k", to=9),
        node("If", "k", "y", then_branch=body, else_branch=body),
    ]
    path = save(make_model(nodes, {"x": [1]}, {"y": [1]}), tmp_path)
    with pytest.raises(FormatError, match="more than 5 nodes"):
        read_onnx(path, limits=ReadLimits(nodes=5))
    read_onnx(path, limits=ReadLimits(nodes=6))


class TestFunctions:
    def function(self, name, calls):
        body = [node(call, "a", f"t{i}", domain="own") for i, call in enumerate(calls)] or [
            node("Relu", "a", "t0")
        ]
        sets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        return helper.make_function("own", name, ["a"], ["t0"], body, sets)

    def write(self, tmp_path, functions, call):
        nodes = [node(call, "x", "y", domain="own")]
        model = make_model(nodes, {"x": [1]}, {"y": [1]}, functions=functions, domains=["own"])
        return save(model, tmp_path)

    def test_exponential_functions(self, tmp_path):
        functions = [self.function("F0", [])]
        functions += [self.function(f"F{i}", [f"F{i - 1}"] * 2) for i in range(1, 60)]
        with pytest.raises(FormatError, match=rf"stand for {2**59} nodes, expected at most 200000"):
            read_onnx(self.write(tmp_path, functions, "F59"))

    def test_recursive_functions(self, tmp_path):
        functions = [self.function("F", ["G"]), self.function("G", ["F"])]
        with pytest.raises(FormatError, match="calls itself"):
            read_onnx(self.write(tmp_path, functions, "F"))

    def test_deep_functions(self, tmp_path):
        functions = [self.function("F0", [])]
        functions += [self.function(f"F{i}", [f"F{i - 1}"]) for i in range(1, 3000)]
        with pytest.raises(FormatError, match="nested deeper"):
            read_onnx(self.write(tmp_path, functions, "F2999"))


class TestExternalData:
    def write(self, tmp_path, location):
        folder = tmp_path / "model"
        folder.mkdir()
        model = small_model()
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        if location is not None:
            weight.external_data.add(key="location", value=location)
        return save(model, folder)

    @pytest.mark.parametrize(
        "location",
        [
            "/etc/passwd",
            "../secret.bin",
            "sub/../../secret.bin",
            "..\\secret.bin",
            "C:\\secret.bin",
            "\\\\server\\share\\secret.bin",
            "~/secret.bin",
            "a\x00b",
            "",
            None,
        ],
    )
    def test_outside_the_folder_is_refused(self, tmp_path, location):
        path = self.write(tmp_path, location)
        with pytest.raises(FormatError, match="external data") as error:
            read_onnx(path)
        assert "'w'" in one_line(error)
        assert "inside its folder" in one_line(error)

    def test_links_that_leave_the_folder_are_refused(self, tmp_path):
        path = self.write(tmp_path, "weights.bin")
        (tmp_path / "secret.bin").write_bytes(b"secret")
        (path.parent / "weights.bin").symlink_to(tmp_path / "secret.bin")
        with pytest.raises(FormatError, match="a link that leaves the folder"):
            read_onnx(path)

    def test_inside_the_folder_is_accepted_and_never_opened(self, tmp_path):
        path = self.write(tmp_path, "data/weights.bin")
        (path.parent / "data").mkdir()
        if hasattr(os, "mkfifo"):
            os.mkfifo(path.parent / "data" / "weights.bin")  # opening it would wait for ever
        model, _ = read_onnx(path)
        assert (model.layers[0].weight_bytes, model.layers[0].flops) == (4 * 1600, 2 * 1600)

    def test_in_a_constant_of_a_subgraph(self, tmp_path):
        hidden = helper.make_tensor("h", 1, [1], [0.0])
        hidden.ClearField("float_data")
        hidden.data_location = onnx.TensorProto.EXTERNAL
        hidden.external_data.add(key="location", value="/etc/passwd")
        body = helper.make_graph(
            [node("Constant", "", "c", value=hidden)],
            "body",
            [],
            [helper.make_tensor_value_info("c", 1, None)],
        )
        nodes = [node("Cast", "x", "k", to=9), node("If", "k", "y", then_branch=body, else_branch=body)]
        with pytest.raises(FormatError, match="tensor 'h'"):
            read_onnx(save(make_model(nodes, {"x": [1]}, {"y": [1]}), tmp_path))


@pytest.mark.parametrize("dims", [[-1, 40], [2**40, 2**40], [2**62, 0], [2**63 - 1]])
def test_impossible_shapes_of_constants(tmp_path, dims):
    model = small_model()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    with pytest.raises(FormatError, match=r"expected (dimensions >= 0|at most)"):
        read_onnx(save(model, tmp_path))


@pytest.mark.parametrize("size", [-1, 2**62])
def test_impossible_shapes_of_inputs(tmp_path, size):
    model = small_model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    with pytest.raises(FormatError, match="tensor 'x'"):
        read_onnx(save(model, tmp_path))


def test_huge_inferred_shapes(tmp_path):
    nodes = [node("Expand", "x s", "y")]
    model = make_model(nodes, {"x": [1]}, {"y": [None]}, {"s": np.array([2**50])})
    with pytest.raises(FormatError, match="expected at most"):
        read_onnx(save(model, tmp_path))


def test_names_that_are_not_text(tmp_path):
    path = save(
        make_model([node("MatMul", "x ww", "yy", "name")], {"x": [1, 2]}, {"yy": [1, 2]}, {"ww": (2, 2)}),
        tmp_path,
    )
    path.write_bytes(path.read_bytes().replace(b"name", b"na\xffe"))
    with pytest.raises(FormatError, match="not UTF-8"):
        read_onnx(path)


def test_wrong_operator_set(tmp_path):
    model = small_model()
    del model.opset_import[:]
    with pytest.raises(FormatError, match="shape inference failed"):
        read_onnx(save(model, tmp_path))


def damaged_bytes(data: bytes, random_source: random.Random) -> bytes:
    """A few bytes of `data` replaced, a stretch removed, or its end cut off."""
    damaged = bytearray(data)
    kind = random_source.random()
    if kind < 0.2:
        return bytes(damaged[: random_source.randrange(len(damaged))])
    if kind < 0.3:
        start = random_source.randrange(len(damaged))
        del damaged[start : start + random_source.randrange(1, 40)]
        return bytes(damaged)
    for _ in range(random_source.randrange(1, 4)):
        # Small changes keep most files parseable, so that later steps see the damage.
        damaged[random_source.randrange(len(damaged))] ^= 1 << random_source.randrange(7)
    return bytes(damaged)


def test_random_damage_gives_a_typed_error_or_a_model(tmp_path):
    random_source = random.Random(20)
    sources = [light_network_paths()["alexnet"].read_bytes(), small_model().SerializeToString()[:400]]
    outcomes = {"model": 0, "error": 0}
    for case in range(200):
        path = tmp_path / "damaged.onnx"
        path.write_bytes(damaged_bytes(sources[case % 2], random_source))
        try:
            read_onnx(path)
            outcomes["model"] += 1
        except InputError:
            outcomes["error"] += 1
    assert min(outcomes.values()) > 0


OPERATORS = sorted({schema.name for schema in onnx.defs.get_all_schemas()})


def mutate(graph, random_source: random.Random) -> None:
    """One change that leaves a file parseable: another operator, input, attribute or dimension."""
    target = random_source.choice(graph.node)
    names = [name for item in graph.node for name in (*item.input, *item.output)]
    match random_source.randrange(6):
        case 0 if target.input:
            target.input[random_source.randrange(len(target.input))] = random_source.choice(names)
        case 1 if target.output:
            target.output[random_source.randrange(len(target.output))] = random_source.choice([*names, ""])
        case 2:
            target.op_type = random_source.choice(OPERATORS)
        case 3 if target.attribute:
            attribute = random_source.choice(target.attribute)
            attribute.i = random_source.choice([0, -1, 2**62, 7])
            if attribute.ints:
                attribute.ints[0] = random_source.choice([0, -1, 2**62, 7])
        case 4 if target.attribute:
            del target.attribute[0]
        case _:
            dims = random_source.choice(graph.initializer).dims
            if dims:
                dims[0] = random_source.choice([0, -1, 2**62, 3])


def test_random_changes_of_the_graph_give_a_typed_error_or_a_complete_model(tmp_path):
    random_source = random.Random(21)
    whole = onnx.load(light_network_paths()["squeezenet"])
    outcomes = {"model": 0, "error": 0}
    for case in range(200):
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        for _ in range(random_source.randrange(1, 4)):
            mutate(model.graph, random_source)
        try:
            read, report = read_onnx(
                save(model, tmp_path), fuse=case % 3 > 0, residual=case % 2 > 0, coarsen=case % 5 == 0
            )
        except InputError:
            outcomes["error"] += 1
            continue
        outcomes["model"] += 1
        nodes = [name for layer in read.layers for name in layer.attributes["onnx_nodes"]]
        assert len(nodes) == len(set(nodes)) == report.nodes - report.constant_nodes
    assert min(outcomes.values()) > 20
