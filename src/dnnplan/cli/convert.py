"""`dnnplan import`, `convert` and `materialise`: from ONNX and other formats to native files and back."""

from __future__ import annotations

from functools import partial
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
    option: opt.ReaderOptions = None,
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
    options |= opt.parse_options(option)
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


def convert(
    *,
    source: opt.OneFile,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    to: Annotated[str, typer.Option("--to", help="Format to write: native, or one of `dnnplan formats`.")],
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    force: opt.Force = False,
) -> None:
    """Read an instance of any format and write it in another one that can express it.

    What changes the value of a plan and has no place in the format is an error that names it (exit code 2).
    """
    from dnnplan.instances.formats import write_with
    from dnnplan.instances.loading import load, load_part
    from dnnplan.instances.what_if import changed

    opt.require_free(target, force=force)
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    read = load_part if platform is None else partial(load, platform=platform)
    instance = read(source, **reading)
    write_with(changed(instance, set_ or ()), target, to, overwrite=force)
    note(f"{to}: {target}")


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
