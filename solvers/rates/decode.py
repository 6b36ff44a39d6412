"""From priorities to cyclic plans: list schedules on a circle, and the shortest cycle at which one holds."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.arrays import Arrays
from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.periodic import CyclicPlan, PeriodicProblem
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.modulo_schedule import modulo_schedule

PRECISION = 1e-3
"""Relative length of a cycle to which a list schedule is squeezed before its order is tightened."""


class Decoder:
    """List schedules of one periodic problem; counts them."""

    def __init__(self, problem: PeriodicProblem, *, fast: bool) -> None:
        view = problem.mapping
        self.problem, self.count, self.fast = problem, 0, fast
        self.kernel = compiled(modulo_schedule) if fast or is_ready(modulo_schedule) else modulo_schedule
        jobs = view.job_of
        self.release = np.array([float(share) for share in problem.release])[jobs]
        self.tensor_release = np.array(
            [float(problem.release[job]) for job in tensor_jobs(problem).tolist()], dtype=float
        )
        share = [math.inf if due is None else float(due.share) for due in problem.due]
        seconds = [0.0 if due is None else due.seconds for due in problem.due]
        self.due_share, self.due_seconds = np.array(share)[jobs], np.array(seconds)[jobs]
        self.after = np.ascontiguousarray(problem.after)
        # Weights are checked by the judge: jobs of one model share them, which the kernel does not know.
        self.arrays = view.arrays._replace(weight=np.zeros(view.n), room=np.full(view.m, np.inf))
        self.rank = np.empty(view.n, dtype=np.int64)
        self.rank[list(view.topological)] = np.arange(view.n)
        self.tail = _tails(problem)

    def due(self, cycle: float) -> FloatArray:
        """(n,) deadline of each layer's job, seconds."""
        moments: FloatArray = self.due_share * cycle + self.due_seconds
        return moments

    def at(self, cycle: float) -> Arrays:
        """The arrays with the releases under a cycle."""
        return self.arrays._replace(release=self.release * cycle, ready=self.tensor_release * cycle)

    def urgency(self, cycle: float) -> IntArray:
        """Layers by their latest start: deadline less the mean time to the end of the job. Topological."""
        due = self.due(cycle)
        last = np.where(np.isfinite(due), due, (self.release + 1e6) * cycle)
        order: IntArray = np.lexsort((self.rank, last - self.tail)).astype(np.int64)
        return order

    def by_priority(self, priority: FloatArray) -> IntArray:
        """Layers of jobs by a priority of each layer (large first) that does not grow along a path."""
        order: IntArray = np.lexsort((self.rank, self.release, -priority)).astype(np.int64)
        return order

    def schedule(self, order: IntArray, forced: IntArray, cycle: float) -> tuple[CyclicPlan | None, float]:
        """The plan, and by how much its jobs are late in all, seconds; None, infinite where there is no room."""
        self.count += 1
        place, start, end = self.kernel(self.at(cycle), order, forced, self.after, float(cycle))
        if (place < 0).any():
            return None, math.inf
        done = end + self.after[np.arange(len(place)), place]
        late = np.maximum(done - self.due(cycle), 0.0)
        plan = CyclicPlan(cycle=cycle, place=tuple(place.tolist()), start=tuple(start.tolist()))
        return plan, float(late.sum())

    def shortest(self, order: IntArray, forced: IntArray, low: float, high: float) -> CyclicPlan | None:
        """A plan in time with a short cycle between `low` and `high`, by bisection; None if `high` is too short.

        List schedules have anomalies: a shorter cycle may work where a longer one does not. What is found holds; that
        nothing shorter does is not said.
        """
        plan, late = self.schedule(order, forced, high)
        if plan is None or late > 0:
            return None
        while high - low > PRECISION * high:
            middle = (low + high) / 2
            trial, late = self.schedule(order, forced, middle)
            if trial is None or late > 0:
                low = middle
            else:
                plan, high = trial, middle
        return plan


def tensor_jobs(problem: PeriodicProblem) -> IntArray:
    """(K,) job of each tensor."""
    view = problem.mapping
    job_of_tensor = np.zeros(len(view.tensors), dtype=np.int64)
    for k, (source, readers) in enumerate(zip(view.source.tolist(), view.readers, strict=True)):
        layer = source if source >= 0 else (readers[0] if readers else -1)
        job_of_tensor[k] = view.job_of[layer] if layer >= 0 else 0
    return job_of_tensor


def _tails(problem: PeriodicProblem) -> FloatArray:
    """(n,) mean seconds from the start of a layer to the end of its job, transfers free."""
    view = problem.mapping
    finite = np.isfinite(view.duration)
    mean = np.where(finite, view.duration, 0.0).sum(axis=1) / np.maximum(finite.sum(axis=1), 1)
    tail: FloatArray = np.minimum(mean, 4 * view.duration.min(axis=1))
    own = tail.copy()
    for i in reversed(view.topological):
        for k in view.outputs[i]:
            for j in view.readers[k]:
                tail[i] = max(tail[i], own[i] + tail[j])
    return tail
