"""What to train again before tasks can share layers: the retraining manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dnnplan.deploy.identical import Difference, differences
from dnnplan.deploy.network import read_network
from dnnplan.deploy.work import Work, work_of_task_graph
from dnnplan.instances import Instance, Plan, PlanError, Task

RETRAINING_VERSION = "1.0"


def retraining(
    instance: Instance, plan: Plan, files: Mapping[str, str | Path] | None = None
) -> dict[str, Any]:
    """Which tasks a plan wants to share which layers, where they part, and which weights are not the same yet.

    Parameters
    ----------
    plan
        A plan with a task graph (`groups`); placement is not needed.
    files
        ONNX file of each model, by name. Where one is missing, whether layers are the same is not known (null).

    Returns
    -------
    dict
        Plain JSON values: ``tasks``; ``branches`` (the groups behind each branch point); ``blocks``, each with its
        ``tasks``, their ``layers``, whether they are ``identical``, and what ``differs``; and ``retrain``, whether
        anything has to be trained before `dnnplan split` can make one part of it.

    Raises
    ------
    PlanError
        The plan has no task graph.

    Examples
    --------
    >>> from dnnplan.instances import Sharing, Task
    >>> tasks = tuple(Task(name=n, model=n, blocks=(("s",), ("b",), ("h",))) for n in "ab")
    >>> instance = Instance(tasks=tasks, sharing=Sharing(branch_points=("after s",)))
    >>> found = retraining(instance, Plan(problem="grouping", groups=((("a", "b"),),)))
    >>> [(block["tasks"], block["layers"]["b"], block["identical"]) for block in found["blocks"]][:2]
    [(['a', 'b'], ['s'], None), (['a', 'b'], ['b'], None)]
    """
    if not plan.groups:
        raise PlanError("the plan has no task graph (groups): no task shares anything")
    tasks = instance.effective_tasks()
    compared = _differences(instance, plan, files or {})
    blocks = _blocks(tasks, plan.groups)
    told = [_block(number, group, layers, compared) for number, group, layers in blocks]
    points = instance.sharing.branch_points if instance.sharing is not None else ()
    unsure = any(block["identical"] is None and len(block["tasks"]) > 1 for block in told)
    return {
        "format_version": RETRAINING_VERSION,
        "instance": instance.hash(),
        "tasks": [{"name": task.name, "model": task.model} for task in tasks],
        "branches": [
            {
                "branch_point": points[level] if level < len(points) else f"branch point {level}",
                "block": level + 1,
                "groups": [list(group) for group in partition],
            }
            for level, partition in enumerate(plan.groups)
        ],
        "blocks": told,
        "retrain": None if unsure else any(block["identical"] is False for block in told),
    }


Block = tuple[int, list[str], dict[str, list[str]]]


def _blocks(tasks: Sequence[Task], groups: Sequence[Sequence[Sequence[str]]]) -> list[Block]:
    """(number, tasks, layers by task) of every node of the task graph; block 0 is the stem, the last one the head."""
    names = [task.name for task in tasks]
    partitions = [
        [names],
        *([list(group) for group in level] for level in groups),
        [[name] for name in names],
    ]
    found = []
    for number, partition in enumerate(partitions):
        for group in partition:
            layers = {task.name: _layers(task, number, len(groups)) for task in tasks if task.name in group}
            if any(layers.values()) or not any(task.blocks for task in tasks):
                found.append((number, list(group), layers))
    return found


def _layers(task: Task, number: int, levels: int) -> list[str]:
    if number <= levels:
        return list(task.blocks[number]) if number < len(task.blocks) else []
    return [name for block in task.blocks[levels + 1 :] for name in block]


def _differences(
    instance: Instance, plan: Plan, files: Mapping[str, str | Path]
) -> dict[tuple[str, str], Difference] | None:
    """Differing layers by (task, layer); None where files are missing."""
    needed = {task.model for task in instance.effective_tasks()}
    if not needed <= files.keys() or not all(task.blocks for task in instance.effective_tasks()):
        return None
    from dnnplan.costs.sharing.expand import expand

    networks = {name: read_network(files[name], light=True) for name in sorted(needed)}
    shared = expand(instance, plan.groups).models[0]
    work: Work = work_of_task_graph(instance, plan.groups, networks, shared)
    return {(found.task, found.layer): found for found in differences(work)}


def _block(
    number: int,
    group: list[str],
    layers: dict[str, list[str]],
    compared: dict[tuple[str, str], Difference] | None,
) -> dict[str, Any]:
    differ: list[dict[str, Any]] = []
    if compared is not None:
        members = [(task, layer) for task, own in layers.items() for layer in own]
        differ = [_told(compared[member]) for member in members if member in compared]
    alone = len(group) == 1
    return {
        "block": number,
        "tasks": group,
        "layers": layers,
        "identical": True if alone else (None if compared is None else not differ),
        "differs": differ,
    }


def _told(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "weights": [list(pair) for pair in difference.weights]}
