"""Chains of layers taken as one: fewer decisions for the solvers, at the price of coarser plans."""

from __future__ import annotations

from dnnplan.instances.formats.onnx.fusion import Group, Readers
from dnnplan.instances.formats.onnx.values import Graph


def coarsen_chains(groups: list[Group], graph: Graph) -> list[Group]:
    """Join each group with the next, wherever the first feeds only the second and nothing else feeds that.

    Parameters
    ----------
    groups
        In topological order, as from `group_nodes`; the answer is in topological order too.
    """
    readers = Readers(graph, [node for group in groups for node in group.nodes])
    group_of = {node.index: position for position, group in enumerate(groups) for node in group.nodes}
    chain_of = list(range(len(groups)))
    chains: dict[int, Group] = {}
    for position, group in enumerate(groups):
        earlier = _only_source(position, groups, readers, group_of)
        if earlier is None or not _feeds_only(groups[earlier], position, readers, group_of):
            chains[position] = Group(list(group.nodes))
            continue
        chain_of[position] = chain_of[earlier]
        chains[chain_of[earlier]].nodes.extend(group.nodes)
    return list(chains.values())


def _only_source(
    position: int, groups: list[Group], readers: Readers, group_of: dict[int, int]
) -> int | None:
    """The one group that feeds this one; None where there are several, or a graph input is read."""
    sources: set[int] = set()
    for node in groups[position].nodes:
        for name in readers.varying(node):
            if name not in readers.producer:
                return None
            sources.add(group_of[readers.producer[name]])
    sources.discard(position)
    return sources.pop() if len(sources) == 1 else None


def _feeds_only(source: Group, position: int, readers: Readers, group_of: dict[int, int]) -> bool:
    return all(
        name not in readers.outputs
        and all(group_of[reader] == position for reader in readers.readers.get(name, ()))
        for name in readers.live(source.nodes)
    )
