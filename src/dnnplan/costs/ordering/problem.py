"""The view of ordering: what every order of the tasks costs on one device (docs/cost-model.md, 10)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.judged import Judged, Terms, keeps_limits, stages_of, weighted
from dnnplan.costs.ordering.conditions import Scenarios, scenarios
from dnnplan.costs.ordering.tools import Tools, loads
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts, Kind, block_costs
from dnnplan.costs.sharing.graph import Groups, TaskGraph, indexed_groups, named_groups
from dnnplan.instances import Instance, InstanceError, Ordering, Plan, PlanError, Problem, UnsupportedError

MEASURES = ("switching", "expected", "energy")


@dataclass(frozen=True, eq=False, kw_only=True)
class OrderingProblem:
    """An order of n tasks, of least cost.

    Parameters
    ----------
    first
        (n,) cost of a task that comes first in an open order.
    switch
        (n, n) cost of the column's task right after the row's; infinite: not allowed.
    close
        (n, n) the same from the last task of a period (row) to the first of the next; only where `closed`.
    before
        (n, n) whether the row's task has to come before the column's; transitively closed.
    scenarios
        Which tasks run together, where some run only sometimes; None: all run.
    tools
        Where memory keeps more than one path: what is loaded. Then `first`, `switch` and `close` have the rest.
    graph
        The task graph that costs come from, if they do.
    """

    instance: Instance
    tasks: tuple[str, ...]
    first: FloatArray
    switch: FloatArray
    close: FloatArray
    before: NDArray[np.bool_]
    closed: bool
    scenarios: Scenarios | None
    tools: Tools | None
    graph: TaskGraph | None
    unit_of_cost: str | None
    stages: tuple[Terms, ...]
    limits: dict[str, float]
    sums_at_most: tuple[tuple[Terms, float], ...] = ()
    sense: str = field(default="min", init=False)

    @property
    def n(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def name(self) -> str:
        """Name of the one measure that is minimised."""
        return self.stages[0][0][0]

    @cached_property
    def weight(self) -> float:
        """Weight of that measure in the objective."""
        return self.stages[0][0][1]

    @cached_property
    def predecessors(self) -> tuple[int, ...]:
        """Tasks that have to come before each task, as a bit mask."""
        return tuple(sum(1 << int(j) for j in np.flatnonzero(self.before[:, i])) for i in range(self.n))

    @cached_property
    def is_free(self) -> bool:
        """Whether there are no precedences."""
        return not bool(self.before.any())

    @property
    def is_plain(self) -> bool:
        """Whether an order costs the sum of what its steps cost: no conditions, one path in memory."""
        return self.scenarios is None and self.tools is None

    def unit(self, name: str) -> str | None:
        """Unit of a measure."""
        return self.unit_of_cost

    def steps(self, order: Sequence[int]) -> list[tuple[int | None, int, float]]:
        """(task before, task, cost) along an order in which all tasks run; closed: the first follows the last."""
        if not order:
            return []
        start = (
            (order[-1], order[0], float(self.close[order[-1], order[0]]))
            if self.closed
            else (None, order[0], float(self.first[order[0]]))
        )
        return [start, *((a, b, float(self.switch[a, b])) for a, b in itertools.pairwise(order))]

    def cost(self, order: Sequence[int]) -> float:
        """Cost of a period, exact in expectation; infinite for a step that is not allowed."""
        if self.scenarios is not None:
            return expectation(self, order)
        value = math.fsum(step[2] for step in self.steps(order))
        return value + (loads(self.tools, order, closed=self.closed) if self.tools is not None else 0.0)

    def keeps(self, order: Sequence[int]) -> bool:
        """Whether an order keeps all precedences."""
        done = 0
        for task in order:
            if self.predecessors[task] & ~done:
                return False
            done |= 1 << task
        return True

    def judge(self, answer: Plan | Sequence[int]) -> Judged:
        """Measure an order and say whether it keeps precedences and limits.

        Raises
        ------
        PlanError
            Not an order of the tasks of the instance.
        """
        order = self._indices(answer) if isinstance(answer, Plan) else tuple(int(t) for t in answer)
        cost = self.cost(order)
        # Two names of one figure.
        measures = {self.name: cost} if self.name == "energy" else {"switching": cost, "expected": cost}
        return Judged(
            decisions=order,
            measures=measures,
            value=weighted(self.stages[0], measures),
            feasible=math.isfinite(cost)
            and self.keeps(order)
            and keeps_limits(measures, self.limits, self.sums_at_most),
        )

    def _indices(self, plan: Plan) -> tuple[int, ...]:
        index = {name: t for t, name in enumerate(self.tasks)}
        for name in plan.task_order:
            if name not in index:
                raise PlanError(f'task_order: "{name}" is not a task')
        if sorted(plan.task_order) != sorted(self.tasks):
            raise PlanError(f"task_order: {len(plan.task_order)} tasks, expected each of {self.n} once")
        return tuple(index[name] for name in plan.task_order)

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it; the task graph is repeated for its readers."""
        groups = () if self.graph is None else named_groups(self.graph.groups, self.tasks)
        return Plan(
            problem="ordering",
            instance=self.instance.hash(),
            groups=groups,
            task_order=tuple(self.tasks[t] for t in judged.decisions),
        )


def expectation(problem: OrderingProblem, order: Sequence[int]) -> float:
    """Expected cost of a period: each set of tasks that can run costs what its own steps cost, in the given order.

    In a closed order the period before is another draw, independent of this one; where nothing ran in it, the last
    task of an earlier one counts. A period in which nothing runs costs nothing.
    """
    known = problem.scenarios
    assert known is not None
    total, ends = 0.0, []
    for runs, chance in zip(known.runs, known.probability.tolist(), strict=True):
        active = [task for task in order if runs[task]]
        if not active:
            continue
        steps = math.fsum(float(problem.switch[a, b]) for a, b in itertools.pairwise(active))
        total += chance * steps
        ends.append((active[0], active[-1], chance))
    if not problem.closed:
        return total + math.fsum(chance * float(problem.first[first]) for first, _, chance in ends)
    some = math.fsum(chance for _, _, chance in ends)
    return total + math.fsum(
        chance * other / some * float(problem.close[last, first])
        for first, _, chance in ends
        for _, last, other in ends
        if chance > 0 and other > 0
    )


def ordering_problem(instance: Instance, groups: Groups | None = None) -> OrderingProblem:
    """The ordering problem of an instance.

    Parameters
    ----------
    groups
        Task graph that costs come from; None: `sharing.groups`. Where `ordering.switch` or `ordering.resources` is
        given there is none.

    Raises
    ------
    InstanceError
        Neither switching costs, tools nor a task graph; tools without `slots`.
    UnsupportedError
        The objective is no cost of an order, or conditions come together with a memory that keeps blocks.

    Examples
    --------
    >>> from dnnplan.instances import Instance, Ordering, Task
    >>> tasks = tuple(Task(name=name, model="net") for name in "abc")
    >>> ordering = Ordering(switch=((0, 1, 9), (9, 0, 2), (9, 9, 0)))
    >>> problem = ordering_problem(Instance(objective="switching", tasks=tasks, ordering=ordering))
    >>> problem.judge((0, 1, 2)).value
    3.0
    """
    tasks = tuple(task.name for task in instance.effective_tasks())
    ordering = instance.ordering or Ordering()
    stages, limits = stages_of(instance, MEASURES, "ordering")
    if len(stages) > 1 or len(stages[0]) > 1:
        raise UnsupportedError(
            f"objective '{instance.objective}': an order has one cost, {' or '.join(MEASURES)}"
        )
    kind: Kind = "energy" if stages[0][0][0] == "energy" else "time"
    for other in limits:
        if (other == "energy") != (kind == "energy"):
            raise UnsupportedError(
                f"limit '{other}' beside objective '{stages[0][0][0]}': an order has one cost at a time"
            )
    if not tasks:
        raise InstanceError(problems=[Problem("tasks", "missing, expected the tasks to order")])
    if not (ordering.switch or ordering.resources or instance.sharing is not None):
        expected = "missing, expected switching costs, tools or a task graph (sharing)"
        raise InstanceError(problems=[Problem("ordering.switch", expected)])
    found = None if not ordering.conditions else scenarios(ordering.conditions, tasks)
    problem = OrderingProblem(
        instance=instance,
        tasks=tasks,
        first=np.zeros(len(tasks)),
        switch=np.zeros((len(tasks), len(tasks))),
        close=np.zeros((len(tasks), len(tasks))),
        before=precedence_closure(instance, tasks),
        closed=ordering.closed,
        scenarios=found,
        tools=None,
        graph=None,
        unit_of_cost=ordering.unit,
        stages=stages,
        limits=limits,
    )
    if ordering.switch or ordering.resources:
        return _given(problem, ordering)
    if groups is None:
        groups = _given_groups(instance, tasks)
    return from_task_graph(problem, block_costs(instance, kind), groups)


def _given(problem: OrderingProblem, ordering: Ordering) -> OrderingProblem:
    """With costs, or tools, that the instance lists."""
    if ordering.switch:
        switch = np.array([[np.inf if c is None else c for c in row] for row in ordering.switch], dtype=float)
        np.fill_diagonal(switch, 0.0)
        problem = replace(problem, switch=switch, close=switch)
    if not ordering.resources:
        return problem
    if ordering.slots is None:
        raise InstanceError(
            problems=[Problem("ordering.slots", "missing, expected how many tools fit at once")]
        )
    needs = np.array(ordering.resources, dtype=bool)
    room = ordering.slots - needs.sum(axis=1)
    if (room < 0).any():
        task = int(np.argmin(room))
        message = f"{ordering.slots}, but task {problem.tasks[task]} needs {int(needs[task].sum())} tools"
        raise InstanceError(problems=[Problem("ordering.slots", message)])
    unit = np.ones(needs.shape[1])
    return _with_tools(
        problem,
        Tools(needs=needs, bytes=unit, load=unit, room=room.astype(float), warm=ordering.start == "warm"),
    )


def _with_tools(problem: OrderingProblem, tools: Tools) -> OrderingProblem:
    if problem.scenarios is not None:
        raise UnsupportedError(
            "ordering.conditions do not go together with a memory that keeps tools or blocks"
        )
    return replace(problem, tools=tools)


def _given_groups(instance: Instance, tasks: Sequence[str]) -> Groups:
    sharing = instance.sharing
    assert sharing is not None
    if not sharing.groups:
        raise InstanceError(
            problems=[Problem("sharing.groups", "missing, expected the task graph whose tasks are ordered")]
        )
    return indexed_groups(sharing.groups, tasks, len(sharing.groups))


def from_task_graph(problem: OrderingProblem, costs: BlockCosts, groups: Groups) -> OrderingProblem:
    """The same tasks with the costs of a task graph.

    The device holds one path of blocks. A task loads and computes the blocks below the deepest one that it shares with
    the path there. At the start of a period everything is computed anew unless the input is the same; at a cold start
    everything is loaded as well.
    """
    ordering = problem.instance.ordering or Ordering()
    graph = TaskGraph(costs=costs, groups=groups)
    compute, load = graph.below_shared(costs.compute), graph.below_shared(costs.load)
    all_compute, all_load = graph.whole(costs.compute), graph.whole(costs.load)
    same, warm = ordering.input == "same", ordering.start == "warm"
    starts = np.zeros(problem.n) if warm and same else all_compute
    restarts = compute if same else np.broadcast_to(all_compute, compute.shape)
    problem = replace(problem, graph=graph, unit_of_cost=costs.unit)
    if ordering.cache_bytes is None:
        return replace(
            problem,
            switch=compute + load,
            first=starts if warm else all_compute + all_load,
            close=restarts + load,
        )
    needs = np.zeros((problem.n, len(graph.nodes)), dtype=bool)
    for row in graph.node:
        needs[np.arange(problem.n), row] = True
    tools = Tools(
        needs=needs,
        bytes=graph.of_nodes(costs.bytes),
        load=graph.of_nodes(costs.load),
        room=np.full(problem.n, float(ordering.cache_bytes)),
        warm=warm,
    )
    return _with_tools(replace(problem, switch=compute, first=starts, close=np.array(restarts)), tools)


def precedence_closure(instance: Instance, tasks: Sequence[str]) -> NDArray[np.bool_]:
    """(n, n) whether the row's task comes before the column's, directly or through others."""
    index = {name: t for t, name in enumerate(tasks)}
    before = np.zeros((len(tasks), len(tasks)), dtype=bool)
    for precedence in instance.precedences:
        before[index[precedence.before], index[precedence.after]] = True
    for k in range(len(tasks)):
        before |= before[:, k : k + 1] & before[k : k + 1, :]
    return before
