"""From kernels that ran to the layers that they are part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnplan.deploy.calibrate.networks import Network
from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model

ENDINGS = ("_nchwc", "_bn", "_mul", "_add", "_gemm", "_fused")
"""What the runtime appends to the name of a value to name the node that it fuses others into."""
REORDERS = ("ReorderInput", "ReorderOutput")


@dataclass(frozen=True)
class Attribution:
    """Where the time of each kernel goes.

    Attributes
    ----------
    layer
        The layer of each kernel that belongs to one.
    edge
        Kernels that bring inputs of the network into the layout of the runtime, or outputs out of it: what a cut costs.
    unknown
        Kernels of which nothing is known; their time is spread.
    """

    layer: Mapping[str, str]
    edge: frozenset[str]
    unknown: frozenset[str]


def attribute(network: Network, optimised: Path, kernels: Iterable[str]) -> Attribution:
    """The layer of each kernel, by its name, by what it makes, or by its neighbours in the optimised graph.

    Parameters
    ----------
    optimised
        The graph as the runtime optimised it.
    kernels
        Names of the nodes that ran.
    """
    nodes = {node.name: node for node in load_model(optimised, ReadLimits()).graph.node}
    named = {name: layer for name in nodes if (layer := _by_name(network, nodes[name])) is not None}
    maker = {value: name for name, node in nodes.items() for value in node.output if value}
    readers: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for value in node.input:
            readers.setdefault(value, []).append(name)
    edge = {name for name, node in nodes.items() if _is_edge(node, maker, readers)}
    rest = [name for name in nodes if name not in named and name not in edge]
    # A node that only rearranges belongs to what it rearranges for: first what made its input, then who reads it.
    for name in rest:
        makers = [maker.get(value, "") for value in nodes[name].input]
        _take(named, name, makers)
    for name in reversed(rest):
        _take(named, name, [reader for value in nodes[name].output for reader in readers.get(value, ())])
    ran = set(kernels)
    return Attribution(
        layer={name: layer for name, layer in named.items() if name in ran and name not in edge},
        edge=frozenset(edge & ran),
        unknown=frozenset(ran - set(named) - edge),
    )


def _take(named: dict[str, str], name: str, neighbours: Iterable[str]) -> None:
    """Give a node that has no layer that of its first neighbour which has one."""
    if name not in named:
        for other in neighbours:
            if other in named:
                named[name] = named[other]
                return


def _by_name(network: Network, node: Any) -> str | None:
    """The layer of a node whose name, or the value that it makes, is one of the network."""
    if node.op_type in REORDERS:
        return None
    for output in node.output:
        if output in network.layer_of_value:
            return network.layer_of_value[output]
    if node.name in network.layer_of_node:
        return network.layer_of_node[node.name]
    name = node.name
    for ending in ENDINGS:
        if name.endswith(ending):
            name = name.removesuffix(ending)
            for known in (network.layer_of_value, network.layer_of_node):
                if name in known:
                    return known[name]
    return None


def _is_edge(node: Any, maker: Mapping[str, str], readers: Mapping[str, list[str]]) -> bool:
    """Whether a reordering touches an input or an output of the network."""
    if node.op_type == "ReorderInput":
        return not any(value in maker for value in node.input)
    return node.op_type == "ReorderOutput" and not any(value in readers for value in node.output)
