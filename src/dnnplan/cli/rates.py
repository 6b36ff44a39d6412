"""`dnnplan rates`: how much more often requests of periodic tasks may come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, error_console, print_json
from dnnplan.cli.interrupts import stop_on_interrupt

if TYPE_CHECKING:
    from dnnplan.solvers.rates import RateResult


def rates(
    *,
    file: opt.OneFile,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    solver: Annotated[
        str, typer.Option(help="auto, cpsat, genetic, or a baseline: npu_only, best_device.")
    ] = "auto",
    deadlines: Annotated[
        Literal["period", "given"],
        typer.Option(help="Tasks that state none: done before the next request, or whenever."),
    ] = "period",
    gap: opt.Gap = 1e-4,
    time_limit: opt.TimeLimit = 60.0,
    work_limit: opt.WorkLimit = None,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    output: opt.Output = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Find the largest common rate at which periodic tasks can be served for ever, and a bound on it.

    Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed
    from dnnplan.solvers.rates import largest_rate

    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    instance = changed(load([file], platform=platform, **reading), set_ or ())
    with stop_on_interrupt() as stop:
        result = largest_rate(
            instance,
            solver,
            deadlines=deadlines,
            time_limit=time_limit,
            work_limit=work_limit,
            workers=workers or opt.processors(),
            seed=seed,
            gap=gap,
            stop=stop,
        )
    if result.plan is not None and output is not None:
        from dnnplan.instances.files import write_plan

        write_plan(result.plan, output, overwrite=force)
    if json:
        print_json(_tree(result))
    elif result.plan is not None:
        _print(instance.name, result)
    _leave(result)


def _tree(result: RateResult) -> dict[str, Any]:
    import msgspec

    tree: dict[str, Any] = msgspec.to_builtins(result)
    if result.plan is not None:
        tree["plan"] = {"format_version": result.plan.format_version, **tree["plan"]}
    return tree


def _print(name: str, result: RateResult) -> None:
    from dnnplan.reports.tables import new_table
    from dnnplan.reports.units import percent, readable

    out = console()
    title = f"{name}: " if name else ""
    bound = ""
    if result.bound is not None:
        bound = f"; at most {result.bound:.4g} times ({result.bound_name}), gap {percent(result.gap)}"
    out.print(f"{title}{result.factor:.4g} times the rates, {result.status}{bound}", soft_wrap=True)
    table = new_table("task", ">rate", ">deadline", ">longest response")
    for task in result.tasks:
        deadline = readable(task.deadline, "s") if task.deadline is not None else "none"
        table.add_row(task.task, f"{task.rate:.4g} Hz", deadline, readable(task.response, "s"))
    out.print(table)
    busy = ", ".join(f"{device} {share:.0%}" for device, share in result.load.items())
    out.print(f"repeats after {readable(result.cycle, 's')}; busy: {busy}", soft_wrap=True)


def _leave(result: RateResult) -> None:
    if result.plan is not None:
        return
    code = exits.INFEASIBLE if result.status == "infeasible" else exits.NONE_FOUND
    if result.stop_reason == "interrupted":
        code = exits.INTERRUPTED
    text = result.message or f"no plan found ({result.stop_reason.replace('_', ' ')})"
    error_console().print(
        f"infeasible: {text}" if code == exits.INFEASIBLE else text, markup=False, soft_wrap=True, style="red"
    )
    raise typer.Exit(code)
