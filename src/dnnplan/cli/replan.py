"""`dnnplan replan`: change a plan after something has happened, within milliseconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import chart_width, console, note, print_json
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.plans import carrying, plan_and_instance, result_tree
from dnnplan.cli.solve import leave
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Plan
    from dnnplan.instances.events import Event
    from dnnplan.solvers.replan import ReplanResult

FREE = "free"


def replan(
    *,
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A plan, or what `dnnplan solve --json` printed.")
    ],
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="JSON", help="What happened: JSON, or a file of it; repeatable."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="FILE", help="Instead of events: the instance as it is now."),
    ] = None,
    deadline: Annotated[
        float, typer.Option("--deadline-ms", min=0.001, help="Milliseconds for planning; start-up apart.")
    ] = 50.0,
    migration: Annotated[
        str, typer.Option(metavar="WEIGHT", help="Of a second of moving weights in the objective; or free.")
    ] = "0.01",
    instance: opt.InstanceName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    objective: opt.Objective = None,
    limit: opt.LimitTexts = None,
    seed: opt.Seed = 0,
    warm_up: Annotated[
        bool, typer.Option("--warm-up", help="Compile the search first if it is not, once a machine.")
    ] = False,
    output: opt.Output = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Plan again after devices, links, models or batches have changed, from the plan that there is.

    Events: device_lost, device_throttled, link_changed, link_lost, model_added, model_removed, batch_changed,
    e.g. --event '{"kind": "device_throttled", "device": "npu", "speed": 0.5}'.

    Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    entered = time.perf_counter()
    weight = _weight(migration)
    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    events = _events(event, after)
    reading: dict[str, Any] = {"format": format, "select": select, **opt.parse_options(option)}
    old, whole = plan_and_instance(plan, instance, platform, dims=opt.parse_dims(dim), options=reading)
    from dnnplan.instances.events import ModelAdded, with_files
    from dnnplan.solvers.replan import replan as run

    files = [one.file for one in events if isinstance(one, ModelAdded) and one.file is not None]
    events = with_files(events)
    now = None if after is None else _read_instance(after)
    _prepare(compile_first=warm_up)
    startup = _since_start(entered)
    with stop_on_interrupt() as stop:
        done = run(
            whole,
            old,
            events,
            after=now,
            deadline=deadline / 1000,
            migration=weight,
            objective=objective,
            limits=opt.parse_limits(limit),
            seed=seed,
            stop=stop,
        )
    done = _carried(done, old, files)
    if output is not None and done.result.plan is not None and done.result.valid:
        from dnnplan.instances.files import write_plan

        write_plan(done.result.plan, output, overwrite=force)
    if json:
        print_json(tree_of(done, startup))
    else:
        _print(done, startup)
    leave(done.result)


def _weight(text: str) -> float:
    if text == FREE:
        return 0.0
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise InputError(f"--migration {text}: expected a weight >= 0, or free")
    return weight


def _events(texts: list[str] | None, after: str | None) -> tuple[Event, ...]:
    from dnnplan.instances.events import loads_events, read_events

    if (after is None) != bool(texts):
        raise InputError("say what happened: --event JSON (repeatable), or --after FILE, and not both")
    found: list[Event] = []
    for text in texts or ():
        if text.lstrip()[:1] in ("{", "["):
            found += loads_events(text, "--event")
        else:
            if not Path(text).is_file():
                raise InputError(
                    f'--event {text[:60]}: neither a file nor JSON, e.g. {{"kind": "device_lost", "device": "npu"}}'
                )
            found += read_events(text)
    return tuple(found)


def _read_instance(name: str) -> Instance:
    from dnnplan.instances.loading import load

    return load([name])


def _prepare(*, compile_first: bool) -> None:
    """Load the compiled search where it is there, before the deadline counts."""
    from dnnplan.solvers.replan import is_there, warm_up

    if compile_first or is_there():
        warm_up()
    else:
        note("the compiled search is not there yet: only repaired; the same with --warm-up compiles it, once")


def _since_start(entered: float) -> float:
    """Seconds since the process began, or since the command was entered where that is not known."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = float(fields[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - began
    except (OSError, ValueError, IndexError, AttributeError):
        return time.perf_counter() - entered


def _carried(done: ReplanResult, old: Plan, files: list[str]) -> ReplanResult:
    """The result whose plan carries the new instance, and the files of the networks that are still there."""
    import dataclasses

    from msgspec.structs import replace

    plan = done.result.plan
    if plan is None:
        return done
    plan = carrying(plan, done.instance, files)
    kept = old.extensions.get("models")
    known = {model.name for model in done.instance.models}
    models = {name: entry for name, entry in kept.items() if name in known} if isinstance(kept, dict) else {}
    models.update(plan.extensions.get("models", {}))
    if models:
        plan = replace(plan, extensions={**plan.extensions, "models": models})
    return dataclasses.replace(done, result=replace(done.result, plan=plan))


def tree_of(done: ReplanResult, startup: float) -> dict[str, Any]:
    """What ``--json`` prints: the result, and beside it what happened to the plan."""
    import msgspec

    report = done.replan
    tree: dict[str, Any] = msgspec.to_builtins(report)
    phases, planning, deadline = (tree.pop(name) for name in ("phases", "planning", "deadline"))
    return result_tree(done.result) | {
        "replan": {
            **tree,
            "planning_ms": 1000 * planning,
            "deadline_ms": 1000 * deadline,
            "startup_ms": 1000 * startup,
            "phases_ms": {phase["name"]: 1000 * phase["until"] for phase in phases},
        }
    }


def _print(done: ReplanResult, startup: float) -> None:
    from dnnplan.reports.gantt_text import gantt_text
    from dnnplan.reports.replan_text import replan_lines
    from dnnplan.reports.schedule import make_schedule

    out = console()
    out.print("\n".join(replan_lines(done, startup)), soft_wrap=True)
    plan = done.result.plan
    if plan is not None and plan.problem == "mapping":
        from dnnplan.costs import evaluate

        out.print()
        chart = make_schedule(evaluate(done.instance, plan), done.result)
        out.print(gantt_text(chart, width=chart_width(out)), soft_wrap=True)
