"""`dnnplan split`: ONNX models and a plan to one sub-model a call, with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.plans import plan_and_instance
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.deploy.manifest import Manifest
    from dnnplan.deploy.verify import Verification
    from dnnplan.instances import Instance, Plan

Materialise = Annotated[
    int | None,
    typer.Option("--materialise", metavar="SEED", min=0, help="Give light networks seeded weights first."),
]


def split(
    *,
    plan: opt.PlanFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    models: opt.Models = None,
    instance: opt.InstanceName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    materialise: Materialise = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Have the ONNX checker look at the parts, run them and the models on the same numbers, and compare.",
        ),
    ] = False,
    retraining: Annotated[
        Path | None,
        typer.Option(
            "--retraining",
            metavar="FILE",
            help="Write which shared layers have to be trained again, as JSON.",
        ),
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Cut ONNX models into one sub-model a call of a plan, with a manifest.

    Layers that several tasks share become one part where their nodes and weights are bit-identical; otherwise the plan
    is refused. Exit codes: 0 done, 1 the parts do not compute the same, 2 bad input.
    """
    from dnnplan.deploy.sources import model_files
    from dnnplan.deploy.split import split as cut
    from dnnplan.deploy.writing import require_free_folder

    require_free_folder(output, overwrite=force)
    opt.require_free(retraining, force=force, suffixes=(".json",))
    dims = opt.parse_dims(dim)
    options = opt.reader_options(format, select, option)
    found, whole = plan_and_instance(plan, instance, platform, dims=dims, options=options, changes=set_)
    files = model_files(found, whole, models or ())
    if retraining is not None:  # before the cut: it is for plans whose cut is refused
        _write_retraining(whole, found, files, retraining, force=force)
    manifest = cut(found, whole, files, output, dims=dims, seed=materialise, overwrite=force)
    verification = None
    if verify:
        from dnnplan.deploy.verify import verify as compare

        verification = compare(output, files)
    if json:
        print_json(_tree(manifest, verification, output))
    else:
        _print(manifest, verification)
        note(f"parts: {output} (next: dnnplan run {output})")
    if verification is not None and not verification.equal:
        raise typer.Exit(exits.FAILED)


def _write_retraining(
    instance: Instance, plan: Plan, files: dict[str, Path], target: Path, *, force: bool
) -> None:
    from dnnplan.deploy.retraining import retraining
    from dnnplan.instances.files import write_text
    from dnnplan.instances.json_text import print_json as json_text

    if not plan.groups:
        raise InputError("--retraining: the plan has no task graph; no task shares anything")
    write_text(json_text(retraining(instance, plan, files)), target, overwrite=force)
    note(f"retraining: {target}")


def _tree(manifest: Manifest, verification: Verification | None, output: Path) -> dict[str, Any]:
    verified = None
    if verification is not None:
        verified = {
            "outputs": verification.outputs,
            "equal": verification.equal,
            "bitwise": verification.bitwise,
            "worst": verification.worst,
            "tolerance": verification.tolerance,
        }
    return {
        "folder": str(output),
        "segments": [
            {
                "name": segment.name,
                "device": segment.device,
                "file": segment.file,
                "bytes": segment.bytes + segment.data_bytes,
                "layers": len(segment.layers),
                "inputs": list(segment.inputs),
                "outputs": list(segment.outputs),
            }
            for segment in manifest.segments
        ],
        "transfers": len(manifest.transfers),
        "predicted": manifest.predicted.latency,
        "verified": verified,
    }


def _print(manifest: Manifest, verification: Verification | None) -> None:
    from dnnplan.reports.tables import new_table
    from dnnplan.reports.units import readable

    table = new_table("segment", "device", ">layers", ">bytes", ">in", ">out", ">start", ">end", "file")
    for segment in manifest.segments:
        start, end = manifest.predicted.segments[segment.name]
        table.add_row(
            segment.name,
            segment.device,
            str(len(segment.layers)),
            readable(segment.bytes + segment.data_bytes, "bytes"),
            str(len(segment.inputs)),
            str(len(segment.outputs)),
            readable(start, "s"),
            readable(end, "s"),
            segment.file,
        )
    out = console()
    out.print(table)
    moved = sum(transfer.bytes for transfer in manifest.transfers)
    out.print(
        f"{len(manifest.segments)} segments, {len(manifest.transfers)} transfers of {readable(moved, 'bytes')}, "
        f"predicted latency {readable(manifest.predicted.latency, 's')}",
        soft_wrap=True,
    )
    if verification is not None:
        how = "bitwise" if verification.bitwise else f"within {verification.worst:.2g} of the largest number"
        what = f"equal {how}" if verification.equal else f"NOT equal: {verification.worst:.2g} apart"
        out.print(f"{verification.outputs} outputs compared with the whole models: {what}", soft_wrap=True)
