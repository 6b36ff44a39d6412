"""Periodic tasks that run for ever: the view of an instance, and cyclic plans (docs/cost-model.md, section 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.resolve import mapping_problem
from dnnplan.costs.routes import FloatArray
from dnnplan.instances import Instance, InstanceError, Plan, Problem, UnsupportedError

Deadlines = Literal["period", "given"]


@dataclass(frozen=True)
class Due:
    """When a job has to be done: `share` of the cycle plus `seconds`, counted from the begin of its cycle."""

    share: Fraction
    seconds: float

    def moment(self, cycle: float) -> float:
        """Seconds after the begin of a cycle of that length."""
        return float(self.share) * cycle + self.seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class PeriodicProblem:
    """The jobs of one hyperperiod, which is asked to repeat for ever.

    Parameters
    ----------
    mapping
        The view of the jobs at factor 1.
    hyperperiod
        Least common multiple of the periods at factor 1, seconds.
    release
        Of each job: the share of a cycle that has passed when it is released, in [0, 1).
    due
        Of each job; None: whenever.
    """

    mapping: MappingProblem
    hyperperiod: Fraction
    release: tuple[Fraction, ...]
    due: tuple[Due | None, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(dict.fromkeys(job.task for job in self.mapping.jobs))

    @cached_property
    def layers_of_job(self) -> tuple[tuple[int, ...], ...]:
        """Layers of each job."""
        rows: list[list[int]] = [[] for _ in self.mapping.jobs]
        for i, job in enumerate(self.mapping.job_of.tolist()):
            rows[job].append(i)
        return tuple(map(tuple, rows))

    @cached_property
    def after(self) -> FloatArray:
        """(n, m) seconds from the end of a layer on a device until all its outputs are on the host."""
        problem = self.mapping
        seconds = np.zeros((problem.n, problem.m))
        if problem.host:
            for k in np.flatnonzero(problem.output).tolist():
                i = int(problem.source[k])
                if i >= 0:
                    seconds[i] = np.maximum(seconds[i], problem.move[k, : problem.m, problem.m])
        return seconds

    @property
    def scales(self) -> bool:
        """Whether all deadlines are shares of the cycle, so that a plan can be stretched to any longer cycle."""
        return all(due is None or due.seconds == 0 for due in self.due)

    def cycle(self, factor: float) -> float:
        """Seconds after which everything repeats, if all periods are divided by `factor`."""
        return float(self.hyperperiod) / factor

    def factor(self, cycle: float) -> float:
        """What the periods are divided by if a cycle lasts that long."""
        return float(self.hyperperiod) / cycle


def periodic_problem(instance: Instance, *, deadlines: Deadlines = "period") -> PeriodicProblem:
    """The view of an instance whose tasks are all periodic.

    Parameters
    ----------
    deadlines
        Of tasks that state none: ``period`` (a job must be done when the next one is released) or ``given`` (none).

    Raises
    ------
    InstanceError
        A task has no period.
    UnsupportedError
        A setting of the platform has no steady state here.
    """
    tasks = instance.effective_tasks()
    wrong = [
        Problem(f"tasks.{i}.period", f"task {task.name} has none; expected one in every task")
        for i, task in enumerate(tasks)
        if task.period is None
    ]
    if wrong:
        raise InstanceError(problems=wrong)
    problem = mapping_problem(instance)
    _require_plain(problem)
    periods = {task.name: Fraction(str(task.period)) for task in tasks}
    denominator = math.lcm(*(p.denominator for p in periods.values()))
    hyperperiod = Fraction(math.lcm(*(int(p * denominator) for p in periods.values())), denominator)
    offset = {task.name: Fraction(str(task.release)) for task in tasks}
    given = {task.name: task.deadline for task in tasks}
    release: list[Fraction] = []
    due: list[Due | None] = []
    for job in problem.jobs:
        share = (offset[job.task] + job.number * periods[job.task]) / hyperperiod % 1
        release.append(share)
        deadline = given[job.task]
        if deadline is not None:
            due.append(Due(share, float(deadline)))
        elif deadlines == "period":
            due.append(Due(share + periods[job.task] / hyperperiod, 0.0))
        else:
            due.append(None)
    return PeriodicProblem(mapping=problem, hyperperiod=hyperperiod, release=tuple(release), due=tuple(due))


def _require_plain(problem: MappingProblem) -> None:
    """Refuse what the steady state is not defined for."""
    execution = problem.execution
    slots = problem.slots.tolist()
    reasons = (
        (execution.staging != "direct", "platform.execution.staging: 'host'"),
        (not execution.overlap, "platform.execution.overlap: false"),
        (execution.contention != "none", f"platform.execution.contention: '{execution.contention}'"),
        (execution.memory == "live", "platform.execution.memory: 'live'"),
        (
            problem.host and execution.weights != "resident",
            f"platform.execution.weights: '{execution.weights}'",
        ),
        (bool(problem.precedences), "precedences between tasks"),
        (any(1 < s < problem.n for s in slots), "a device with several slots"),
        (any(problem.limits), "limits"),
    )
    for wrong, what in reasons:
        if wrong:
            raise UnsupportedError(
                f"{what}: not available for rates; they are defined for direct staging with overlap, without "
                "contention, weights resident, one slot a device or any number (docs/cost-model.md, 8)"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class CyclicPlan:
    """One cycle that repeats for ever.

    Parameters
    ----------
    cycle
        Its length, seconds.
    place
        (n,) device of each layer.
    start
        (n,) seconds after the begin of the cycle in which its job is released; may be beyond the end of that cycle.
    """

    cycle: float
    place: tuple[int, ...]
    start: tuple[float, ...]


def as_plan(problem: PeriodicProblem, plan: CyclicPlan) -> Plan:
    """The plan for files, of problem ``rates``: placement, order of each device in a cycle, table of times."""
    view = problem.mapping
    order: dict[str, tuple[str, ...]] = {}
    for d, device in enumerate(view.devices):
        mine = sorted((plan.start[i] % plan.cycle, i) for i in range(view.n) if plan.place[i] == d)
        order[device] = tuple(view.layers[i] for _, i in mine)
    return Plan(
        instance=view.instance_hash,
        problem="rates",
        placement={view.layers[i]: view.devices[d] for i, d in enumerate(plan.place)},
        order=order,
        times={
            view.layers[i]: (start, start + float(view.duration[i, plan.place[i]]))
            for i, start in enumerate(plan.start)
        },
        extensions={"steady_state": {"cycle": plan.cycle, "factor": problem.factor(plan.cycle)}},
    )
