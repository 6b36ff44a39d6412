"""From a task graph to the instance that mapping sees: one network in which shared blocks stand once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.sharing.blocks import BlockCosts, block_costs
from dnnplan.costs.sharing.graph import TaskGraph, indexed_groups
from dnnplan.instances import Instance, InstanceError, Layer, Model, Problem, Task, Tensor, UnsupportedError
from dnnplan.instances.sections import Block, Costs

SHARED = "shared"
"""Name of the one network and its one task."""


def expand(instance: Instance, groups: Iterable[Iterable[Iterable[str]]] | None = None) -> Instance:
    """Apply a task graph: a plain instance with one network, in which each node of the task graph stands once.

    Where tasks have blocks of layers of their own networks, the layers of a node are those of its first task, and
    tensors go where they go in each task's network. Where blocks have only figures, each node is a layer: its bytes are
    weights, its FLOP or, in seconds, its cost of computing its time; what passes between blocks is not known, and
    counts no bytes.

    Parameters
    ----------
    groups
        Names of tasks, partition at each branch point; None: `sharing.groups`.

    Returns
    -------
    Instance
        Model and task `shared`. A task that has to wait for another one waits in the first block that the two do
        not share, by a tensor of no bytes. Sections that were applied (sharing, ordering, precedences) are gone; tables
        of layers and tensors are those of the first task of a node. Layers that must be on one device still must.

    Raises
    ------
    InstanceError
        There is no task graph.
    PlanError
        `groups` is no task graph of the instance.
    UnsupportedError
        Tasks of one group have blocks of different numbers of layers, or some state what a block costs to compute and
        others do not; or tasks have periods or batches of their own.

    Examples
    --------
    >>> from dnnplan.instances import Sharing
    >>> from dnnplan.instances.sections import Block
    >>> tasks = tuple(Task(name=name, model="net") for name in "ab")
    >>> sharing = Sharing(branch_points=("stem",), stem=Block(flops=5), blocks=(Block(flops=7),))
    >>> instance = expand(Instance(tasks=tasks, sharing=sharing), [[["a"], ["b"]]])
    >>> [layer.name for layer in instance.models[0].layers]
    ['block 0: a+b', 'block 1: a', 'block 1: b']
    """
    tasks = instance.effective_tasks()
    names = [task.name for task in tasks]
    sharing = instance.sharing
    given = groups if groups is not None else (sharing.groups if sharing is not None else ())
    if sharing is None or not given:
        raise InstanceError(problems=[Problem("sharing.groups", "missing, expected a task graph to apply")])
    if len({(task.batch, task.period, task.release, task.deadline) for task in tasks}) > 1:
        raise UnsupportedError(
            "tasks with releases, periods, deadlines or batches of their own share no block"
        )
    levels = levels_of(instance)
    if by_figures(instance):
        costs = block_costs(_without_flops(instance))
        graph = TaskGraph(costs=costs, groups=indexed_groups(given, names, levels))
        return _of_figures(instance, graph, names)
    shape = np.zeros((levels + 2, len(tasks)))
    costs = BlockCosts(bytes=shape, compute=shape, load=shape, stem=True, head=True, unit=None)
    graph = TaskGraph(costs=costs, groups=indexed_groups(given, names, levels))
    return _of_layers(instance, graph, tasks)


def layers_by_block(
    instance: Instance, groups: Iterable[Iterable[Iterable[str]]] | None = None
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Names of the layers that `expand` gives each block of each task: ``[block][task]``.

    Layers of a block correspond by their place in it, whatever the task graph. Blocks that the instance states by
    figures are one layer each; a stem is shared by all tasks.

    Parameters
    ----------
    groups
        Names of tasks, partition at each branch point; None: nothing is shared but a stem.

    Raises
    ------
    PlanError
        `groups` is no task graph of the instance.
    """
    tasks = instance.effective_tasks()
    names = [task.name for task in tasks]
    levels = levels_of(instance)
    given = groups if groups is not None else [[[name] for name in names]] * levels
    figures = by_figures(instance)
    stem, head = stem_and_head(instance)
    everyone = tuple(range(len(tasks)))
    partitions = [*indexed_groups(given, names, levels)]
    partitions = [(everyone,)] * stem + partitions + [tuple((t,) for t in everyone)] * head
    cuts = [_cut(task, levels) for task in tasks]

    def of(b: int, group: Sequence[int]) -> tuple[str, ...]:
        if figures:
            return (_label(b, group, names),)
        return tuple(f"{names[group[0]]}/{layer}" for layer in cuts[group[0]][b])

    home = [{t: group for group in level for t in group} for level in partitions]
    return tuple(tuple(of(b, row[t]) for t in everyone) for b, row in enumerate(home))


def _label(block: int, group: Sequence[int], names: Sequence[str]) -> str:
    """Name of the layer that stands for a block stated by figures."""
    return f"block {block}: {'+'.join(names[t] for t in group)}"


def levels_of(instance: Instance) -> int:
    """Number of branch points of an instance; 0 without the section `sharing`."""
    sharing = instance.sharing
    if sharing is None:
        return 0
    return max(len(sharing.branch_points), len(sharing.affinity), len(sharing.groups))


def stem_and_head(instance: Instance) -> tuple[bool, bool]:
    """Whether there is a block that all tasks share, and whether each task has a last block of its own."""
    sharing = instance.sharing
    if sharing is None or not by_figures(instance):
        return sharing is not None, sharing is not None
    return sharing.stem is not None, sharing.head is not None


def by_figures(instance: Instance) -> bool:
    """Whether blocks are stated by figures, and not as layers of the tasks' networks."""
    sharing = instance.sharing
    assert sharing is not None
    stated = [sharing.stem, *sharing.blocks, sharing.head]
    return any(block is not None for block in stated) or not any(task.blocks for task in instance.tasks)


def _cut(task: Task, levels: int) -> list[tuple[str, ...]]:
    """Layers of a task by block: stem, one behind each branch point, head."""
    return [*task.blocks[: levels + 1], tuple(n for rest in task.blocks[levels + 1 :] for n in rest)]


def _without_flops(instance: Instance) -> Instance:
    """The instance with the figures of its blocks that need no platform."""
    sharing = instance.sharing
    assert sharing is not None

    def bare(block: Block) -> Block:
        own = {task: replace(cost, flops=None) for task, cost in block.costs.items()}
        return replace(block, flops=0, costs=own)

    head, stem = (None if block is None else bare(block) for block in (sharing.head, sharing.stem))
    changed = replace(sharing, stem=stem, blocks=tuple(bare(block) for block in sharing.blocks), head=head)
    return replace(instance, platform=None, sharing=changed)


def _finished(instance: Instance, model: Model, costs: Costs) -> Instance:
    first = instance.effective_tasks()[0]
    task = Task(
        name=SHARED,
        model=SHARED,
        batch=first.batch,
        release=first.release,
        deadline=first.deadline,
        period=first.period,
    )
    keeps = instance.objective in ("latency", "energy", "edp", "traffic", "memory", "max_load")
    return Instance(
        name=instance.name,
        source=instance.source,
        objective=instance.objective if keeps else "latency",
        platform=instance.platform,
        models=(model,),
        tasks=(task,),
        costs=costs,
    )


def _waiting(instance: Instance, graph: TaskGraph, names: Sequence[str]) -> list[tuple[int, int, int]]:
    """(task before, node of the task after, number) for each precedence: the first node that the two do not share."""
    index = {name: t for t, name in enumerate(names)}
    found = []
    for number, precedence in enumerate(instance.precedences):
        a, b = index[precedence.before], index[precedence.after]
        apart = np.flatnonzero(graph.node[:, a] != graph.node[:, b])
        if apart.size == 0:
            raise UnsupportedError(
                f"task {names[b]} has to wait for {names[a]} and shares all of its blocks; give each a head of its own"
            )
        found.append((a, int(graph.node[apart[0], b]), number))
    return found


def _of_figures(instance: Instance, graph: TaskGraph, names: Sequence[str]) -> Instance:
    """Each node a layer."""
    sharing = instance.sharing
    assert sharing is not None
    blocks = [b for b in (sharing.stem, *sharing.blocks, sharing.head) if b is not None]
    labels = [_label(b, group, names) for b, group in graph.nodes]
    weights, seconds = graph.of_nodes(graph.costs.bytes), graph.of_nodes(graph.costs.compute)
    layers, tensors, table = [], [], {}
    for v, (b, group) in enumerate(graph.nodes):
        flops = max((_flops(blocks[b], names[t]) for t in group), default=0.0) if blocks else 0.0
        layers.append(Layer(name=labels[v], op="Block", flops=flops, weight_bytes=float(weights[v])))
        seconds_known = graph.costs.unit == "s" and blocks and _states_compute(blocks[b], group, names)
        if seconds_known and instance.platform is not None:
            table[labels[v]] = {instance.platform.devices[0].name: float(seconds[v])}
        readers = [
            labels[w] for w, (c, other) in enumerate(graph.nodes) if c == b + 1 and set(other) <= set(group)
        ]
        tensors.append(
            Tensor(name=f"from {labels[v]}", source=labels[v], targets=tuple(readers), output=not readers)
        )
    for a, node, number in _waiting(instance, graph, names):
        last = labels[int(graph.node[-1, a])]
        tensors.append(Tensor(name=f"wait {number}", source=last, targets=(labels[node],)))
    model = Model(name=SHARED, layers=tuple(layers), tensors=tuple(tensors))
    return _finished(instance, model, Costs(latency={SHARED: table} if table else {}))


def _states_compute(block: Block, group: Sequence[int], names: Sequence[str]) -> bool:
    """Whether a block states what it costs to compute for the tasks of a group."""
    if block.compute is not None:
        return True
    stated = [names[t] in block.costs and block.costs[names[t]].compute is not None for t in group]
    if any(stated) and not all(stated):
        listed = ", ".join(names[t] for t in group)
        raise UnsupportedError(
            f"{listed} share a block whose cost of computing is stated for some of them; state it for all"
        )
    return all(stated)


def _flops(block: Block, task: str) -> float:
    own = block.costs.get(task)
    return float(own.flops if own is not None and own.flops is not None else block.flops)


Moves = dict[str, dict[str, float]]
"""Seconds from end to end."""


@dataclass
class _Merged:
    """A tensor of the one network while its readers are collected."""

    source: str | None
    bytes: float
    moves: Moves
    output: bool = False
    targets: dict[str, float] = field(default_factory=dict)


def _copy_row(
    rows: Mapping[str, Mapping[str, float]], layer: str, table: dict[str, dict[str, float]], name: str
) -> None:
    """Give a layer of the one network the row of one of a task's, if it has one."""
    if (row := rows.get(layer)) is not None:
        table[name] = dict(row)


def _of_layers(instance: Instance, graph: TaskGraph, tasks: Sequence[Task]) -> Instance:
    """Each node the layers of its first task; layers of a group correspond by their place in the block."""
    models = {model.name: model for model in instance.models}
    levels = graph.costs.levels
    cuts = [_cut(task, levels) for task in tasks]
    place = [
        {name: (b, i) for b, names in enumerate(blocks) for i, name in enumerate(names)} for blocks in cuts
    ]
    first = {v: group[0] for v, (_, group) in enumerate(graph.nodes)}
    for b, group in graph.nodes:
        counts = {len(cuts[t][b]) for t in group}
        if len(counts) > 1:
            named = ", ".join(tasks[t].name for t in group)
            raise UnsupportedError(f"block {b} of {named}: {sorted(counts)} layers, expected as many in each")

    def label(t: int, layer: str) -> str:
        b, i = place[t][layer]
        owner = first[int(graph.node[b, t])]
        return f"{tasks[owner].name}/{cuts[owner][b][i]}"

    layers: dict[str, Layer] = {}
    tensors: dict[tuple[object, ...], _Merged] = {}
    latency: dict[str, dict[str, float]] = {}
    energy: dict[str, dict[str, float]] = {}
    tables = ((instance.costs.latency, latency), (instance.costs.energy, energy))
    together: dict[tuple[str, ...], None] = {}
    for t, task in enumerate(tasks):
        model = models[task.model]
        moves = instance.costs.transfer.get(model.name, {})
        for layer in model.layers:
            name = label(t, layer.name)
            if name not in layers:
                layers[name] = replace(layer, name=name)
                for given, table in tables:
                    _copy_row(given.get(model.name, {}), layer.name, table, name)
        for beside in model.colocate:
            together[tuple(dict.fromkeys(label(t, name) for name in beside))] = None
        made: dict[str | None, int] = {}
        for tensor in model.tensors:
            number = made[tensor.source] = made.get(tensor.source, -1) + 1
            source = None if tensor.source is None else label(t, tensor.source)
            merged = tensors.setdefault(
                (source, number), _Merged(source, tensor.bytes, moves.get(tensor.name, {}))
            )
            merged.output |= tensor.output
            for target in tensor.targets:
                merged.targets[label(t, target)] = tensor.read_bytes.get(target, tensor.bytes)
    names = [task.name for task in tasks]
    found = [_tensor(f"tensor {number}", merged) for number, merged in enumerate(tensors.values())]
    for a, node, number in _waiting(instance, graph, names):
        b = graph.nodes[node][0]
        owner, last = first[node], models[tasks[a].model].layers[-1].name
        targets = (f"{tasks[owner].name}/{cuts[owner][b][0]}",)
        found.append(Tensor(name=f"wait {number}", source=label(a, last), targets=targets))
    transfer = {
        f"tensor {number}": merged.moves for number, merged in enumerate(tensors.values()) if merged.moves
    }
    model = Model(
        name=SHARED,
        dtype=models[tasks[0].model].dtype,
        layers=tuple(layers.values()),
        tensors=tuple(found),
        colocate=tuple(group for group in together if len(group) > 1),
    )
    costs = Costs(
        latency={SHARED: latency} if latency else {},
        energy={SHARED: energy} if energy else {},
        transfer={SHARED: transfer} if transfer else {},
    )
    return _finished(instance, model, costs)


def _tensor(name: str, merged: _Merged) -> Tensor:
    halo = {target: size for target, size in merged.targets.items() if size != merged.bytes}
    return Tensor(
        name=name,
        source=merged.source,
        targets=tuple(merged.targets),
        bytes=merged.bytes,
        read_bytes=halo,
        output=merged.output,
    )
