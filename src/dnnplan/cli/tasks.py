"""`dnnplan group` and `dnnplan order`: which tasks share layers, and in which order they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli import solve as solving
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.plans import result_tree
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Result
    from dnnplan.solvers.grouping.front import FrontPoint

PICTURES = (".png", ".svg", ".pdf")
Picture = Annotated[Path | None, typer.Option("--picture", help="Picture of the answer: .png, .svg, .pdf.")]


def group(
    *,
    files: opt.Files,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    solver: Annotated[
        str | None,
        typer.Option(help="See `dnnplan solvers --problem grouping`; default: auto. Not with --front."),
    ] = None,
    objective: opt.Objective = None,
    limit: opt.LimitTexts = None,
    front: Annotated[
        bool,
        typer.Option(
            "--front",
            help="The whole trade-off curve within the limits of the instance, and the point where its curves cross; "
            "--seed and --workers have no effect on it.",
        ),
    ] = False,
    by: Annotated[
        Literal["size", "execution_cost"], typer.Option(help="What --front trades variety for.")
    ] = "size",
    time_limit: opt.TimeLimit = 60.0,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    output: opt.Output = None,
    picture: Picture = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Decide which tasks share layers: a task graph, or a choice of networks.

    Without an objective and a limit the whole curve is searched (--front), and its crossing point is chosen, as by the
    authors of Antler. Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    opt.require_free(picture, force=force, suffixes=PICTURES)
    instance = _load(files, format, select, platform, option, set_)
    if solver is not None:
        opt.parse_solvers(solver, "grouping")
    undecided = objective is None and not limit and instance.objective in ("latency", "variety")
    if front or (undecided and not _has_candidates(instance) and not _has_limits(instance)):
        if objective is not None or limit:
            raise InputError("--front searches all limits; it does not go with --objective and --limit")
        if solver is not None:
            raise InputError(
                f"--solver {solver}: the whole curve (--front) is searched in its own way; "
                "name an objective or a limit to use a solver"
            )
        _front(instance, by, time_limit, output, picture, force=force, json=json)
        return
    settings = _settings(solver or "auto", "grouping", limit, time_limit, workers, seed)
    result = solving.search(instance, objective, settings)
    _show(instance, result, output, picture, force=force, json=json)


def order(
    *,
    files: opt.Files,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    conditions: opt.Conditions = None,
    groups: Annotated[
        Path | None,
        typer.Option("--groups", metavar="PLAN", help="Take the task graph of a plan of `dnnplan group`."),
    ] = None,
    solver: Annotated[str, typer.Option(help="See `dnnplan solvers --problem ordering`.")] = "auto",
    objective: opt.Objective = None,
    time_limit: opt.TimeLimit = 60.0,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    output: opt.Output = None,
    picture: Picture = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Decide in which order tasks run on one device, so that little is loaded and computed twice.

    Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    opt.require_free(picture, force=force, suffixes=PICTURES)
    instance = opt.with_conditions(_load(files, format, select, platform, option, set_), conditions)
    if groups is not None:
        instance = _with_groups(instance, groups)
    settings = _settings(solver, "ordering", None, time_limit, workers, seed)
    result = solving.search(instance, objective, settings)
    _show(instance, result, output, picture, force=force, json=json)


def _load(
    files: list[str],
    format: str | None,
    select: str | None,
    platform: str | None,
    option: list[str] | None,
    changes: list[str] | None,
) -> Instance:
    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed

    reading: dict[str, Any] = {"format": format, "select": select, **opt.parse_options(option)}
    return changed(load(files, platform=platform, **reading), changes or ())


def _settings(
    solver: str,
    problem: str,
    limit: list[str] | None,
    time_limit: float,
    workers: int | None,
    seed: int,
) -> dict[str, Any]:
    opt.parse_solvers(solver, problem)
    return {
        "solver": solver,
        "problem": problem,
        "limits": opt.parse_limits(limit),
        "time_limit": time_limit,
        "workers": workers or opt.processors(),
        "seed": seed,
    }


def _has_candidates(instance: Instance) -> bool:
    return (
        instance.sharing is not None and bool(instance.sharing.candidates) and not instance.sharing.affinity
    )


def _has_limits(instance: Instance) -> bool:
    """Whether anything is limited, be it something that grouping does not keep and refuses."""
    limits = instance.limits
    return any(getattr(limits, name) is not None for name in limits.__struct_fields__ if name != "extensions")


def _with_groups(instance: Instance, path: Path) -> Instance:
    """The instance with the task graph of a plan."""
    from msgspec.structs import replace

    from dnnplan.cli.plans import read_plan_or_result

    plan, _ = read_plan_or_result(path)
    if not plan.groups or plan.candidates:
        raise InputError(f"{path}: has no task graph, expected a plan of `dnnplan group`")
    if instance.sharing is None:
        raise InputError("--groups: the instance has no section sharing, whose blocks the groups share")
    changed = replace(instance, sharing=replace(instance.sharing, groups=plan.groups))
    from dnnplan.instances.validation import ensure_valid

    ensure_valid(changed, source=str(path))
    return changed


def _show(
    instance: Instance,
    result: Result,
    output: Path | None,
    picture: Path | None,
    *,
    force: bool,
    json: bool,
) -> None:
    if result.plan is not None and output is not None:
        from dnnplan.instances.files import write_plan

        write_plan(result.plan, output, overwrite=force)
    if result.plan is not None and picture is not None:
        from dnnplan.reports.task_plan_figure import write_task_plan

        write_task_plan(instance, result.plan, picture, overwrite=force)
        note(f"picture: {picture}")
    if json:
        print_json(result_tree(result))
    else:
        solving.print_result(instance, result)
    solving.leave(result)


def _front(
    instance: Instance,
    by: str,
    time_limit: float,
    output: Path | None,
    picture: Path | None,
    *,
    force: bool,
    json: bool,
) -> None:
    """The trade-off curve as a table, JSON or picture; the plan that is written is the one at the crossing."""
    from msgspec.structs import replace

    from dnnplan.costs.sharing.grouping import grouping_problem
    from dnnplan.instances.validation import ensure_valid
    from dnnplan.solvers.grouping.front import crossing_point, pareto_front_of

    given, instance = instance, replace(instance, objective="variety")
    ensure_valid(instance)
    problem = grouping_problem(instance)
    points = pareto_front_of(problem, first=by, second="variety", time_limit=time_limit)
    if not points:
        _leave_without_front(problem.limits, json=json)
    chosen = crossing_point(points, first=by, second="variety")
    if output is not None:
        from dnnplan.instances.files import write_plan

        plan = problem.plan(problem.judge(chosen.groups))
        write_plan(replace(plan, instance=given.hash()), output, overwrite=force)
    if picture is not None:
        from dnnplan.reports.trade_off_figure import write_trade_off

        write_trade_off(points, chosen, picture, by=by, unit=problem.unit(by), overwrite=force)
        note(f"picture: {picture}")
    if json:
        from dnnplan.costs.sharing.graph import named_groups

        print_json(
            {
                "front": [
                    {
                        "measures": point.measures,
                        "groups": named_groups(point.groups, problem.tasks),
                        "proven": point.proven,
                    }
                    for point in points
                ],
                "chosen": points.index(chosen),
            }
        )
        return
    _print_front(instance, points, chosen, by, problem.unit(by))


def _leave_without_front(limits: dict[str, float], *, json: bool) -> NoReturn:
    """End where no point of a curve was found."""
    if json:
        print_json({"front": [], "chosen": None})
    kept = " and ".join(f"limits.{name}: {limit:g}" for name, limit in limits.items())
    hint = f" that keeps {kept}; with --objective the nearest limit is searched" if kept else " in time"
    note(f"no task graph found{hint}")
    raise typer.Exit(exits.NONE_FOUND)


def _print_front(
    instance: Instance, points: list[FrontPoint], chosen: FrontPoint, by: str, unit: str | None
) -> None:
    from dnnplan.costs.sharing.grouping import grouping_problem
    from dnnplan.reports.tables import new_table
    from dnnplan.reports.task_plan_text import task_plan_text
    from dnnplan.reports.units import number, readable

    table = new_table(f">{by}", ">variety", "groups at each branch point", "proven", "")
    for point in points:
        table.add_row(
            readable(point.measures[by], unit),
            number(point.measures["variety"]),
            " ".join(str(len(level)) for level in point.groups),
            "yes" if point.proven else "no",
            "<- chosen: the curves cross here" if point is chosen else "",
        )
    out = console()
    out.print(table)
    problem = grouping_problem(instance)
    out.print()
    out.print(task_plan_text(instance, problem.plan(problem.judge(chosen.groups))), soft_wrap=True)
