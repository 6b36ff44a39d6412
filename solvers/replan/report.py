"""From a finished re-plan to what is handed back."""

from __future__ import annotations

from dnnplan.costs import Evaluation
from dnnplan.costs.objectives import TOLERANCE, objective_name, objective_unit, objective_value
from dnnplan.instances import ObjectiveValue, Result, SolverError
from dnnplan.instances.result import GAP_TOLERANCE, Status, StopReason
from dnnplan.solvers.replan.result import Replan, Standing, Step, gap_of, standing
from dnnplan.solvers.replan.run import Run
from dnnplan.solvers.replan.warm import is_warm
from dnnplan.solvers.versions import versions


def report(run: Run) -> Replan:
    """What became of the old plan."""
    best = None if run.last is None else run.last[0]
    new = _standing(run, best)
    return Replan(
        repair=run.word,
        old=objective_value(run.view.stages[0], run.old.cost),
        repaired=_standing(run, run.repaired),
        new=new,
        weight=run.migration.weight,
        bound=run.search.bound,
        gap=gap_of(None if new is None else new.value, run.search.bound),
        moved=() if best is None else _moved(run, best),
        moves=() if best is None else run.migration.moves(best.decisions.pinned),
        phases=tuple(run.phases),
        planning=run.planning,
        deadline=run.deadline,
        in_time=run.planning <= run.deadline,
        compiled=is_warm(),
    )


def _standing(run: Run, evaluation: Evaluation | None) -> Standing | None:
    if evaluation is None:
        return None
    value = objective_value(run.view.stages[0], evaluation.cost)
    return standing(value, run.migration.moves(evaluation.decisions.pinned), run.migration.weight)


def _moved(run: Run, evaluation: Evaluation) -> tuple[Step, ...]:
    view, was = run.view, run.names.device
    return tuple(
        Step(layer=key, source=was.get(key), target=view.devices[d])
        for key, d in zip(view.layers, evaluation.decisions.place, strict=True)
        if was.get(key) != view.devices[d]
    )


def _stop_reason(run: Run) -> StopReason:
    if run.search.proved:
        return "proved"
    if run.search.interrupted:
        return "interrupted"
    return "exhausted" if run.exhausted else "time_limit"


def result_of(run: Run) -> Result:
    """The new plan as a result: objective, bound and gap of the plan itself, migration left out.

    Raises
    ------
    SolverError
        A bound contradicts a checked plan.
    """
    search, stages = run.search, run.view.stages
    best, plan, violations = run.last if run.last is not None else (None, None, ())
    value = None if best is None else objective_value(stages[0], best.cost)
    bound = search.plan_bound
    if bound is not None and value is not None and bound > value * (1 + TOLERANCE) + 1e-12:
        raise SolverError(
            f"replan claims the bound {bound!r} ({search.bound_name}), yet a plan costs {value!r}"
        )
    gap = gap_of(value, bound)
    status: Status = "infeasible" if search.infeasible is not None else "unknown"
    if best is not None:
        optimal = gap is not None and gap <= GAP_TOLERANCE and len(stages) == 1
        status = "error" if violations else "optimal" if optimal else "feasible"
    return Result(
        status=status,
        stop_reason=_stop_reason(run),
        objective=ObjectiveValue(name=objective_name(stages), value=value, unit=objective_unit(stages[0])),
        bound=bound,
        bound_name=search.bound_name,
        gap=gap,
        valid=plan is not None and not violations,
        runtime=run.planning,
        solver="replan",
        seed=search.settings.seed,
        message=search.infeasible or "",
        cost=None if best is None else best.cost,
        plan=plan,
        history=tuple(search.history),
        violations=violations,
        versions=versions(),
        measures={} if best is None else run.after.measures(best),
    )
