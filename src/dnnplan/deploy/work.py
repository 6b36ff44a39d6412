"""What a job computes: the ONNX nodes of every layer, and the values that tasks with shared layers have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dnnplan.deploy.network import Network
from dnnplan.instances import Instance, InstanceError, Model, Problem, Task, UnsupportedError
from dnnplan.instances.formats.onnx.structure import printable

MOST_PROBLEMS = 20


class Ref(NamedTuple):
    """A value or constant: a name in the network of a member."""

    member: int
    name: str


class NodeRef(NamedTuple):
    """A node: its position in the network of a member."""

    member: int
    node: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """A task whose layers a job has, with its network.

    Parameters
    ----------
    prefix
        What its names start with in the parts; empty where the job is of this task alone.
    nodes
        Nodes of each layer.
    """

    task: str
    model: Model
    network: Network
    prefix: str = ""
    nodes: Mapping[str, tuple[int, ...]] = field(init=False)
    layer_of: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        nodes = layer_nodes(self.model, self.network)
        object.__setattr__(self, "nodes", nodes)
        layer_of = {node: layer for layer, own in nodes.items() for node in own}
        object.__setattr__(self, "layer_of", layer_of)


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """The layers of one job, whoever they were before a task graph merged them.

    Parameters
    ----------
    task
        Task of the job; ``shared`` where a task graph was applied.
    key
        ``task/job/layer`` without job: (member, layer) of every layer by its name in the instance that is mapped.
    owner
        (member, layer) that runs in the place of a layer, for layers that are shared and not run themselves.
    first_input
        The input that all tasks read in the place of their own.
    """

    task: str
    model: Model
    members: tuple[Member, ...]
    layers: Mapping[str, tuple[int, str]]
    owner: Mapping[tuple[int, str], tuple[int, str]] = field(default_factory=dict)
    first_input: Mapping[Ref, Ref] = field(default_factory=dict)

    def resolve(self, ref: Ref) -> Ref:
        """The value that is really there: that of the layer which runs, or the common input."""
        member = self.members[ref.member]
        at = member.network.producer.get(ref.name)
        if at is None:
            return self.first_input.get(ref, ref)
        layer = member.layer_of.get(at)
        running = None if layer is None else self.owner.get((ref.member, layer))
        if layer is None or running is None:
            return ref
        position = member.nodes[layer].index(at)
        place = member.network.nodes[at].outputs.index(ref.name)
        other = self.members[running[0]]
        node = other.network.nodes[other.nodes[running[1]][position]]
        return Ref(running[0], node.outputs[place])

    def producer(self, ref: Ref) -> NodeRef | None:
        """The node that makes a value; None: an input or a stored constant."""
        at = self.members[ref.member].network.producer.get(ref.name)
        return None if at is None else NodeRef(ref.member, at)

    def reads(self, node: NodeRef) -> list[Ref]:
        """What a node reads, each once."""
        names = self.members[node.member].network.nodes[node.node].reads
        return [self.resolve(Ref(node.member, name)) for name in dict.fromkeys(names)]

    def is_layer(self, node: NodeRef) -> bool:
        """Whether a node is one of a layer; the others are constants and shapes, which belong to whoever reads them."""
        return node.node in self.members[node.member].layer_of

    def nodes_of(self, layer: str) -> list[NodeRef]:
        """The nodes of a layer of the instance that is mapped."""
        m, own = self.layers[layer]
        return [NodeRef(m, node) for node in self.members[m].nodes[own]]

    def name(self, ref: Ref) -> str:
        """The name of a value in the parts."""
        return self.members[ref.member].prefix + ref.name


def layer_nodes(model: Model, network: Network) -> dict[str, tuple[int, ...]]:
    """Positions of the nodes of every layer.

    Raises
    ------
    UnsupportedError
        Layers that say nothing of nodes.
    InstanceError
        Nodes that the file does not have, or that two layers have.
    """
    found: dict[str, tuple[int, ...]] = {}
    seen: dict[str, str] = {}
    problems: list[Problem] = []
    for layer in model.layers:
        names = layer.attributes.get("onnx_nodes")
        if not isinstance(names, list | tuple) or not names or not all(isinstance(n, str) for n in names):
            raise UnsupportedError(
                f"layer {layer.name!r} of model {model.name}: states no ONNX nodes (attributes.onnx_nodes); only "
                "networks that were read from ONNX files can be cut"
            )
        for name in names:
            if name not in network.index:
                what = f"node {name!r} is not in {network.path.name}; is it the file that was planned?"
                problems.append(Problem(f"model {model.name}, layer {layer.name!r}", what))
            if name in seen:
                what = f"node {name!r} is also in layer {seen[name]!r}"
                problems.append(Problem(f"model {model.name}, layer {layer.name!r}", what))
            seen[name] = layer.name
        found[layer.name] = tuple(sorted(network.index[name] for name in names if name in network.index))
    if problems:
        raise InstanceError(problems=problems[:MOST_PROBLEMS])
    return found


def work_of_task(task: Task, model: Model, network: Network) -> Work:
    """The work of a task that shares nothing."""
    layers = {layer.name: (0, layer.name) for layer in model.layers}
    member = Member(task=task.name, model=model, network=network)
    return Work(task=task.name, model=model, members=(member,), layers=layers)


def work_of_task_graph(
    instance: Instance,
    groups: Iterable[Iterable[Iterable[str]]],
    networks: Mapping[str, Network],
    shared: Model,
) -> Work:
    """The work of all tasks together, shared blocks once.

    Parameters
    ----------
    instance
        The instance that has the tasks.
    networks
        By model.
    shared
        The model that `expand` makes.

    Raises
    ------
    UnsupportedError
        Blocks that the instance states by figures.
    """
    from dnnplan.costs.sharing.expand import SHARED, layers_by_block

    tasks = instance.effective_tasks()
    models = {model.name: model for model in instance.models}
    if any(not task.blocks or task.model not in models for task in tasks):
        raise UnsupportedError(
            "blocks that are stated by figures have no ONNX nodes; give tasks blocks of layers"
        )
    members = tuple(
        Member(task=task.name, model=models[task.model], network=networks[task.model], prefix=f"{task.name}/")
        for task in tasks
    )
    index = {task.name: t for t, task in enumerate(tasks)}
    running = layers_by_block(instance, [[list(group) for group in level] for level in groups])
    alone = layers_by_block(instance)
    layers: dict[str, tuple[int, str]] = {}
    owner: dict[tuple[int, str], tuple[int, str]] = {}
    for t in range(len(tasks)):
        for names, own in zip((row[t] for row in running), _own_layers(alone, t, tasks[t]), strict=True):
            for name, layer in zip(names, own, strict=True):
                first, _, original = name.partition("/")
                layers[name] = (index[first], original)
                if index[first] != t:
                    owner[t, layer] = layers[name]
    return Work(
        task=SHARED,
        model=shared,
        members=members,
        layers=layers,
        owner=owner,
        first_input=_common_inputs(members),
    )


def _own_layers(alone: Any, t: int, task: Task) -> Iterable[Sequence[str]]:
    """The layers of a task by block, as its own model names them."""
    levels = len(alone)
    blocks = [*task.blocks[: levels - 1], tuple(name for rest in task.blocks[levels - 1 :] for name in rest)]
    return blocks


def _common_inputs(members: Sequence[Member]) -> dict[Ref, Ref]:
    """The inputs of tasks in the place of which the first task's are read: those of the same number."""
    first: dict[int, Ref] = {}
    found = {}
    for m, member in enumerate(members):
        read = {tensor.name for tensor in member.model.tensors if tensor.source is None}
        used = [name for name in member.network.inputs if printable(name) in read]
        for number, name in enumerate(used):
            ref = Ref(m, name)
            found[ref] = first.setdefault(number, ref)
    return {ref: other for ref, other in found.items() if ref != other}
