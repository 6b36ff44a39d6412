"""`dnnplan calibrate`: fit the cost model to this machine from runs of a split plan, and plan again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from msgspec.structs import replace

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.run import Cores, Folder, Models, Providers, RealTime, Timeout, exits_of_runs, originals
from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Plan

PLATFORMS = (".yaml", ".yml")


def calibrate(
    *,
    folder: Folder,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PLATFORM",
            help="The instance with measured costs, .json; or the platform alone, .yaml.",
        ),
    ],
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="PLAN", help="Plan again, and write the plan here, .json."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Passes of the plan.")] = 30,
    seconds: Annotated[float, typer.Option(min=0.01, help="About how long networks are timed.")] = 20.0,
    time_limit: Annotated[float, typer.Option(min=0.0, help="Seconds of planning again.")] = 20.0,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    cores: Cores = None,
    provider: Providers = None,
    models: Models = None,
    timeout: Timeout = 60.0,
    real_time: RealTime = False,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Measure what layers, calls and copies take on this machine, alone and together, and write it as an instance.

    `dnnplan solve PLATFORM` plans with it; --plan does so at once. Keep the machine quiet meanwhile.

    Exit codes: 0 done, 1 a part failed, 2 bad input, 3 no plan with the new costs, 130 interrupted.
    """
    from dnnplan.deploy.calibrate import calibrate as measure
    from dnnplan.deploy.run import open_folder, parse_cores
    from dnnplan.instances.files import write_instance, write_plan, write_platform

    opt.require_free(output, force=force, suffixes=(".json", *PLATFORMS))
    opt.require_free(plan, force=force, suffixes=(".json",))
    if plan is not None and plan.resolve() == output.resolve():
        raise InputError(f"{plan}: expected another file than that of --output")
    opened = open_folder(folder)
    names = assignments(provider, "--provider", "DEVICE=NAME")
    found_models = originals(opened, models)
    with exits_of_runs():
        found = measure(
            folder,
            repeats=repeats,
            seconds=seconds,
            cores=parse_cores(cores),
            providers=names,
            models=found_models,
            plan=plan is not None,
            time_limit=time_limit,
            workers=workers or opt.processors(),
            seed=seed,
            timeout=timeout,
            real_time=real_time,
            progress=note,
        )
    if output.suffix.lower() in PLATFORMS:
        assert found.instance.platform is not None
        write_platform(found.instance.platform, output, overwrite=force)
    else:
        write_instance(found.instance, output, overwrite=force)
    if plan is not None and found.plan is not None:
        write_plan(
            _carrying(found.plan, found.instance, opened.plan, found_models or {}), plan, overwrite=force
        )
    tree: dict[str, Any] = {**msgspec.to_builtins(found.report), "output": str(output)}
    if json:
        print_json(tree | ({} if plan is None else {"plan": str(plan)}))
        return
    from dnnplan.deploy.calibrate.text import calibration_lines, devices_table

    console().print(devices_table(found.report))
    for line in calibration_lines(found.report):
        console().print(line, soft_wrap=True)
    for warning in found.report.warnings:
        note(f"warning: {warning}")


def _carrying(plan: Plan, instance: Instance, before: Plan | None, models: Mapping[str, Path]) -> Plan:
    """The new plan with its instance, and with the ONNX files that the one before carried."""
    from dnnplan.cli.plans import carrying, file_sha256

    known = {} if before is None else before.extensions.get("models", {})
    files = {
        name: {"path": str(path.resolve()), "sha256": file_sha256(path)} for name, path in models.items()
    }
    carried = carrying(plan, instance, [])
    return replace(carried, extensions={**carried.extensions, "models": {**known, **files}})
