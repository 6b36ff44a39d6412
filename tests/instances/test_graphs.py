"""Models from networkx graphs, and back."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnplan.instances import Instance, InstanceError, Layer, Model, Tensor
from dnnplan.instances.graphs import from_networkx, to_networkx
from dnnplan.instances.validation import validate


def graph_of(*edges: tuple[str, str, dict[str, Any]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_edges_from(edges)
    return graph


def tensors_of(graph: nx.DiGraph) -> list[tuple[str, str | None, tuple[str, ...], float]]:
    return [(t.name, t.source, t.targets, t.bytes) for t in from_networkx(graph, name="m").tensors]


def test_node_attributes_become_fields_and_the_rest_attributes() -> None:
    graph = nx.DiGraph()
    graph.add_node(
        1, op="Conv", flops=np.float64(4.5), weight_bytes=np.int64(3), workspace_bytes=2, kernel=(3, 3)
    )
    graph.add_node("b", shape=np.array([1, 2]))
    model = from_networkx(graph, name="m", dtype="int8")
    assert model.dtype == "int8"
    assert model.layers == (
        Layer(
            name="1", op="Conv", flops=4.5, weight_bytes=3, workspace_bytes=2, attributes={"kernel": (3, 3)}
        ),
        Layer(name="b", attributes={"shape": [1, 2]}),
    )
    assert validate(Instance(models=(model,))) == ()


def test_equal_edges_are_one_tensor_and_different_ones_are_not() -> None:
    same = graph_of(("a", "b", {"bytes": 4}), ("a", "c", {"bytes": 4}))
    assert tensors_of(same) == [("a", "a", ("b", "c"), 4)]
    different = graph_of(("a", "b", {"bytes": 4}), ("a", "c", {"bytes": 5}))
    assert tensors_of(different) == [("a->b", "a", ("b",), 4), ("a->c", "a", ("c",), 5)]
    assert tensors_of(graph_of(("a", "b", {}))) == [("a", "a", ("b",), 0)]


def test_edges_that_name_a_tensor_are_that_tensor() -> None:
    graph = graph_of(
        ("a", "b", {"bytes": 4, "tensor": "x"}),
        ("a", "c", {"bytes": 4, "tensor": "y"}),
        ("a", "d", {"bytes": 4, "tensor": "x"}),
    )
    assert tensors_of(graph) == [("x", "a", ("b", "d"), 4), ("y", "a", ("c",), 4)]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (graph_of(("a", "b", {}), ("b", "a", {})), 'cycle "a" -> "b" -> "a"'),
        (graph_of(("a", "a", {})), 'targets[0]: "a" is also the source'),
        (graph_of(("a", "b", {"bytes": -1})), "tensors[0].bytes: -1, expected >= 0"),
        (graph_of(("a", "b", {"bytes": float("nan")})), "tensors[0].bytes: NaN, expected a finite number"),
        (graph_of(("a", "b", {"bytes": "big"})), 'tensors[0].bytes: "big", expected a number'),
        (
            graph_of(("a", "b", {"bytes": 1, "tensor": "x"}), ("a", "c", {"bytes": 2, "tensor": "x"})),
            'a.c: tensor "x" has 2 bytes, but 1 elsewhere',
        ),
        (
            graph_of(("a", "c", {"tensor": "x"}), ("b", "c", {"tensor": "x"})),
            'tensors[1].name: "x" is already the name of tensor 0',
        ),
        (nx.Graph([("a", "b")]), "an undirected graph, expected a networkx.DiGraph"),
        (nx.MultiDiGraph([("a", "b")]), "a multigraph, expected a networkx.DiGraph"),
    ],
)
def test_graphs_that_are_no_models_are_refused(graph: Any, message: str) -> None:
    with pytest.raises(InstanceError) as caught:
        from_networkx(graph, name="m")
    assert message in str(caught.value)


def test_nodes_with_one_name_are_refused() -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from([1, "1"])
    with pytest.raises(InstanceError, match=r'layers\[1\].name: "1" is already the name of layer 0'):
        from_networkx(graph, name="m")


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Models without inputs, outputs and parallel tensors, which graphs do not hold."""
    count = draw(st.integers(1, 6))
    layers = tuple(
        Layer(
            name=f"l{i}",
            op=draw(st.sampled_from(["Conv", "Relu"])),
            flops=draw(st.integers(0, 99)),
            attributes={"i": i},
        )
        for i in range(count)
    )
    tensors = []
    for i in range(count - 1):
        targets = draw(st.lists(st.integers(i + 1, count - 1), max_size=3, unique=True))
        half = draw(st.integers(0, len(targets)))
        for part, group in (("x", targets[:half]), ("y", targets[half:])):
            if group:
                names = tuple(f"l{t}" for t in group)
                tensors.append(
                    Tensor(name=f"{part}{i}", source=f"l{i}", targets=names, bytes=draw(st.integers(0, 9)))
                )
    return Model(name="m", layers=layers, tensors=tuple(tensors))


@settings(max_examples=50, deadline=None)
@given(model=models())
def test_models_survive_the_way_through_a_graph(model: Model) -> None:
    assert from_networkx(to_networkx(model), name="m") == model
    assert nx.utils.graphs_equal(to_networkx(Instance(models=(model,))), to_networkx(model))


def test_parallel_tensors_add_up_on_an_edge() -> None:
    tensors = tuple(Tensor(name=n, source="a", targets=("b",), bytes=3) for n in "xy")
    graph = to_networkx(Model(name="m", layers=(Layer(name="a"), Layer(name="b")), tensors=tensors))
    assert graph.edges["a", "b"] == {"tensor": "x", "bytes": 6}


def test_inputs_and_outputs_are_left_out() -> None:
    tensors = (Tensor(name="in", targets=("a",)), Tensor(name="out", source="a", output=True))
    assert list(to_networkx(Model(name="m", layers=(Layer(name="a"),), tensors=tensors)).edges) == []


def test_an_instance_of_several_models_is_not_one_graph() -> None:
    with pytest.raises(InstanceError, match="2 models, expected one"):
        to_networkx(Instance(models=(Model(name="a"), Model(name="b"))))
