"""`dnnplan import` and `dnnplan materialise`: from ONNX and other formats to native files and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note
from dnnplan.instances.errors import InputError


def import_(
    *,
    files: opt.Files,
    platform: opt.PlatformName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    dim: opt.Dims = None,
    coarsen: Annotated[bool, typer.Option("--coarsen", help="Join chains of layers (ONNX).")] = False,
    no_fuse: Annotated[
        bool, typer.Option("--no-fuse", help="Keep elementwise tails as layers (ONNX).")
    ] = False,
    output: opt.Output = None,
    force: opt.Force = False,
) -> None:
    """Read networks of any format and write one native instance (.json or .yaml; stdout without --output)."""
    from dnnplan.instances.files import dumps, write_instance
    from dnnplan.instances.loading import load, load_part

    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    options: dict[str, Any] = {"coarsen": True if coarsen else None, "fuse": False if no_fuse else None}
    dims = opt.parse_dims(dim)
    if platform is None and len(files) == 1:
        instance = load_part(files[0], dims=dims, format=format, select=select, **options)
    else:
        instance = load(list(files), platform=platform, dims=dims, format=format, select=select, **options)
    if output is None:
        typer.echo(dumps(instance), nl=False)
        return
    write_instance(instance, output, overwrite=force)
    from dnnplan.reports.tables import models_table

    console().print(models_table(instance))
    note(f"instance: {output}")


def materialise(
    *,
    source: Annotated[Path, typer.Argument(help="An .onnx file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    seed: opt.Seed = 0,
    force: opt.Force = False,
) -> None:
    """Give a network seeded He weights and sane normalisation, so that outputs depend on inputs."""
    from dnnplan.instances.formats.onnx import materialise as write_weights

    if not source.exists():
        from dnnplan.instances.formats.onnx import light_network_paths

        paths = light_network_paths()
        if str(source) not in paths:
            raise InputError(f"{source}: no such file, and no light network; those are {', '.join(paths)}")
        source = paths[str(source)]
    opt.require_free(output, force=force, suffixes=(".onnx",))
    write_weights(source, output, seed=seed, overwrite=force)
    note(f"network: {output}")
