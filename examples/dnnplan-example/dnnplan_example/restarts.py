"""A solver of mapping in one file: list schedules of random priorities, each improved by moving layers."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import MappingProblem, decisions_of
from dnnplan.solvers import Capabilities, Search

STEPS_PER_WORK = 2_000
LEAST_RESTARTS = 20


class Restarts:
    """Again and again random devices, and then single layers on other devices for as long as that helps."""

    summary = "example of a plug-in: random starts, improved by moving single layers"
    capabilities = Capabilities(objectives=("latency", "energy"))

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Until the limits; without any, `LEAST_RESTARTS` times."""
        rng = np.random.default_rng(search.settings.seed)
        limited = search.settings.time_limit is not None or search.settings.work_limit is not None
        restart = 0
        while not search.finished() and (limited or restart < LEAST_RESTARTS):
            place = [int(rng.choice(allowed)) for allowed in problem.allowed]
            self._propose(problem, search, place)
            for i in rng.permutation(problem.n).tolist():
                if search.finished():
                    return
                kept = place[i]
                place[i] = int(rng.choice(problem.allowed[i]))
                if place[i] != kept and not self._propose(problem, search, place):
                    place[i] = kept
            restart += 1

    def _propose(self, problem: MappingProblem, search: Search, place: list[int]) -> bool:
        """Layers in topological order on their devices; True if the plan is better than all before."""
        search.work += 1 / STEPS_PER_WORK
        order = [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
        return search.propose(decisions_of(problem, place, order))
