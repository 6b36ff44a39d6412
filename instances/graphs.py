"""Models from networkx graphs, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx

from dnnplan.instances.errors import InstanceError
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Layer, Model, Tensor
from dnnplan.instances.validation.models import model_problems
from dnnplan.instances.validation.structure import record_problems
from dnnplan.instances.wording import Report, at, show

LAYER_ATTRIBUTES = ("op", "flops", "weight_bytes", "workspace_bytes")


def from_networkx(graph: nx.DiGraph[Any], *, name: str, dtype: str = "float32") -> Model:
    """Make a model from a directed graph: nodes are layers, edges are what they send to each other.

    Parameters
    ----------
    graph
        Node attributes `op`, `flops`, `weight_bytes` and `workspace_bytes` fill those fields of a layer, all
        others go to its `attributes`; names of layers are ``str(node)``. Edges have `bytes` (default 0) and,
        if wanted, `tensor`: edges that leave a node with the same `tensor` carry one tensor, which is moved
        once for several readers. Without it, the edges that leave a node are one tensor if they all carry the
        same number of bytes, otherwise one tensor each.
    name, dtype
        Name and data type of the model.

    Returns
    -------
    Model
        Its tensors are called by the `tensor` attribute, like their layer, or ``layer->reader``. Inputs and
        outputs of the network are not declared, so they are not moved.

    Raises
    ------
    InstanceError
        The graph is undirected or has cycles, attributes are no numbers >= 0, two nodes have one name, or
        edges of one tensor differ in bytes.

    Examples
    --------
    >>> import networkx as nx
    >>> graph = nx.DiGraph()
    >>> graph.add_node("conv", op="Conv", flops=2_000_000, weight_bytes=4_000)
    >>> graph.add_node("relu", op="Relu", flops=1_000)
    >>> graph.add_node("pool", op="MaxPool", flops=4_000)
    >>> graph.add_edge("conv", "relu", bytes=4_000)
    >>> graph.add_edge("conv", "pool", bytes=4_000)
    >>> model = from_networkx(graph, name="net")
    >>> [(layer.name, layer.flops) for layer in model.layers]
    [('conv', 2000000), ('relu', 1000), ('pool', 4000)]
    >>> [(tensor.name, tensor.source, tensor.targets, tensor.bytes) for tensor in model.tensors]
    [('conv', 'conv', ('relu', 'pool'), 4000)]
    """
    if not graph.is_directed() or graph.is_multigraph():
        kind = "a multigraph" if graph.is_multigraph() else "an undirected graph"
        raise InstanceError(f"{kind}, expected a networkx.DiGraph")
    report = Report()
    tensors = [tensor for node in graph for tensor in _tensors(graph, node, report)]
    layers = tuple(_layer(node, graph.nodes[node]) for node in graph)
    model = Model(name=name, dtype=dtype, layers=layers, tensors=tuple(tensors))
    problems = record_problems(model)
    if not problems:
        model_problems(model, None, "", report)
        problems = tuple(report.problems)
    if problems:
        raise InstanceError(problems=problems, source=f"graph of model {name}")
    return model


def _layer(node: Hashable, data: Mapping[str, Any]) -> Layer:
    known = {key: _plain(data[key]) for key in LAYER_ATTRIBUTES if key in data}
    others = {str(key): _plain(value) for key, value in data.items() if key not in LAYER_ATTRIBUTES}
    return Layer(name=str(node), attributes=others, **known)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as Python data; graphs often hold them."""
    return value.tolist() if hasattr(value, "tolist") else value


def _tensors(graph: nx.DiGraph[Any], node: Hashable, report: Report) -> list[Tensor]:
    """The tensors that one node writes."""
    edges = list(graph.out_edges(node, data=True))
    same = len({_plain(data.get("bytes", 0)) for _, _, data in edges}) == 1
    groups: dict[str, list[tuple[str, Any]]] = {}
    for _, target, data in edges:
        tensor = data.get("tensor", node if same else f"{node}->{target}")
        groups.setdefault(str(tensor), []).append((str(target), _plain(data.get("bytes", 0))))
    tensors = []
    for tensor, readers in groups.items():
        size = readers[0][1]
        for target, other in readers:
            if other != size:
                where = at(at("", str(node)), target)
                report.add(
                    where, f"tensor {show(tensor)} has {show(other)} bytes, but {show(size)} elsewhere"
                )
        tensors.append(
            Tensor(name=tensor, source=str(node), targets=tuple(t for t, _ in readers), bytes=size)
        )
    return tensors


def to_networkx(model: Model | Instance) -> nx.DiGraph[str]:
    """Make a directed graph of a model, or of the only model of an instance.

    Nodes are layer names with the attributes that `from_networkx` reads; edges have `bytes` (summed where
    several tensors go the same way) and `tensor` (the name of the first). Inputs and outputs are left out.

    Examples
    --------
    >>> model = Model(
    ...     name="net",
    ...     layers=(Layer(name="a", flops=10), Layer(name="b")),
    ...     tensors=(Tensor(name="t", source="a", targets=("b",), bytes=8),),
    ... )
    >>> to_networkx(model).edges["a", "b"]
    {'tensor': 't', 'bytes': 8}
    """
    if isinstance(model, Instance):
        if len(model.models) != 1:
            raise InstanceError(f"{len(model.models)} models, expected one; pass the model itself")
        model = model.models[0]
    graph: nx.DiGraph[str] = nx.DiGraph(name=model.name)
    for layer in model.layers:
        known = {key: getattr(layer, key) for key in LAYER_ATTRIBUTES}
        graph.add_node(layer.name, **{**layer.attributes, **known})
    for tensor in model.tensors:
        source = tensor.source
        if source is None:
            continue
        for target in tensor.targets:
            if graph.has_edge(source, target):
                graph.edges[source, target]["bytes"] += tensor.bytes
            else:
                graph.add_edge(source, target, tensor=tensor.name, bytes=tensor.bytes)
    return graph
