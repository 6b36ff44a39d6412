"""Plans under draws of costs: each draw is planned anew, and every plan is judged under every draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from dnnplan.costs import Decisions, MappingProblem, decode, evaluate, mapping_problem
from dnnplan.costs.filled import Filled
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance, Plan
from dnnplan.solvers.facade import solve

MOST_PLANS = 50
"""Plans that are judged under all draws: those found most often."""


class Trial:
    """Plans and their values: under each draw as it comes, and under the earlier ones at the end."""

    def __init__(self, filled: Filled, plan: Plan, seed: int) -> None:
        self.filled, self.seed = filled, seed
        self.median = mapping_problem(filled.at(None))
        self.plans: list[Plan] = []
        self.decisions: list[Decisions] = []
        self.found: list[int] = []
        self.known: dict[bytes, int] = {}
        self.values: dict[tuple[int, int], float] = {}
        self.bounds: list[float | None] = []
        self._position(plan)

    def draw(self, number: int, solver: str, settings: Mapping[str, Any]) -> None:
        """Judge the plans that are known under one more draw, and plan anew from the best of them."""
        instance = self.filled.drawn(self.seed, number)
        problem = mapping_problem(instance)
        for p in range(len(self.plans)):
            self._judge(p, number, problem)
        best = min(range(len(self.plans)), key=lambda p: (self.values[p, number], p))
        result = solve(instance, solver, warm_start=retimed(self.plans[best], instance), **settings)
        # What a limit rules out for good costs nobody anything.
        self.bounds.append(result.bound if result.status != "infeasible" else None)
        if result.plan is not None:
            p = self._position(result.plan)
            self.found[p] += 1
            self._judge(p, number, problem)

    def judged(self) -> tuple[list[int], FloatArray, FloatArray]:
        """The plans found most often (p,), the first included; their values (p, draws); the least of each draw."""
        count = len(self.bounds)
        chosen = sorted(range(1, len(self.plans)), key=lambda p: (-self.found[p], p))[: MOST_PLANS - 1]
        judged = sorted([0, *chosen])
        for number in range(count):
            missing = [p for p in judged if (p, number) not in self.values]
            problem = mapping_problem(self.filled.drawn(self.seed, number)) if missing else None
            for p in missing:
                assert problem is not None
                self._judge(p, number, problem)
        least = np.full(count, np.inf)
        for (_, number), value in self.values.items():
            least[number] = min(least[number], value)
        values = np.array([[self.values[p, number] for number in range(count)] for p in judged])
        return judged, values.reshape(len(judged), count), least

    def _position(self, plan: Plan) -> int:
        """Index of a plan; what is the same but for its times is one."""
        bare = replace(plan, instance="", times={})
        key = msgspec.json.encode(bare, order="sorted")
        if key not in self.known:
            self.known[key] = len(self.plans)
            self.plans.append(bare)
            self.decisions.append(decode(self.median, bare))
            self.found.append(0)
        return self.known[key]

    def _judge(self, p: int, number: int, problem: MappingProblem) -> None:
        if (p, number) in self.values:
            return
        evaluation = evaluate(problem, self.decisions[p])
        value = objective_value(problem.stages[0], evaluation.cost)
        # Nothing else of what makes a plan feasible depends on how long layers take.
        hangs_on_time = problem.limits or problem.execution.memory == "live" or not math.isfinite(value)
        self.values[p, number] = math.inf if hangs_on_time and not is_feasible(evaluation) else value


def retimed(plan: Plan, instance: Instance) -> Plan:
    """A plan as one of another instance, without times."""
    return replace(plan, instance=instance.hash(), times={})
