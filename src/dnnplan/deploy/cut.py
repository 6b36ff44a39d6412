"""Cutting the nodes of a job into parts: which nodes and constants each part has, and which values cross."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from dnnplan.deploy.network import SHAPE_OPERATORS, Network
from dnnplan.deploy.segments import Segment
from dnnplan.deploy.work import NodeRef, Ref, Work
from dnnplan.instances import InstanceError, Problem, UnsupportedError


@dataclass(kw_only=True, eq=False)
class Part:
    """What one segment becomes.

    Parameters
    ----------
    nodes
        In topological order; nodes of no layer (constants, shapes) among them.
    own
        Those of its layers.
    stored
        Stored constants that its nodes read.
    inputs, outputs
        Values that it reads from outside and makes for others, in the order of its nodes.
    copied
        Outputs that are stored constants.
    """

    segment: Segment
    nodes: list[NodeRef] = field(default_factory=list)
    own: list[NodeRef] = field(default_factory=list)
    stored: list[Ref] = field(default_factory=list)
    inputs: list[Ref] = field(default_factory=list)
    outputs: list[Ref] = field(default_factory=list)
    copied: list[Ref] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class Crossing:
    """A value that goes into or out of a part; segments as positions, `source` None: an input."""

    ref: Ref
    source: int | None
    targets: list[int] = field(default_factory=list)
    output: bool = False


def cut(work: Work, found: Sequence[Segment]) -> tuple[list[Part], list[Crossing]]:
    """Cut a job into its segments.

    A value crosses where a segment reads what another one makes. Constants are computed by every part that needs them.
    Shapes that are not numbers are computed where their tensor is made, and cross as values of their own. A part that
    makes nothing for others has its last value as output, which nobody reads.

    Parameters
    ----------
    found
        The segments of the job, producers before readers.

    Raises
    ------
    InstanceError
        Nodes that depend on inputs and belong to no layer.
    UnsupportedError
        A shape that is needed before it is known.
    """
    return _Cutting(work, found).run()


class _Cutting:
    def __init__(self, work: Work, found: Sequence[Segment]) -> None:
        self.work = work
        self.parts = [Part(segment=segment) for segment in found]
        prefix = len(f"{found[0].task}/{found[0].job}/")
        self.home: dict[NodeRef, int] = {}
        for s, part in enumerate(self.parts):
            for key in part.segment.layers:
                part.own += work.nodes_of(key[prefix:])
            self.home.update((node, s) for node in part.own)
        self.crossing: dict[Ref, Crossing] = {}
        self.free: dict[NodeRef, int | None] = {}

    def run(self) -> tuple[list[Part], list[Crossing]]:
        """Fill the parts."""
        self._place_shapes()
        members: list[set[NodeRef]] = [set() for _ in self.parts]
        for node, s in self.home.items():
            members[s].add(node)
        for s, part in enumerate(self.parts):
            self._read(s, part, members[s])
        self._outputs(members)
        for s, part in enumerate(self.parts):
            part.nodes = self._sorted(members[s])
            reads = [ref for node in part.nodes for ref in self.work.reads(node)]
            rank = {ref: at for at, ref in enumerate(dict.fromkeys(reads))}
            part.inputs.sort(key=rank.__getitem__)
            made = {ref: at for at, ref in enumerate(self._writes(part))}
            part.outputs = [c.ref for c in self.crossing.values() if c.source == s] or [self._dead_end(part)]
            part.outputs.sort(key=lambda ref: made.get(ref, len(made)))
            part.copied = [ref for ref in part.outputs if ref not in made]
            part.stored = list(dict.fromkeys(self._stored(part)))
        return self.parts, list(self.crossing.values())

    def _writes(self, part: Part) -> list[Ref]:
        return [
            Ref(node.member, name)
            for node in part.nodes
            for name in self._network(node).nodes[node.node].writes
        ]

    def _stored(self, part: Part) -> list[Ref]:
        reads = [ref for node in part.nodes for ref in self.work.reads(node)]
        return [ref for ref in (*reads, *part.copied) if self._is_stored(ref)]

    def _is_stored(self, ref: Ref) -> bool:
        return ref.name in self.work.members[ref.member].network.weights

    def _place_shapes(self) -> None:
        """Give every shape that depends on an input the segment in which it is first known."""
        outputs = [
            Ref(m, name) for m, member in enumerate(self.work.members) for name in member.network.outputs
        ]
        outputs = [self.work.resolve(ref) for ref in outputs]
        reads = [ref for node in list(self.home) for ref in self.work.reads(node)]
        for ref in (*reads, *outputs):
            node = self.work.producer(ref)
            if node is not None and node not in self.home:
                self._known_from(node)
        self.home.update((node, s) for node, s in self.free.items() if s is not None)

    def _known_from(self, start: NodeRef) -> None:
        """The first segment after which a node of no layer can run; None for constants. Depth first, with a stack."""
        stack = [start]
        while stack:
            node = stack[-1]
            if node in self.free:
                stack.pop()
                continue
            sources = {ref: self.work.producer(ref) for ref in self.work.reads(node)}
            waiting = [
                n for n in sources.values() if n is not None and n not in self.home and n not in self.free
            ]
            if waiting:
                stack.extend(waiting)
                continue
            self.free[node] = self._first_segment(node, sources)
            stack.pop()

    def _first_segment(self, node: NodeRef, sources: dict[Ref, NodeRef | None]) -> int | None:
        places: list[int] = []
        proto = self._network(node).nodes[node.node]
        is_shape = proto.op in SHAPE_OPERATORS and not proto.domain
        for ref, maker in sources.items():
            if maker is None and self._is_stored(ref):
                continue
            if maker is not None and maker in self.free:
                place = self.free[maker]
                if place is not None:
                    places.append(place)
                continue
            if not is_shape:
                raise InstanceError(
                    problems=[
                        Problem(
                            f"model {self.work.members[node.member].model.name}",
                            f"node {proto.name!r} depends on an input and is in no layer; is this the file that was "
                            "planned?",
                        )
                    ]
                )
            places.append(self.home[maker] if maker is not None else self._first_reader(ref))
        return max(places, default=None)

    def _first_reader(self, ref: Ref) -> int:
        """The first segment that has an input of the model anyway."""
        return min((s for node, s in self.home.items() if ref in self.work.reads(node)), default=0)

    def _read(self, s: int, part: Part, members: set[NodeRef]) -> None:
        """Take constants into a part, and note what it reads from outside."""
        stack = sorted(members, reverse=True)
        inputs: dict[Ref, None] = {}
        while stack:
            node = stack.pop()
            for ref in self.work.reads(node):
                maker = self.work.producer(ref)
                if maker is None:
                    if not self._is_stored(ref):
                        inputs[ref] = None
                elif maker in self.home:
                    if self.home[maker] != s:
                        self._require_earlier(maker, ref, s)
                        inputs[ref] = None
                elif maker not in members:
                    members.add(maker)
                    stack.append(maker)
        part.inputs = list(inputs)
        for ref in inputs:
            self._cross(ref).targets.append(s)

    def _require_earlier(self, maker: NodeRef, ref: Ref, s: int) -> None:
        if self.home[maker] > s:
            raise UnsupportedError(
                f"segment {self.parts[s].segment.name} needs {ref.name!r}, a shape that is only known after segment "
                f"{self.parts[self.home[maker]].segment.name}; give symbolic dimensions numbers (--dim NAME=N)"
            )

    def _cross(self, ref: Ref) -> Crossing:
        maker = self.work.producer(ref)
        source = None if maker is None else self.home.get(maker)
        return self.crossing.setdefault(ref, Crossing(ref=ref, source=source))

    def _outputs(self, members: list[set[NodeRef]]) -> None:
        """Outputs of the models; those that depend on no input are made by the last segment."""
        last = len(self.parts) - 1
        for m, member in enumerate(self.work.members):
            for name in member.network.outputs:
                ref = self.work.resolve(Ref(m, name))
                maker = self.work.producer(ref)
                crossing = self._cross(ref)
                crossing.output = True
                if maker is None and not self._is_stored(ref):
                    continue
                if maker is None or maker not in self.home:
                    crossing.source = last
                if maker is not None and maker not in self.home:
                    self._take_constant(maker, members[last])

    def _dead_end(self, part: Part) -> Ref:
        """What a part makes that nobody needs: the last of its values, for no runtime takes a part without outputs."""
        last = max(node for node in part.own if self._network(node).nodes[node.node].writes)
        return self._cross(Ref(last.member, self._network(last).nodes[last.node].writes[0])).ref

    def _network(self, node: NodeRef) -> Network:
        return self.work.members[node.member].network

    def _take_constant(self, start: NodeRef, members: set[NodeRef]) -> None:
        stack = [start]
        while stack:
            node = stack.pop()
            if node not in members:
                members.add(node)
                makers = (self.work.producer(ref) for ref in self.work.reads(node))
                stack.extend(maker for maker in makers if maker is not None)

    def _sorted(self, members: set[NodeRef]) -> list[NodeRef]:
        """Topological order; that of the files where all nodes are of one."""
        if len({node.member for node in members}) <= 1:
            return sorted(members)
        after: dict[NodeRef, list[NodeRef]] = {node: [] for node in members}
        waiting = dict.fromkeys(members, 0)
        for node in members:
            for maker in {self.work.producer(ref) for ref in self.work.reads(node)}:
                if maker is not None and maker in members:
                    after[maker].append(node)
                    waiting[node] += 1
        ready = [node for node, count in waiting.items() if count == 0]
        heapq.heapify(ready)
        found = []
        while ready:
            node = heapq.heappop(ready)
            found.append(node)
            for other in after[node]:
                waiting[other] -= 1
                if waiting[other] == 0:
                    heapq.heappush(ready, other)
        return found
