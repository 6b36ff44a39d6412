"""Whether the layers that tasks share are bit-identical in their files: nodes, attributes, wiring and weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dnnplan.deploy.network import plain_domain
from dnnplan.deploy.renaming import rename_node
from dnnplan.deploy.work import NodeRef, Ref, Work
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.formats.onnx.safety import attribute_graphs

_PREVIEW = 5


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A layer that is not the same in the networks of two tasks that share it.

    Parameters
    ----------
    task, layer
        The layer, and the task whose network has it.
    other_task, other_layer
        The layer that the plan runs in its place.
    reason
        What differs first.
    weights
        Pairs of constants (of `layer`, of `other_layer`) with different numbers.
    """

    task: str
    layer: str
    other_task: str
    other_layer: str
    reason: str
    weights: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return (
            f"layer {self.layer!r} of task {self.task} and layer {self.other_layer!r} of task {self.other_task}: "
            f"{self.reason}"
        )


class WeightsDifferError(UnsupportedError):
    """Tasks share layers that are not bit-identical; `differences` has all of them."""

    def __init__(self, differences: tuple[Difference, ...]) -> None:
        self.differences = differences
        more = f" (and {len(differences) - 1} more layers)" if len(differences) > 1 else ""
        super().__init__(
            f"the plan shares layers that differ: {differences[0]}{more}; train the tasks together with the shared "
            "layers first: the retraining manifest says which (`dnnplan split --retraining FILE` writes it)"
        )


def require_identical(work: Work) -> None:
    """Refuse work in which a shared layer is not the same in all its tasks.

    Raises
    ------
    WeightsDifferError
        Names the first layer that differs.
    """
    found = tuple(differences(work))
    if found:
        raise WeightsDifferError(found)


def differences(work: Work) -> Iterator[Difference]:
    """Every shared layer that differs from the one that runs in its place."""
    yield from _other_inputs(work)
    found = [(pair, _other_nodes(work, *pair)) for pair in work.owner.items()]
    if any(reason for _, reason in found):
        # Values of one cannot be looked up by those of the other.
        yield from (_difference(work, *pair, reason) for pair, reason in found if reason)
        return
    signatures = _Signatures(work)
    for mine, running in work.owner.items():
        reason, weights = signatures.compare(mine, running)
        if reason:
            yield _difference(work, mine, running, reason, weights)


def _other_inputs(work: Work) -> Iterator[Difference]:
    """Inputs that a task graph takes for one and the same, and that are not of one type and shape."""
    for ref, other in work.first_input.items():
        a, b = (work.members[r.member].network.types.get(r.name) for r in (ref, other))
        if a is None or b is None or a.type.SerializeToString() != b.type.SerializeToString():
            mine, running = (_first_layer(work, r) for r in (ref, other))
            reason = (
                f"the inputs {ref.name!r} and {other.name!r} are of other types or shapes, and tasks that share "
                "layers read one and the same input"
            )
            yield _difference(work, (ref.member, mine), (other.member, running), reason)


def _first_layer(work: Work, ref: Ref) -> str:
    member = work.members[ref.member]
    for at, node in enumerate(member.network.nodes):
        if ref.name in node.reads and at in member.layer_of:
            return member.layer_of[at]
    return ""


def _difference(
    work: Work,
    mine: tuple[int, str],
    running: tuple[int, str],
    reason: str,
    weights: tuple[tuple[str, str], ...] = (),
) -> Difference:
    return Difference(
        task=work.members[mine[0]].task,
        layer=mine[1],
        other_task=work.members[running[0]].task,
        other_layer=running[1],
        reason=reason,
        weights=weights,
    )


def _other_nodes(work: Work, mine: tuple[int, str], running: tuple[int, str]) -> str:
    """How the nodes of two layers differ in number, operator or outputs; empty if they do not."""
    a, b = ([node for node in _nodes(work, *layer)] for layer in (mine, running))
    if [node.kind for node in a] != [node.kind for node in b]:
        return f"nodes {_listed(node.kind for node in a)} against {_listed(node.kind for node in b)}"
    for one, other in zip(a, b, strict=True):
        if [bool(name) for name in one.outputs] != [bool(name) for name in other.outputs]:
            return f"node {one.name!r} makes other outputs than node {other.name!r}"
        if len(one.inputs) != len(other.inputs):
            return f"node {one.name!r} has {len(one.inputs)} inputs, node {other.name!r} {len(other.inputs)}"
        if [bool(name) for name in one.inputs] != [bool(name) for name in other.inputs]:
            return f"node {one.name!r} leaves out other inputs than node {other.name!r}"
    return ""


def _nodes(work: Work, m: int, layer: str) -> Iterator[Any]:
    member = work.members[m]
    return (member.network.nodes[at] for at in member.nodes[layer])


def _listed(names: Iterator[str]) -> str:
    found = list(names)
    return ", ".join(found[:_PREVIEW]) + (" ..." if len(found) > _PREVIEW else "")


def _domains(node: Any) -> Iterator[str]:
    """The operator sets of a NodeProto and of its sub-graphs."""
    yield plain_domain(node.domain)
    for graph in attribute_graphs(node):
        for inner in graph.node:
            yield from _domains(inner)


class _Signatures:
    """Digests of nodes and of what they read: equal where both compute the same from the same."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.values: dict[Ref, bytes] = {}

    def compare(
        self, mine: tuple[int, str], running: tuple[int, str]
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What differs between two layers of the same operators, and the constants that do."""
        reasons, weights = [], []
        a, b = self.work.members[mine[0]], self.work.members[running[0]]
        for i, j in zip(a.nodes[mine[1]], b.nodes[running[1]], strict=True):
            one, other = a.network.nodes[i], b.network.nodes[j]
            for name, against in zip(one.reads, other.reads, strict=False):
                left, right = Ref(mine[0], name), Ref(running[0], against)
                if self.value(left) != self.value(right):
                    constant = self._is_constant(left) and self._is_constant(right)
                    if constant:
                        weights.append((name, against))
                    what = "have other numbers" if constant else "come from elsewhere"
                    reasons.append(f"{name!r} and {against!r} {what}")
            versions = [m.network.opsets.get(n.domain) for m, n in ((a, one), (b, other))]
            if versions[0] != versions[1]:
                reasons.append(f"operator sets of versions {versions[0]} and {versions[1]}")
            if self.node(NodeRef(mine[0], i)) != self.node(NodeRef(running[0], j)):
                reasons.append(f"attributes of node {one.name!r} and node {other.name!r}")
        return (reasons[0] if reasons else ""), tuple(weights)

    def _is_constant(self, ref: Ref) -> bool:
        maker = self.work.producer(ref)
        if maker is None:
            return ref.name in self.work.members[ref.member].network.weights
        return not self.work.is_layer(maker)

    def value(self, ref: Ref) -> bytes:
        """Digest of a value: of numbers, or of where it comes from."""
        ref = self.work.resolve(ref)
        if ref not in self.values:
            maker = self.work.producer(ref)
            network = self.work.members[ref.member].network
            if maker is None and ref.name in network.weights:
                found = network.weights.digest(ref.name)
            elif maker is None or self.work.is_layer(maker):
                found = repr(ref).encode()
            else:
                found = self._computed(maker, ref)
            self.values[ref] = found
        return self.values[ref]

    def _computed(self, maker: NodeRef, ref: Ref) -> bytes:
        """Digest of a constant that a node computes."""
        node = self.work.members[ref.member].network.nodes[maker.node]
        digest = hashlib.sha256(self.node(maker))
        digest.update(repr([bool(name) for name in node.inputs]).encode())
        for name in node.reads:
            digest.update(self.value(Ref(ref.member, name)))
        digest.update(str(node.outputs.index(ref.name)).encode())
        return digest.digest()

    def node(self, ref: NodeRef) -> bytes:
        """Digest of operator, versions and attributes; values that a sub-graph reads are named by their digests."""
        network = self.work.members[ref.member].network
        proto = network.protos[ref.node]
        copy = type(proto)()
        copy.CopyFrom(proto)
        copy.name = copy.doc_string = ""
        del copy.input[:], copy.output[:]
        rename_node(copy, lambda name: self.value(Ref(ref.member, name)).hex())
        attributes = sorted(copy.attribute, key=lambda attribute: attribute.name)
        versions = sorted((domain, network.opsets.get(domain)) for domain in set(_domains(proto)))
        digest = hashlib.sha256(repr((plain_domain(copy.domain), copy.op_type, versions)).encode())
        for attribute in attributes:
            attribute.doc_string = ""
            if attribute.HasField("t"):
                attribute.t.name = ""
            digest.update(attribute.SerializeToString(deterministic=True))
        return digest.digest()
