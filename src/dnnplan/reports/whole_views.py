"""What the reports of whole plans look at: the task graph, and the schedule of the network that it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec.structs import replace as with_members

from dnnplan.costs.sharing.graph import TaskGraph
from dnnplan.costs.whole import WholeAnswer, WholeProblem, whole_problem
from dnnplan.instances import Instance, Limits, Plan, Result
from dnnplan.reports.schedule import Bar, Row, Schedule, make_schedule

ALL = "all tasks"
"""Name of what runs for all tasks."""


@dataclass(frozen=True, kw_only=True)
class WholeViews:
    """Parts of a whole plan.

    Parameters
    ----------
    names
        Tasks by index.
    graph
        The task graph, with costs of blocks on the best device; None where nothing can be shared.
    order
        Tasks in the order in which they end.
    ends
        Seconds at which the last layer of each task ends.
    schedule
        Rows of devices and links; the networks that colour its bars are tasks, and what tasks share.
    networks
        Number of the network of each group of tasks there.
    """

    names: tuple[str, ...]
    graph: TaskGraph | None
    order: tuple[int, ...]
    ends: tuple[float, ...]
    schedule: Schedule
    networks: dict[tuple[int, ...], int]

    @property
    def shares(self) -> tuple[tuple[int, ...], ...]:
        """Groups of several tasks that share a block behind a branch point, each once."""
        if self.graph is None:
            return ()
        groups = (group for level in self.graph.groups for group in level if len(group) > 1)
        return tuple(dict.fromkeys(groups))


def is_whole(plan: Plan) -> bool:
    """Whether a joint plan says where the tasks run."""
    return plan.problem == "joint" and bool(plan.placement)


def whole_views(instance: Instance, plan: Plan, result: Result | None = None) -> WholeViews:
    """The parts of a whole plan; `result` adds what is known about its quality.

    Raises
    ------
    PlanError
        The plan does not fit the instance.
    """
    bare = with_members(instance, objective="latency", limits=Limits())
    problem = whole_problem(bare)
    answer: WholeAnswer = problem.judge(plan).decisions
    users = users_of_layers(problem, answer)
    end_of = {
        i: answer.evaluation.end[c] for c, row in enumerate(answer.evaluation.decisions.calls) for i in row
    }
    ends = [0.0] * problem.n
    for layer, tasks in enumerate(users):
        for t in tasks:
            ends[t] = max(ends[t], end_of[layer])
    graph = None
    if problem.grouping is not None:
        graph = TaskGraph(costs=problem.grouping.costs, groups=answer.groups)
    networks, names = networks_of(problem, users)
    plain = make_schedule(answer.evaluation, result)
    rows = _coloured(problem, answer, plain, [networks[tasks] for tasks in users])
    schedule = replace(plain, name=instance.name, rows=rows, networks=names)
    return WholeViews(
        names=problem.tasks,
        graph=graph,
        order=answer.task_order,
        ends=tuple(ends),
        schedule=schedule,
        networks=networks,
    )


def users_of_layers(problem: WholeProblem, answer: WholeAnswer) -> list[tuple[int, ...]]:
    """Tasks that each layer of the mapped network runs for."""
    view = answer.evaluation.problem
    if not problem.levels:
        index = {name: t for t, name in enumerate(problem.tasks)}
        return [(index[key.split("/", 1)[0]],) for key in view.layers]
    found: list[set[int]] = [set() for _ in range(view.n)]
    for row in problem.layers(answer.groups):
        for task, cell in enumerate(row):
            for layer in cell:
                found[layer].add(task)
    return [tuple(sorted(tasks)) for tasks in found]


def networks_of(
    problem: WholeProblem, users: list[tuple[int, ...]]
) -> tuple[dict[tuple[int, ...], int], tuple[str, ...]]:
    """A number for each group of tasks that layers run for, single tasks first, and their names."""
    numbers: dict[tuple[int, ...], int] = {(t,): t for t in range(problem.n)}
    names = list(problem.tasks)
    for tasks in sorted(set(users), key=lambda group: (-len(group), group)):
        if len(tasks) > 1:
            numbers[tasks] = len(names)
            names.append(ALL if len(tasks) == problem.n else "+".join(problem.tasks[t] for t in tasks))
    return numbers, tuple(names)


def _coloured(
    problem: WholeProblem, answer: WholeAnswer, plain: Schedule, network: list[int]
) -> tuple[Row, ...]:
    """Rows whose bars have the numbers of the networks of their layers."""
    found = answer.evaluation

    def bar_of(bar: Bar, kind: str) -> Bar:
        call = bar.index if kind == "device" else found.transfers[bar.index].call
        # Layers of a network that a task graph gives are named by the first of their tasks.
        named = kind == "device" and problem.levels > 0 and "/" in bar.detail
        detail = bar.detail.split("/", 1)[1] if named else bar.detail
        return replace(bar, network=network[found.decisions.calls[call][0]], detail=detail)

    return tuple(replace(row, bars=[bar_of(bar, row.kind) for bar in row.bars]) for row in plain.rows)
