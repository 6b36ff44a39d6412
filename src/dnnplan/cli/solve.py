"""`dnnplan solve`: plan one instance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import costs as costing
from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import chart_width, console, error_console, note, print_json
from dnnplan.cli.front import pair_of, solve_front
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.live import progress_line
from dnnplan.cli.plans import carrying, read_plan_or_result, result_tree

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Plan, Result


def solve(
    *,
    files: opt.Files,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    problem: opt.Problem_ = None,
    conditions: opt.Conditions = None,
    solver: Annotated[str, typer.Option(help="See `dnnplan solvers`.")] = "auto",
    objective: opt.Objective = None,
    limit: opt.LimitTexts = None,
    gap: opt.Gap = 1e-4,
    time_limit: opt.TimeLimit = 60.0,
    work_limit: opt.WorkLimit = None,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    warm_start: Annotated[Path | None, typer.Option(metavar="PLAN", help="A plan to start from.")] = None,
    pareto: Annotated[
        str | None, typer.Option(metavar="A,B", help="Front of two objectives instead of one plan.")
    ] = None,
    points: Annotated[int, typer.Option(min=2, help="Searches for --pareto.")] = 8,
    costs: costing.Folder = None,
    quantile: costing.Quantile = None,
    stability: costing.Draws = 0,
    filled: costing.WriteTo = None,
    output: opt.Output = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Plan an instance, or several networks together, and say how good the plan is.

    What is decided (where layers run, which tasks share layers, in which order tasks run) follows from the objective.

    Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    import msgspec

    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed

    opt.require_problem(problem)
    opt.parse_solvers(solver, problem)
    pair = pair_of(pareto, objective, output)
    request = costing.requested(costs, quantile, stability, filled, force=force, front=pair is not None)
    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    settings: dict[str, Any] = {
        "solver": solver,
        "problem": problem,
        "limits": opt.parse_limits(limit),
        "gap": gap,
        "time_limit": time_limit,
        "work_limit": work_limit,
        "workers": workers or opt.processors(),
        "seed": seed,
        "warm_start": _warm_start(warm_start),
    }
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    instance = load(list(files), platform=platform, **reading)
    instance = opt.with_conditions(changed(instance, set_ or ()), conditions)
    known = None if request is None else costing.fill(instance, request, objective, problem)
    instance = instance if known is None else known.instance
    if pair is not None:
        extra = {} if known is None or request is None else {"costs": costing.costs_tree(known, request)}
        front = solve_front(instance, pair, points, settings, extra=extra, json=json)
        if not front.points:
            leave(front.failed[0])
        return
    changes = [*(set_ or ()), *([] if request is None else [request.words])]
    result = _mentioning(search(instance, objective, settings), changes)
    if result.plan is not None:
        result = msgspec.structs.replace(result, plan=carrying(result.plan, instance, files))
    if result.plan is not None and output is not None:
        from dnnplan.instances.files import write_plan

        write_plan(result.plan, output, overwrite=force)
    report = None
    if known is not None and request is not None:
        report = costing.report_on(known, result, request, objective, settings)
    if json:
        print_json(result_tree(result) | ({} if report is None else report.tree))
    else:
        print_result(instance, result)
        if report is not None:
            report.print()
        again = [("--platform", platform), *_repeated(option, set_)]
        _next_steps(*((files, again) if request is None else ([str(filled or "FILLED")], [])), output)
    leave(result)


def _warm_start(path: Path | None) -> Plan | None:
    if path is None:
        return None
    return read_plan_or_result(path)[0]


def search(instance: Instance, objective: str | None, settings: dict[str, Any]) -> Result:
    """Solve with a live line, and with Ctrl-C for the best plan so far."""
    from dnnplan.costs.objectives import objective_unit
    from dnnplan.instances.objective import parse_objective
    from dnnplan.solvers import solve as run

    unit = objective_unit(parse_objective(objective or instance.objective)[0])
    title = f"{instance.name or 'instance'} with {settings['solver']}"
    with stop_on_interrupt() as stop, progress_line(title, unit) as on_progress:
        return run(instance, objective=objective, stop=stop, on_progress=on_progress, **settings)


def print_result(instance: Instance, result: Result) -> None:
    """Summary and Gantt chart of a result."""
    from dnnplan.reports.summary import summary_lines

    out = console()
    out.print("\n".join(summary_lines(result)), soft_wrap=True)
    if result.plan is not None and result.plan.problem == "joint" and result.plan.placement:
        from dnnplan.reports.whole_plan_text import whole_plan_text

        out.print()
        out.print(whole_plan_text(instance, result.plan, result, width=chart_width(out)), soft_wrap=True)
    elif result.plan is not None and result.plan.problem != "mapping":
        from dnnplan.reports.task_plan_text import task_plan_text

        out.print()
        out.print(task_plan_text(instance, result.plan, width=chart_width(out)), soft_wrap=True)
    elif result.plan is not None:
        from dnnplan.costs import evaluate
        from dnnplan.reports.gantt_text import gantt_text
        from dnnplan.reports.schedule import make_schedule

        out.print()
        chart = gantt_text(make_schedule(evaluate(instance, result.plan), result), width=chart_width(out))
        out.print(chart, soft_wrap=True)


def _repeated(options: list[str] | None, changes: list[str] | None) -> list[tuple[str, str]]:
    """The options that commands about a plan need again, for the same instance."""
    return [("--option", text) for text in options or ()] + [("--set", text) for text in changes or ()]


def _mentioning(result: Result, changes: Sequence[str]) -> Result:
    """The result with what was changed in its message."""
    if not changes:
        return result
    from msgspec.structs import replace

    what = f"with {', '.join(changes)}"
    reason = result.message or ("the limits cannot be kept together" if result.status == "infeasible" else "")
    return replace(result, message=f"{reason}; {what}" if reason else what)


def _next_steps(files: list[str], again: list[tuple[str, str | None]], output: Path | None) -> None:
    """What people usually want next; not in a pipe."""
    if not error_console().is_terminal:
        return
    import shlex

    source = " ".join(f"--instance {shlex.quote(name)}" for name in files)
    source += "".join(f" {name} {shlex.quote(value)}" for name, value in again if value)
    if output is None:
        note(f"next: solve with --output plan.json, then dnnplan show plan.json {source} --output plan.png")
    else:
        plan = shlex.quote(str(output))
        note(f"next: dnnplan explain {plan} {source}")
        note(f"      dnnplan show {plan} {source} --output gantt.png --trace trace.json")


def leave(result: Result) -> None:
    """End with the exit code of a result, and say why where there is no plan."""
    code = exits.exit_code(result)
    if code == exits.DONE:
        return
    reasons = {
        exits.INFEASIBLE: f"infeasible: {result.message or 'no plan keeps all rules and limits'}",
        exits.INTERRUPTED: "interrupted before a plan was found",
        exits.NONE_FOUND: f"no plan found ({result.stop_reason.replace('_', ' ')})"
        + (f": {result.message}" if result.message else ""),
    }
    error_console().print(reasons[code], markup=False, soft_wrap=True, style="red")
    for violation in result.violations[:10]:
        note(str(violation))
    raise typer.Exit(code)
