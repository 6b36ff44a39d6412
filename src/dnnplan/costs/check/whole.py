"""Whole plans: a task graph, and the mapping of the network that it gives (docs/cost-model.md, 13)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import inf

from msgspec.structs import replace

from dnnplan.costs.check.limits import UNITS, check_cost, check_limits
from dnnplan.costs.check.rules import Findings, exceeds
from dnnplan.costs.check.running import run_plan
from dnnplan.costs.check.setting import Setting
from dnnplan.costs.check.simulate import Run
from dnnplan.costs.check.tasks import check_stated
from dnnplan.costs.check.tasks.blocks import Figures
from dnnplan.costs.check.tasks.refuse import GRAPH_FIGURES, limited
from dnnplan.costs.check.tasks.task_graph import Tree, graph_measures, read_groups
from dnnplan.costs.check.times import check_times
from dnnplan.costs.sharing.expand import expand, layers_by_block, levels_of
from dnnplan.instances import Cost, Instance, Limits, ObjectiveValue, Plan, UnsupportedError, Violation

KEPT = (*UNITS, "memory", "deadline", "switches", "calls_per_device")
"""Limits of the mapping."""
Groups = tuple[tuple[tuple[str, ...], ...], ...]


def is_whole(plan: Plan) -> bool:
    """Whether a plan of tasks says where they run as well; one without a task graph says nothing else."""
    return plan.problem == "joint" and bool(plan.placement or plan.order or not plan.groups)


def check_whole(
    instance: Instance,
    plan: Plan,
    *,
    cost: Cost | None = None,
    measures: Mapping[str, float] | None = None,
    objective: ObjectiveValue | None = None,
) -> tuple[Violation, ...]:
    """List every rule that a whole plan breaks.

    Parameters
    ----------
    cost, measures, objective
        What the answer claims; compared with what the decisions give.

    Raises
    ------
    InstanceError
        There is no platform.
    UnsupportedError
        A limit that is not one of such plans, or a task graph that cannot be applied.
    """
    found = Findings()
    if plan.instance and plan.instance != instance.hash():
        found.report("instance", "instance", "the plan was made for another instance")
    for name in sorted(limited(instance) - {*KEPT, *GRAPH_FIGURES}):
        known = ", ".join((*GRAPH_FIGURES, *KEPT))
        raise UnsupportedError(f"limit '{name}' is not one of a whole plan, whose are {known}")
    names = [task.name for task in instance.effective_tasks()]
    own: dict[str, float] = {}
    groups: Groups = ()
    if levels_of(instance):
        levels = read_groups(instance, plan.groups, names, found)
        if levels is None:
            return tuple(found)
        # Members as the instance lists them, whatever their order in the plan.
        groups = tuple(
            tuple(tuple(name for name in names if name in group) for group in level) for level in levels
        )
        own = graph_measures(instance, Tree(names, levels, blocks_on_best_device(instance, names)))
    elif plan.groups:
        found.report("groups", "groups", "the plan has a task graph, and the instance nothing to share")
        return tuple(found)
    mapped = replace(plan, problem="mapping", groups=(), task_order=(), instance="")
    judged = run_plan(network_of(instance, groups), mapped, found)
    if judged is not None:
        run, figures = judged
        own |= {name: float(getattr(figures, name)) for name in UNITS}
        own["memory"] = float(max(figures.memory.values(), default=0.0))
        check_limits(run, figures, found)
        check_times(run, mapped, found)
        if cost is not None:
            check_cost(cost, figures, found)
        check_order_of_ends(plan, ends_of_tasks(instance, groups, run, names), found)
        check_stated(own, measures or {}, objective, found)
    for name in GRAPH_FIGURES:
        bound = getattr(instance.limits, name)
        if bound is not None and name in own and exceeds(own[name], bound):
            message = f"{name} is {own[name]:g}, the limit is {bound:g}"
            found.report("limit", name, message, own[name] - bound)
    return tuple(found)


def network_of(instance: Instance, groups: Groups) -> Instance:
    """What a task graph leaves to map, under the limits of mappings."""
    limits = Limits(**{name: getattr(instance.limits, name) for name in KEPT})
    bare = replace(instance, objective="latency", limits=Limits())
    mapped = expand(bare, groups) if groups else replace(bare, sharing=None, ordering=None)
    return replace(mapped, limits=limits)


def blocks_on_best_device(instance: Instance, names: list[str]) -> list[dict[str, Figures]]:
    """Figures of blocks on the device that runs all of them in the least time; else each layer on its fastest one."""
    apart = tuple(tuple((name,) for name in names) for _ in range(levels_of(instance)))
    setting = Setting(network_of(instance, apart))
    seconds = [
        [_seconds(setting, layer, device) for device in range(len(setting.ends.devices))]
        for layer in range(len(setting.keys))
    ]
    totals = [sum(column) for column in zip(*seconds, strict=True)]
    fastest = min(range(len(totals)), key=totals.__getitem__)
    position = {key.split("/", 2)[2]: layer for layer, key in enumerate(setting.keys)}
    found = []
    for row in layers_by_block(instance):
        cells = {}
        for name, cell in zip(names, row, strict=True):
            size = compute = load = 0.0
            for layer in (position[label] for label in cell):
                times = seconds[layer]
                home = fastest if totals[fastest] < inf else min(range(len(times)), key=times.__getitem__)
                size += setting.layers[layer].weight_bytes
                compute += times[home]
                load += _loading(setting, layer, home)
            cells[name] = Figures(size, compute, load)
        found.append(cells)
    return found


def _seconds(setting: Setting, layer: int, device: int) -> float:
    seconds = setting.seconds(layer, device)
    return inf if seconds is None or setting.refusal(layer, device, seconds) is not None else seconds


def _loading(setting: Setting, layer: int, device: int) -> float:
    """Seconds to bring the weights of a layer from the host."""
    size = float(setting.layers[layer].weight_bytes)
    if setting.ends.host is None or size == 0:
        return 0.0
    model = setting.job_of[layer].model.name
    move = setting.move(model, None, setting.ends.host, device, size)
    return inf if move is None else move.seconds


def ends_of_tasks(instance: Instance, groups: Groups, run: Run, names: list[str]) -> dict[str, float]:
    """Seconds at which the last layer of each task ends."""
    decisions, keys = run.wiring.decisions, run.wiring.setting.keys
    ends = dict.fromkeys(names, 0.0)
    by_layer = {key: run.end[decisions.call_of[layer]] for layer, key in enumerate(keys)}
    if not groups:
        for key, end in by_layer.items():
            task = key.split("/", 1)[0]
            ends[task] = max(ends[task], end)
        return ends
    by_name = {key.split("/", 2)[2]: end for key, end in by_layer.items()}
    for row in layers_by_block(instance, groups):
        for name, cell in zip(names, row, strict=True):
            ends[name] = max([ends[name], *(by_name[label] for label in cell)])
    return ends


def check_order_of_ends(plan: Plan, ends: Mapping[str, float], found: Findings) -> None:
    """Rule `task_order`: every task once, by the ends of their last layers."""
    listed = plan.task_order
    for name in ends:
        if (count := listed.count(name)) != 1:
            found.report("task_order", name, f"task {name} is listed {count} times, expected once")
    for name in listed:
        if name not in ends:
            found.report("unknown", "task_order", f'"{name}" is not a task')
    if found.breaks("task_order") or len(listed) != len(ends):
        return
    for name, following in pairwise(listed):
        if exceeds(ends[name], ends[following]):
            early = ends[name] - ends[following]
            message = f"task {name} is listed before {following}, which ends {early:.6g} s earlier"
            found.report("task_order", name, message, early, "s")
