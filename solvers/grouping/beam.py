"""Beam search over joins of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.sharing.grouping import MEASURES, GroupingProblem
from dnnplan.formulations.grouping.criteria import criteria_of
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.grouping.baselines import shared_up_to
from dnnplan.solvers.grouping.pressure import ranges_of
from dnnplan.solvers.grouping.simple import propose_simple_graphs
from dnnplan.solvers.grouping.slots import groups_of, state_of, tables_of
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch

if TYPE_CHECKING:
    from dnnplan.solvers.kernels.grouping_state import Tables

KERNEL = "dnnplan.solvers.kernels.grouping_joins:join_energies"
COMPILER_SECONDS, LOADING_SECONDS = 15.0, 1.5
"""Time left from which waiting is worth it for the compiler, and for code compiled before."""
PRESSURES = (1.0, 3.0, 30.0)
"""Penalties of what exceeds a limit, by the range of the objective over that of the limited sum; tried in turn."""


@dataclass(frozen=True, kw_only=True)
class BeamParameters:
    """Width of the beam, and steps without a better task graph after which it ends."""

    width: int = 6
    patience: int = 8


class Beam:
    """From each task alone, join two groups at a time; the best few task graphs of each step go on.

    A join unites two groups of one branch point and the groups before it that they lie in. Task graphs are compared
    by the objective and a penalty for what exceeds limits. Related to the beam search over clusterings of each layer
    of Vandenhende et al. (BMVC 2020, section 3.3), who go from layer to layer. O(W L n^2) joins a step for a width W,
    of O(L (n + g^2)) each.
    """

    summary = "beam search over joins of groups, from each task alone"
    capabilities = Capabilities(problem="grouping", objectives=MEASURES)

    def __init__(self, parameters: BeamParameters | None = None) -> None:
        self.parameters = parameters or BeamParameters()

    def run(self, problem: GroupingProblem, search: TaskSearch[GroupingProblem]) -> None:
        """Simple task graphs, then one beam for each pressure."""
        propose_simple_graphs(problem, search)
        if problem.n < 2 or problem.levels == 0 or search.finished():
            return
        if not worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
            return
        criteria = criteria_of(problem)
        tables, ranges = tables_of(problem, criteria), ranges_of(problem, criteria)
        for pressure in PRESSURES if len(ranges) > 1 else PRESSURES[:1]:
            _Run(problem, search, self.parameters).join(tables, pressure * ranges[0] / ranges)


class _Run:
    """One beam."""

    def __init__(
        self, problem: GroupingProblem, search: TaskSearch[GroupingProblem], parameters: BeamParameters
    ) -> None:
        self.problem, self.search, self.parameters = problem, search, parameters

    def join(self, tables: Tables, penalty: FloatArray) -> None:
        """Join groups until nothing better was found for some steps, or all tasks are together."""
        states: list[Groups] = [shared_up_to(self.problem, 0)]
        best, since = np.inf, 0
        while states and since < self.parameters.patience and not self.search.finished():
            children = self._children(states, tables, penalty)
            states = []
            for value, home in children:
                states.append(groups_of(home))
                self.search.propose(states[-1])
                if value < best:
                    best, since = value, -1
            since += 1

    def _children(
        self, states: list[Groups], tables: Tables, penalty: FloatArray
    ) -> list[tuple[float, IntArray]]:
        """The best different task graphs that a join makes of some."""
        from dnnplan.solvers.kernels.grouping_joins import join_energies
        from dnnplan.solvers.kernels.grouping_state import parting, regraft

        found: list[tuple[float, int, IntArray]] = []
        starts = [state_of(groups, self.problem.n) for groups in states]
        for number, start in enumerate(starts):
            if self.search.finished():
                return []
            spare = state_of(states[number], self.problem.n)
            values, joins = join_energies(tables, start, spare, penalty)
            keep = np.argsort(values, kind="stable")[: 4 * self.parameters.width]
            found += [(float(values[x]), number, joins[x]) for x in keep]
        found.sort(key=lambda child: child[0])
        chosen: list[tuple[float, IntArray]] = []
        seen: set[Groups] = set()
        for value, number, (t, u, last) in found:
            state = state_of(states[number], self.problem.n)
            state.members[:] = starts[number].members
            regraft(tables, state, t, u, parting(state, t, u), last)
            groups = groups_of(state.home)
            if groups not in seen:
                seen.add(groups)
                chosen.append((value, state.home))
            if len(chosen) == self.parameters.width:
                break
        return chosen
