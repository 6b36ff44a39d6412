"""Local search over stretches of networks on one device, judged by the full evaluation: any objective, any setting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dnnplan.costs import Evaluation, MappingProblem, evaluate
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.instances import PlanError
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import decode_list
from dnnplan.solvers.search import Search

HOT = 2e-3
"""Relative loss that is accepted at first; it falls to 0 with the time."""
REWEIGH, ALL = 0.25, 0.3
"""Shares of moves that change the weight of a network, and of stretches that are taken whole."""


@dataclass(frozen=True, eq=False)
class State:
    """A placement, the keys that order layers (larger first, producers before readers), and its value."""

    place: IntArray
    keys: FloatArray
    value: float


class SegmentSearch:
    """Moves stretches of a network to another device, and networks forwards or backwards in the order.

    A stretch is a run of consecutive layers (topological order) of a job on one device, or a part of it. Plans are
    list schedules of the placement; each is judged by `evaluate`.
    """

    def __init__(self, problem: MappingProblem, search: Search, ranks: FloatArray) -> None:
        self.problem, self.search, self.ranks = problem, search, ranks
        self.rng = np.random.default_rng(search.settings.seed)
        position = np.empty(problem.n, dtype=np.int64)
        position[list(problem.topological)] = np.arange(problem.n)
        self.position = position
        self.rows = [
            np.array([i for i in problem.topological if problem.job_of[i] == job], dtype=np.int64)
            for job in range(len(problem.jobs))
        ]
        self.within = np.empty(problem.n, dtype=np.int64)
        for row in self.rows:
            self.within[row] = np.arange(len(row))
        self.arrays = problem.arrays._replace(room=np.full(problem.m, np.inf))

    def run(self, place: IntArray, seconds: float) -> None:
        """Search from a placement for some seconds, or until the search is finished."""
        began = self.search.seconds
        state = self.judge(place, self.ranks)
        while not self.search.finished():
            passed = (self.search.seconds - began) / max(seconds, 1e-9)
            if passed >= 1:
                break
            candidate = self.neighbour(state)
            accepted = candidate.value <= state.value * (1 + HOT * (1 - passed) ** 2)
            if accepted or not math.isfinite(state.value):
                state = candidate

    def judge(self, place: IntArray, keys: FloatArray) -> State:
        """The state of a placement and keys; its plan is proposed. Infinite value: no feasible plan."""
        found = self.plan(place, keys)
        if found is None or not is_feasible(found):
            return State(place, keys, math.inf)
        self.search.accept(found)
        return State(place, keys, objective_value(self.problem.stages[0], found.cost))

    def plan(self, place: IntArray, keys: FloatArray) -> Evaluation | None:
        """The list schedule of a placement, evaluated; None if it cannot run."""
        order = np.lexsort((self.position, -keys)).astype(np.int64)
        decisions = decode_list(self.problem, self.arrays, order, forced=place)
        if decisions is None:
            return None
        try:
            return evaluate(self.problem, decisions)
        except PlanError:
            return None

    def neighbour(self, state: State) -> State:
        """A state that differs by one move."""
        rng, problem = self.rng, self.problem
        if rng.random() < REWEIGH and len(self.rows) > 1 and not problem.precedences:
            keys = state.keys.copy()
            keys[self.rows[rng.integers(len(self.rows))]] *= np.exp(rng.normal(0.0, 0.3))
            return self.judge(state.place, keys)
        stretch = self.stretch(state.place, int(rng.integers(problem.n)))
        here = int(state.place[stretch[0]])
        devices = [d for d in problem.allowed[int(stretch[0])] if d != here]
        if not devices:
            return state
        device = devices[rng.integers(len(devices))]
        place = state.place.copy()
        place[stretch] = np.where(np.isfinite(problem.duration[stretch, device]), device, place[stretch])
        return self.judge(colocated(problem, place) if problem.colocate else place, state.keys)

    def stretch(self, place: IntArray, layer: int) -> IntArray:
        """The run of layers of its job on its device around a layer, or a part of it that begins at the layer."""
        row = self.rows[int(self.problem.job_of[layer])]
        at = int(self.within[layer])
        other = np.flatnonzero(place[row] != place[layer])
        after = other[other > at]
        before = other[other < at]
        first = int(before[-1]) + 1 if len(before) else 0
        last = int(after[0]) if len(after) else len(row)
        if self.rng.random() < ALL:
            return row[first:last]
        length = 1 << int(self.rng.integers(0, 1 + max(1, last - at).bit_length()))
        return row[at : min(last, at + length)]
