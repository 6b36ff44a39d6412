"""`dnnplan generate`: seeded random instances."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import note
from dnnplan.instances import Instance
from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError


def generate(
    *,
    kind: Annotated[
        str,
        typer.Argument(help="layered, erdos, series-parallel, fork-join, chain, multi, sharing or whole."),
    ],
    layers: Annotated[
        str, typer.Option(help="Number of layers; for multi one number each: 20,20,20.")
    ] = "50",
    devices: Annotated[int | None, typer.Option(min=1, help="Number of devices (4; for whole 3).")] = None,
    ccr: Annotated[
        float | None, typer.Option(min=0.0, help="Communication-to-computation ratio (1; for whole 0.5).")
    ] = None,
    heterogeneity: Annotated[float | None, typer.Option(help="How far devices differ.")] = None,
    spread: Annotated[Literal["beta", "range"] | None, typer.Option(help="Meaning of heterogeneity.")] = None,
    tasks: Annotated[int | None, typer.Option(help="Tasks, for sharing (10) and whole (4).")] = None,
    levels: Annotated[int, typer.Option(help="Branch points, for sharing.")] = 5,
    blocks: Annotated[int, typer.Option(help="Blocks of each task, for whole.")] = 6,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other option of the generator; repeatable."),
    ] = None,
    seed: opt.Seed = 0,
    output: opt.Output = None,
    force: opt.Force = False,
) -> None:
    """Write a random instance; the same seed gives the same file (stdout without --output)."""
    from dnnplan.instances import generators
    from dnnplan.instances.files import dumps, write_instance

    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    given = {"devices": devices, "ccr": ccr, "heterogeneity": heterogeneity, "spread": spread}
    named, others = {k: v for k, v in given.items() if v is not None}, _others(set_)
    if twice := sorted(named.keys() & others.keys()):
        raise InputError(f"--set {twice[0]}: {twice[0]} is given twice, as --{twice[0]} too")
    options: dict[str, Any] = named | others
    if kind != "whole":
        options = {"devices": 4, "ccr": 1.0} | options
    counts = _counts(layers)
    if kind == "sharing":
        instance = generators.task_sharing(10 if tasks is None else tasks, levels, seed=seed)
    elif kind == "whole":
        instance = _whole(tasks, blocks, seed, options)
    elif kind == "multi":
        instance = generators.multi_model(tuple(counts), seed=seed, **options)
    elif len(counts) != 1:
        raise InputError(f"--layers {layers}: {kind} is one network, expected one number")
    else:
        instance = generators.generate(kind, counts[0], seed=seed, **options)
    if output is None:
        typer.echo(dumps(instance), nl=False)
        return
    write_instance(instance, output, overwrite=force)
    note(f"instance: {output}")


def _whole(tasks: int | None, blocks: int, seed: int, options: dict[str, Any]) -> Instance:
    """A network for each task, on several devices; `options` are those of the generator."""
    from dnnplan.instances.generators import whole_instance

    known = ("devices", "ccr", "heterogeneity", "layers", "variety", "memory")
    for name, value in options.items():
        if name not in known:
            raise InputError(f"{name}: no option of whole; known: {', '.join(known)}")
        numbers = int if name in ("devices", "layers") else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers):
            raise InputError(f"{name}: {value!r}, expected a number")
    return whole_instance(4 if tasks is None else tasks, blocks, seed=seed, **options)


def _counts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise InputError(f"--layers {text}: expected a positive whole number, or several with commas (multi)")
    return [int(part) for part in parts]


def _others(texts: list[str] | None) -> dict[str, Any]:
    """Options by name; values are read as JSON, and as plain text where they are none."""
    import json

    options: dict[str, Any] = {}
    for name, value in assignments(texts, "--set").items():
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options
