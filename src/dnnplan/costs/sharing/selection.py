"""The view of choosing networks: groups may overlap, and each task takes its best one (docs/cost-model.md, 9)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.judged import Judged, Terms, keeps_limits, stages_of, weighted
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance, InstanceError, Plan, PlanError, Problem, UnsupportedError


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectionProblem:
    """Which of m candidate networks to have, so that each of n tasks finds a good one.

    Standley et al. 2020, section 3 (networks under a budget, losses), and Fifty et al. 2021, section 3 (at most k
    groups, affinities).

    Parameters
    ----------
    score
        (m, n) what a task gets from a candidate, weighted, to be minimised: its loss, or minus its affinity; infinite
        where the candidate does not serve it.
    cost
        (m,) cost of each candidate, against `limits.budget`.
    most
        Largest number of candidates; m where there is no limit.
    sense
        ``max`` for affinity: then `value` of a judged answer is minus the affinity.
    """

    instance: Instance
    tasks: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    score: FloatArray
    cost: FloatArray
    budget: float
    most: int
    stages: tuple[Terms, ...]
    limits: dict[str, float]
    sense: str
    sums_at_most: tuple[tuple[Terms, float], ...] = ()

    @property
    def n(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def m(self) -> int:
        """Number of candidates."""
        return len(self.members)

    @property
    def name(self) -> str:
        """What is optimised: ``loss`` or ``affinity``."""
        return self.stages[0][0][0]

    def unit(self, name: str) -> str | None:
        """Unit of a measure: none."""
        return None

    def judge(self, answer: Plan | Sequence[int]) -> Judged:
        """Measure a choice of candidates and say whether it keeps the limits.

        Raises
        ------
        PlanError
            A plan that names candidates that are not there.
        """
        chosen = sorted(set(answer.candidates if isinstance(answer, Plan) else answer))
        for candidate in chosen:
            if not 0 <= candidate < self.m:
                raise PlanError(f"candidates: {candidate}, expected positions from 0 to {self.m - 1}")
        best = self.score[chosen].min(axis=0) if chosen else np.full(self.n, math.inf)
        value = math.fsum(best.tolist())
        spent = math.fsum(self.cost[chosen].tolist())
        measures = {self.name: value if self.sense == "min" else -value, "budget": spent}
        limits = {name: limit for name, limit in self.limits.items() if name != "groups"}
        fits = keeps_limits(measures, limits) and len(chosen) <= self.most
        (terms,) = self.stages
        return Judged(
            decisions=tuple(chosen),
            measures=measures,
            value=weighted(terms, {self.name: value}),
            feasible=fits and math.isfinite(value),
        )

    def plan(self, judged: Judged) -> Plan:
        """The plan as a file has it."""
        groups = tuple(tuple(self.tasks[t] for t in self.members[c]) for c in judged.decisions)
        return Plan(
            problem="grouping",
            instance=self.instance.hash(),
            candidates=judged.decisions,
            groups=(groups,),
        )


def selection_problem(instance: Instance) -> SelectionProblem:
    """The problem of choosing among the candidates of an instance.

    Raises
    ------
    InstanceError
        There are no candidates.
    UnsupportedError
        The objective is not one of ``loss`` and ``affinity``, or the loss has a limit beside ``affinity``.

    Examples
    --------
    >>> from dnnplan.instances import Instance, Limits, Sharing, Task
    >>> from dnnplan.instances.sections import Candidate
    >>> tasks = tuple(Task(name=name, model="net") for name in "ab")
    >>> both = Candidate(tasks=("a", "b"), cost=1, loss={"a": 0.3, "b": 0.2})
    >>> alone = Candidate(tasks=("a",), cost=1, loss={"a": 0.1})
    >>> sharing = Sharing(candidates=(both, alone))
    >>> problem = selection_problem(Instance(objective="loss", tasks=tasks, sharing=sharing))
    >>> round(problem.judge((0, 1)).value, 9), problem.judge((0, 1)).measures["budget"]
    (0.3, 2.0)
    """
    sharing = instance.sharing
    if sharing is None or not sharing.candidates:
        raise InstanceError(
            problems=[Problem("sharing.candidates", "missing, expected networks to choose from")]
        )
    stages, limits = stages_of(instance, ("loss", "affinity"), "choosing networks", ("budget", "groups"))
    if len(stages) > 1 or len(stages[0]) > 1:
        raise UnsupportedError(
            f"objective '{instance.objective}': networks are chosen for loss or affinity alone"
        )
    name = stages[0][0][0]
    if name == "affinity" and "loss" in limits:
        raise UnsupportedError(
            "limit 'loss' beside objective 'affinity': networks are chosen for one of the two at a time"
        )
    tasks = instance.effective_tasks()
    index = {task.name: t for t, task in enumerate(tasks)}
    members, score = [], np.full((len(sharing.candidates), len(tasks)), np.inf)
    for c, candidate in enumerate(sharing.candidates):
        members.append(tuple(sorted(index[task] for task in candidate.tasks)))
        figures = candidate.loss if name == "loss" else candidate.affinity
        for task, figure in figures.items():
            weight = tasks[index[task]].weight
            score[c, index[task]] = weight * figure if name == "loss" else -weight * figure
    return SelectionProblem(
        instance=instance,
        tasks=tuple(index),
        members=tuple(members),
        score=score,
        cost=np.array([candidate.cost for candidate in sharing.candidates], dtype=float),
        budget=limits.get("budget", math.inf),
        most=int(limits.get("groups", len(members))),
        stages=stages,
        limits=limits,
        sense="min" if name == "loss" else "max",
    )
