"""`dnnplan show`: an instance as tables; a plan as a chart, a picture or a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import chart_width, console, note
from dnnplan.cli.plans import load_instance, read_any_plan, read_plan_or_result
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.costs import MappingProblem
    from dnnplan.instances import Instance, Plan, Result

PICTURES = (".png", ".svg", ".pdf")


def show(
    *,
    files: opt.Files,
    instance: opt.InstanceName = None,
    platform: opt.PlatformName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    conditions: opt.Conditions = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="List every layer with its time on every device.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture of a plan: .png, .svg, .pdf.")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Trace of a plan for ui.perfetto.dev, .json.")] = None,
    width: Annotated[int | None, typer.Option(min=40, help="Columns of the chart.")] = None,
    force: opt.Force = False,
) -> None:
    """Show an instance as tables, or a plan (with --instance if it carries none) as a chart, picture or trace."""
    opt.require_free(output, force=force, suffixes=PICTURES)
    opt.require_free(trace, force=force, suffixes=(".json",))
    carried = None if instance or len(files) > 1 else _carrying_plan(files[0])
    if instance or carried is not None:
        if len(files) > 1:
            raise InputError(f"show takes one plan, got {len(files)}: {', '.join(files)}")
        options = {"format": format, "select": select, **opt.parse_options(option)}
        whole = load_instance(
            instance,
            platform,
            files[0],
            opt.parse_dims(dim),
            options=options,
            changes=set_,
            conditions=conditions,
            carried=carried,
        )
        _show_plan(files[0], whole, output, trace, width, force=force)
        return
    if output is not None or trace is not None:
        raise InputError("--output and --trace draw a plan; name its instance with --instance FILE")
    _refuse_plan(files)
    from dnnplan.instances.loading import load_all, load_part
    from dnnplan.instances.what_if import changed

    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    if platform is None:
        many = [load_part(name, **reading) for name in files]
    else:
        many = load_all(list(files), platform=platform, **reading)
    for one in many:
        _show_instance(changed(one, set_ or ()), layers=layers)


def _carrying_plan(name: str) -> Plan | None:
    """The plan in a file, if it is one that carries its instance."""
    if Path(name).suffix.lower() not in (".json", ".yaml", ".yml") or not Path(name).is_file():
        return None
    try:
        plan, _ = read_any_plan(name)
    except InputError:
        return None
    return plan if "instance" in plan.extensions else None


def _refuse_plan(files: list[str]) -> None:
    """Say what to do where somebody shows a plan without its instance."""
    for name in files:
        if Path(name).suffix.lower() in (".json", ".yaml", ".yml") and Path(name).is_file():
            try:
                read_any_plan(name)
            except InputError:
                continue
            raise InputError(f"{name}: is a plan; it is shown together with its instance: --instance FILE")


def _show_plan(
    name: str, instance: Instance, output: Path | None, trace: Path | None, width: int | None, *, force: bool
) -> None:
    from dnnplan.costs import evaluate
    from dnnplan.reports.gantt_text import gantt_text
    from dnnplan.reports.schedule import make_schedule

    plan, result = read_plan_or_result(name)
    if plan.problem == "joint" and plan.placement:
        _show_whole_plan(instance, plan, result, (output, trace), width, force=force)
        return
    if plan.problem != "mapping":
        _show_task_plan(instance, plan, output, trace, width, force=force)
        return
    evaluation = evaluate(instance, plan)
    schedule = make_schedule(evaluation, result)
    if output is not None:
        from dnnplan.reports.gantt_figure import write_gantt

        write_gantt(schedule, output, overwrite=force)
        note(f"picture: {output}")
    if trace is not None:
        from dnnplan.instances.files import write_text
        from dnnplan.reports.trace import trace_text

        write_text(trace_text(evaluation, result), trace, overwrite=force)
        note(f"trace: {trace} (open it at ui.perfetto.dev)")
    out = console()
    out.print(gantt_text(schedule, width=width or chart_width(out)), soft_wrap=True)


def _show_whole_plan(
    instance: Instance,
    plan: Plan,
    result: Result | None,
    files: tuple[Path | None, Path | None],
    width: int | None,
    *,
    force: bool,
) -> None:
    """A task graph as a tree and the chart of what it leaves to run; `files` are a picture and a trace."""
    from dnnplan.reports.whole_plan_text import whole_plan_text

    picture, trace = files
    if picture is not None:
        from dnnplan.reports.whole_figure import write_whole_plan

        write_whole_plan(instance, plan, picture, result, overwrite=force)
        note(f"picture: {picture}")
    if trace is not None:
        from dnnplan.costs import evaluate
        from dnnplan.deploy.mapped import mapped
        from dnnplan.instances.files import write_text
        from dnnplan.reports.trace import trace_text

        write_text(trace_text(evaluate(*mapped(instance, plan)), result), trace, overwrite=force)
        note(f"trace: {trace} (open it at ui.perfetto.dev)")
    out = console()
    out.print(whole_plan_text(instance, plan, result, width=width or chart_width(out)), soft_wrap=True)


def _show_task_plan(
    instance: Instance, plan: Plan, output: Path | None, trace: Path | None, width: int | None, *, force: bool
) -> None:
    """A task graph as a tree, an order as a table."""
    if trace is not None:
        raise InputError(f"--trace is for plans of mapping, this one is of {plan.problem}")
    from dnnplan.reports.task_plan_text import task_plan_text

    if output is not None:
        from dnnplan.reports.task_plan_figure import write_task_plan

        write_task_plan(instance, plan, output, overwrite=force)
        note(f"picture: {output}")
    out = console()
    out.print(task_plan_text(instance, plan, width=width or chart_width(out)), soft_wrap=True)


def _show_instance(instance: Instance, *, layers: bool) -> None:
    from dnnplan.reports import tables

    out = console()
    problem = _view(instance)
    title = instance.name or "instance"
    out.print(f"{title}   objective {instance.objective}   hash {instance.hash()[:12]}", soft_wrap=True)
    if instance.source:
        out.print(f"source: {instance.source}", soft_wrap=True)
    limits = {
        name: value for name in instance.limits.__struct_fields__ if (value := getattr(instance.limits, name))
    }
    if limits:
        out.print(
            "limits: " + ", ".join(f"{name} <= {value}" for name, value in limits.items()), soft_wrap=True
        )
    parts = [tables.models_table(instance)] if instance.models else []
    parts += [tables.tasks_table(instance)] if instance.tasks else []
    if instance.platform is not None:
        parts.append(tables.devices_table(instance.platform, problem))
        parts += [tables.links_table(instance.platform)] if instance.platform.links else []
    if layers:
        parts += [tables.layers_table(model, problem) for model in instance.models]
    for table in parts:
        out.print()
        out.print(table)
    if instance.platform is not None:
        run = instance.platform.execution
        host = f", host {instance.platform.host}" if instance.platform.host else ""
        out.print(
            f"\nexecution: staging {run.staging}, {'overlap' if run.overlap else 'no overlap'}, contention "
            f"{run.contention}, memory {run.memory}, weights {run.weights}{host}",
            soft_wrap=True,
        )


def _view(instance: Instance) -> MappingProblem | None:
    """The mapping problem, where the instance has what it needs."""
    if instance.platform is None or not instance.platform.devices or not instance.models:
        return None
    from dnnplan.costs import mapping_problem

    return mapping_problem(instance)
