"""`dnnplan plan`: which tasks share what, in which order they run, and where, decided together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli import solve as solving
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.front import pair_of
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.live import progress_line
from dnnplan.cli.plan_front import plan_front
from dnnplan.cli.plans import carrying, result_tree
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Plan, Result
    from dnnplan.solvers.whole.planning import Planned

PICTURES = (".png", ".svg", ".pdf")


def plan(
    *,
    files: opt.Files,
    method: Annotated[
        Literal["sequential", "alternating", "joint"],
        typer.Option(help="Step by step; in turn to a fixed point; or everything together."),
    ] = "joint",
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    objective: opt.Objective = None,
    limit: opt.LimitTexts = None,
    gap: opt.Gap = 1e-4,
    time_limit: opt.TimeLimit = 60.0,
    work_limit: opt.WorkLimit = None,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    front: Annotated[
        str | None,
        typer.Option("--front", metavar="A,B", help="Front of two objectives instead of one plan."),
    ] = None,
    points: Annotated[int, typer.Option(min=2, help="Searches for --front.")] = 8,
    retraining: Annotated[
        Path | None,
        typer.Option("--retraining", metavar="FILE", help="Write what has to be trained again, as JSON."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Picture of the plan, or of the front: .png, .svg, .pdf.")
    ] = None,
    output: opt.Output = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Plan several tasks on one platform: task graph, order and mapping together.

    The files are one instance with tasks, what they could share and a platform, or several networks (nothing is shared
    then). Method joint also says what planning step by step would have taken.

    Exit codes: 0 plan, 2 bad input, 3 infeasible, 4 no plan found, 130 interrupted without a plan.
    """
    pair = None if front is None else pair_of(front, objective, output, option="--front")
    if pair is not None and retraining is not None:
        raise InputError("--front gives several plans; it does not go with --retraining")
    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    opt.require_free(picture, force=force, suffixes=PICTURES)
    opt.require_free(retraining, force=force, suffixes=(".json",))
    settings: dict[str, Any] = {
        "limits": opt.parse_limits(limit),
        "gap": gap,
        "time_limit": time_limit,
        "work_limit": work_limit,
        "workers": workers or opt.processors(),
        "seed": seed,
    }
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    instance = _load(files, platform, reading, set_ or ())
    if pair is not None:
        plan_front(instance, pair, points, method, settings, picture, force=force, json=json)
        return
    planned = _search(instance, method, objective, settings)
    result = planned.result
    written: dict[str, Any] = {}
    if result.plan is not None:
        from msgspec.structs import replace

        result = replace(result, plan=carrying(result.plan, instance, files))
        written = _write(instance, result, (output, picture, retraining), force=force)
    if json:
        print_json(result_tree(result) | {"method": method} | _beside(planned) | written)
    else:
        solving.print_result(instance, result)
        for line in (*comparison_lines(planned), *_retraining_lines(result.plan)):
            console().print(line, soft_wrap=True)
    solving.leave(result)


def _load(
    files: list[str], platform: str | None, reading: dict[str, Any], changes: Sequence[str]
) -> Instance:
    from dnnplan.instances.loading import load
    from dnnplan.instances.what_if import changed

    return changed(load(list(files), platform=platform, **reading), changes)


def _search(instance: Instance, method: Any, objective: str | None, settings: dict[str, Any]) -> Planned:
    """Plan with a live line, and with Ctrl-C for the best plan so far."""
    from dnnplan.solvers.whole.planning import plan as run

    title = f"{instance.name or 'instance'}, {method}"
    with stop_on_interrupt() as stop, progress_line(title, None) as on_progress:
        return run(instance, method, objective=objective, stop=stop, on_progress=on_progress, **settings)


def _write(
    instance: Instance,
    result: Result,
    targets: tuple[Path | None, Path | None, Path | None],
    *,
    force: bool,
) -> dict[str, Any]:
    """Write plan, picture and what has to be trained again, as far as asked to; members of the JSON."""
    import msgspec

    plan, (output, picture, retraining) = result.plan, targets
    assert plan is not None
    if output is not None:
        from dnnplan.instances.files import write_plan

        write_plan(plan, output, overwrite=force)
    if picture is not None:
        from dnnplan.reports.whole_figure import write_whole_plan

        write_whole_plan(instance, plan, picture, result, overwrite=force)
        note(f"picture: {picture}")
    if retraining is None:
        return {}
    if not plan.groups:
        note("nothing can be shared: nothing has to be trained again")
        return {"retraining": None}
    from dnnplan.deploy.retraining import retraining as needs
    from dnnplan.instances.files import write_text

    known = plan.extensions.get("models", {})
    found = needs(instance, plan, {name: entry["path"] for name, entry in known.items()})
    text = msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
    write_text(text, retraining, overwrite=force)
    note(f"retraining: {retraining}")
    return {"retraining": found}


def _beside(planned: Planned) -> dict[str, Any]:
    """What method joint says of planning step by step."""
    first = planned.sequential
    if first is None:
        return {}
    return {
        "sequential": {
            "value": first.objective.value,
            "bound": planned.result.bound,
            "gap": _gap(first.objective.value, planned.result.bound),
            "runtime": first.runtime,
            "groups": [] if first.plan is None else first.plan.groups,
        },
        "loss_of_sequential": planned.loss,
        "loss_at_most": planned.loss_at_most,
    }


def _gap(value: float | None, bound: float | None) -> float | None:
    from dnnplan.instances.result import relative_gap

    return relative_gap(value, bound)


def comparison_lines(planned: Planned) -> list[str]:
    """In words what planning step by step would have taken."""
    from dnnplan.reports.units import percent, readable

    first, result = planned.sequential, planned.result
    if first is None or first.objective.value is None or result.objective.value is None:
        return []
    unit = result.objective.unit
    loss = planned.loss or 0.0
    better = f"{percent(loss)} more" if loss > 1e-9 else "as much"
    line = f"step by step would take {readable(first.objective.value, unit)}, {better}"
    if planned.loss_at_most is not None:
        line += f"; at most {percent(planned.loss_at_most)} more than the best plan there is"
    return [line]


def _retraining_lines(plan: Plan | None) -> list[str]:
    """Which tasks share blocks that are trained anew."""
    if plan is None or not plan.groups:
        return []
    groups = dict.fromkeys(group for level in plan.groups for group in level if len(group) > 1)
    if not groups:
        return []
    names = "; ".join(", ".join(group) for group in groups)
    return [
        f"shared blocks need weights that serve all of their tasks (--retraining FILE lists them): {names}"
    ]
