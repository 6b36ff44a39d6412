"""`dnnplan export`: a plan for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.plans import plan_and_instance
from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError


def export(
    *,
    plan: opt.PlanFile,
    to: Annotated[
        Literal["onnxruntime", "csv"],
        typer.Option("--to", help="Annotated models for one session, or tables with a device for each node."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    models: opt.Models = None,
    instance: opt.InstanceName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    designator: Annotated[
        list[str] | None,
        typer.Option(
            "--designator",
            metavar="DEVICE=NAME",
            help="onnxruntime's name for a device: cpu, gpu, npu, gpu:1, ...; default: that of its kind; repeatable.",
        ),
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Write a plan for people who run models in another way than `dnnplan split` and `dnnplan run`.

    Exit codes: 0 done, 2 bad input.
    """
    from dnnplan.deploy.writing import require_free_folder

    require_free_folder(output, overwrite=force)
    designators = assignments(designator, "--designator", "DEVICE=NAME")
    if designators and to != "onnxruntime":
        raise InputError(f"--designator names devices of onnxruntime; it does not go with --to {to}")
    if models and to != "onnxruntime":
        raise InputError(f"--models names files to annotate; it does not go with --to {to}, which reads none")
    options = opt.reader_options(format, select, option)
    found, whole = plan_and_instance(
        plan, instance, platform, dims=opt.parse_dims(dim), options=options, changes=set_
    )
    if to == "csv":
        from dnnplan.deploy.export import export_csv

        names = export_csv(found, whole, output, overwrite=force)
        tree: dict[str, Any] = {"folder": str(output), "files": names}
        lines = names
    else:
        from dnnplan.deploy.export import export_onnxruntime
        from dnnplan.deploy.sources import model_files

        files = model_files(found, whole, models or ())
        told = export_onnxruntime(found, whole, files, output, designators=designators, overwrite=force)
        tree = {"folder": str(output), **told}
        lines = [f"{entry['file']}: {told['config_key']} = {entry['settings']}" for entry in told["models"]]
    if json:
        print_json(tree)
        return
    for line in lines:
        console().print(line, markup=False, soft_wrap=True)
    note(f"{to}: {output}")
