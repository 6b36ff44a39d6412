"""Models that come and go, and batches that change."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import replace

from dnnplan.instances.errors import InputError, Problem, UnsupportedError
from dnnplan.instances.events.records import BatchChanged, ModelAdded, ModelCosts, ModelRemoved
from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Model
from dnnplan.instances.sections import Block, Ordering, Sharing, Workload
from dnnplan.instances.task import Task
from dnnplan.instances.wording import show, unknown

V = TypeVar("V")


def add_model(instance: Instance, event: ModelAdded) -> Instance:
    """The instance with one more task, and with its network where it has one of its own."""
    if instance.sharing is not None or instance.ordering is not None:
        raise UnsupportedError(
            "model_added: what the new task shares with the others, and what it costs after them, is not known; add it "
            "to the sections sharing and ordering of the instance, and solve that"
        )
    task, model = _task_and_model(instance, event)
    tasks = instance.effective_tasks()
    if task.name in {other.name for other in tasks}:
        raise InputError(
            problems=[Problem("task.name", f"{show(task.name)} is already a task, expected a new name")]
        )
    models = instance.models if model is None else (*instance.models, model)
    costs = instance.costs
    if event.costs is not None:
        tables = event.costs
        costs = replace(
            costs,
            latency={**costs.latency, task.model: tables.latency},
            energy={**costs.energy, task.model: tables.energy},
            transfer={**costs.transfer, task.model: tables.transfer},
        )
    return replace(instance, models=models, tasks=(*tasks, task), costs=costs)


def _task_and_model(instance: Instance, event: ModelAdded) -> tuple[Task, Model | None]:
    """The task, and its network; None: it is there already."""
    known = {model.name: model for model in instance.models}
    if event.file is not None:
        raise InputError(problems=[Problem("file", "is read by `with_files`, expected the network itself")])
    if event.model is None:
        if event.task is None or event.costs is not None:
            what = "missing, expected a network, or a task of one of the instance without costs"
            raise InputError(problems=[Problem("model", what)])
        if event.task.model not in known:
            what = unknown("model", event.task.model, set(known))
            raise InputError(problems=[Problem("task.model", what)])
        return event.task, None
    model = event.model
    task = event.task or Task(name=model.name, model=model.name)
    if task.model != model.name:
        raise InputError(problems=[Problem("task.model", f"{show(task.model)}, expected {show(model.name)}")])
    if model.name not in known:
        return task, model
    if known[model.name] == model and (event.costs is None or event.costs == tables_of(instance, model.name)):
        return task, None
    what = f"{show(model.name)} is already the name of another model, expected a new name"
    raise InputError(problems=[Problem("model.name", what)])


def tables_of(instance: Instance, model: str) -> ModelCosts:
    """The tables of one network."""
    return ModelCosts(
        latency=instance.costs.latency.get(model, {}),
        energy=instance.costs.energy.get(model, {}),
        transfer=instance.costs.transfer.get(model, {}),
    )


def remove_task(instance: Instance, event: ModelRemoved) -> Instance:
    """The instance without a task, and without its network where no other task uses it.

    Tasks that waited for it wait no more; it leaves its groups, rows, columns and streams.
    """
    tasks = instance.effective_tasks()
    index = next((i for i, task in enumerate(tasks) if task.name == event.task), None)
    if index is None:
        what = unknown("task", event.task, {task.name for task in tasks})
        raise InputError(problems=[Problem("task", what)])
    left = tuple(task for task in tasks if task.name != event.task)
    if not left:
        raise InputError(
            problems=[Problem("task", f"{show(event.task)} is the last task: nothing is left to plan")]
        )
    model = tasks[index].model
    gone = {model} - {task.model for task in left}
    costs = instance.costs
    return replace(
        instance,
        tasks=left,
        models=tuple(one for one in instance.models if one.name not in gone),
        precedences=tuple(p for p in instance.precedences if event.task not in (p.before, p.after)),
        costs=replace(
            costs,
            latency=_without(costs.latency, gone),
            energy=_without(costs.energy, gone),
            transfer=_without(costs.transfer, gone),
        ),
        ordering=None if instance.ordering is None else _ordering(instance.ordering, index, event.task),
        sharing=None if instance.sharing is None else _sharing(instance.sharing, index, event.task),
        workload=None if instance.workload is None else _workload(instance.workload, event.task),
    )


def _without(table: dict[str, V], names: set[str]) -> dict[str, V]:
    return {key: value for key, value in table.items() if key not in names}


def _dropped(rows: tuple[V, ...], index: int) -> tuple[V, ...]:
    return rows[:index] + rows[index + 1 :]


def _ordering(ordering: Ordering, index: int, task: str) -> Ordering:
    return replace(
        ordering,
        switch=tuple(_dropped(row, index) for row in _dropped(ordering.switch, index)),
        resources=_dropped(ordering.resources, index),
        conditions=tuple(c for c in ordering.conditions if task not in (c.task, c.given)),
    )


def _sharing(sharing: Sharing, index: int, task: str) -> Sharing:
    levels = (
        tuple(tuple(name for name in group if name != task) for group in level) for level in sharing.groups
    )
    candidates = (
        replace(
            one,
            tasks=tuple(name for name in one.tasks if name != task),
            loss=_without(one.loss, {task}),
            affinity=_without(one.affinity, {task}),
        )
        for one in sharing.candidates
    )
    return replace(
        sharing,
        affinity=tuple(
            tuple(_dropped(row, index) for row in _dropped(matrix, index)) for matrix in sharing.affinity
        ),
        groups=tuple(tuple(group for group in level if group) for level in levels),
        candidates=tuple(one for one in candidates if one.tasks),
        blocks=tuple(_block(block, task) for block in sharing.blocks),
        stem=None if sharing.stem is None else _block(sharing.stem, task),
        head=None if sharing.head is None else _block(sharing.head, task),
    )


def _block(block: Block, task: str) -> Block:
    return replace(block, tasks=_without(block.tasks, {task}), costs=_without(block.costs, {task}))


def _workload(workload: Workload, task: str) -> Workload | None:
    streams = tuple(stream for stream in workload.streams if stream.task != task)
    return replace(workload, streams=streams) if streams else None


def change_batch(instance: Instance, event: BatchChanged) -> Instance:
    """The instance with another batch of a task.

    Tables hold the figures of a whole job, so entries of its network are times new over old batch: linear, which is
    ours where nothing else is known. Sizes of tensors and the analytic times follow the batch by themselves.
    """
    tasks = instance.effective_tasks()
    task = next((one for one in tasks if one.name == event.task), None)
    if task is None:
        what = unknown("task", event.task, {one.name for one in tasks})
        raise InputError(problems=[Problem("task", what)])
    costs = instance.costs
    tables = (costs.latency, costs.energy, costs.transfer)
    measured = any(table.get(task.model) for table in tables)
    others = [one.name for one in tasks if one.model == task.model and one.name != task.name]
    if measured and others and event.batch != task.batch:
        raise UnsupportedError(
            f"batch_changed: tasks {show(task.name)} and {show(others[0])} share the tables of model "
            f"{show(task.model)}, which hold the times of one batch; give the task a model of its own"
        )
    changed = tuple(replace(one, batch=event.batch) if one is task else one for one in tasks)
    factor = event.batch / task.batch
    if measured and factor != 1:
        latency, energy, transfer = (
            {**table, task.model: scaled(table[task.model], factor)} if task.model in table else table
            for table in tables
        )
        costs = replace(costs, latency=latency, energy=energy, transfer=transfer)
    return replace(instance, tasks=changed, costs=costs)


def scaled(node: Any, factor: float) -> Any:
    """A table with every number in it times a factor."""
    if isinstance(node, dict):
        return {key: scaled(child, factor) for key, child in node.items()}
    return node * factor
