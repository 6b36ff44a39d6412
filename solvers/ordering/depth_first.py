"""Depth-first orders of a task graph: the best ones where there are no precedences."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.ordering.problem import OrderingProblem
from dnnplan.costs.sharing.graph import TaskGraph
from dnnplan.instances import Ordering, UnsupportedError
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch


class DepthFirst:
    """A depth-first order of the task graph: tasks of one group run one after the other, at every branch point.

    **Theorem.** Without precedences, conditions and a memory for more than one path, a depth-first order is optimal.

    *Proof.* Let c(v) >= 0 be what computing and loading node v costs. The device holds one path, and a step from a to b
    pays for the nodes of b that a does not have; since blocks are laminar (two tasks that have parted stay apart),
    these are just the nodes below the deepest shared one. So the cost of a period is the sum over nodes v of c(v) x
    (number of times that v is entered), counted apart for computing and loading:

    1. Lower bound. Every node has a task, and the path holds v while it runs. In an open cold order, v is not there
       at the start, so it is entered at least once: cost >= sum of all c(v). In a closed order v is entered at least
       once unless all tasks have it (then it is never left). With a fresh input, computing starts anew each period:
       every node is computed at least once. In an open warm order the path of the first task t is there: its loads (and
       with the same input what it computes) are saved, and no others can be, for a node off that path is not there
       at the start: cost >= the sum over all nodes - the saved part of path(t).
    2. A depth-first order attains it. The tasks of each node are consecutive, so v is entered when the first of them
       starts and is left after the last one, never to be entered again in the period. In a closed order the step
       from the last task to the first enters only nodes of the first task that are below the deepest one shared with
       the last. Such a v does not have the last task; its tasks are consecutive from the start on, so this is its
       one entry. All computing and loading is attained at once.
    3. In an open warm order start at the task t whose path saves most; a depth-first order can start at any task, by
       visiting its group first at every branch point. []

    Figures of nodes that tasks share are the largest of their tasks, so c(v) is one number, whoever enters it. O(D n
    log n).
    """

    summary = "depth-first order of the task graph, optimal without precedences"
    capabilities = Capabilities(
        problem="ordering", exact=False, bounds=True, objectives=("switching", "expected", "energy")
    )

    def run(self, problem: OrderingProblem, search: TaskSearch[OrderingProblem]) -> None:
        """One order; with its proof where the theorem applies.

        Raises
        ------
        UnsupportedError
            Costs do not come from a task graph.
        """
        if problem.graph is None:
            raise UnsupportedError("depth_first: switching costs are given, there is no task graph to walk")
        order = depth_first_order(problem)
        search.propose(order if problem.is_free else repaired(problem, order))
        if is_optimal(problem) and search.value is not None:
            search.improve_bound(problem.cost(order) * problem.weight, "depth-first order")


def is_optimal(problem: OrderingProblem) -> bool:
    """Whether the theorem applies."""
    return problem.graph is not None and problem.is_plain and problem.is_free


def depth_first_order(problem: OrderingProblem) -> list[int]:
    """Tasks depth first: where the start is free of charge, from the task whose path saves most."""
    graph = problem.graph
    assert graph is not None
    keys = np.asarray(graph.node).T.tolist()
    order = sorted(range(problem.n), key=lambda t: keys[t])
    ordering = problem.instance.ordering or Ordering()
    if problem.closed or ordering.start == "cold":
        return order
    return starting_with(graph, order, int(np.argmin(problem.first - _whole(graph, problem))))


def _whole(graph: TaskGraph, problem: OrderingProblem) -> np.ndarray:
    """(n,) what each task would cost from nothing."""
    return graph.whole(graph.costs.compute) + graph.whole(graph.costs.load)


def starting_with(graph: TaskGraph, order: list[int], task: int) -> list[int]:
    """A depth-first order that begins with a task: its group is visited first at every branch point."""
    node = np.asarray(graph.node)
    shared = (node == node[:, task : task + 1]).sum(axis=0)
    place = {t: number for number, t in enumerate(order)}
    return sorted(order, key=lambda t: (-int(shared[t]), place[t]))


def repaired(problem: OrderingProblem, order: list[int]) -> list[int]:
    """The order in which, again and again, the first task runs whose predecessors have run."""
    left, done, found = list(order), 0, []
    while left:
        task = next(t for t in left if not problem.predecessors[t] & ~done)
        left.remove(task)
        found.append(task)
        done |= 1 << task
    return found
