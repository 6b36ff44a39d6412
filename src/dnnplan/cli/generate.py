"""`dnnplan generate`: seeded random instances."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import note
from dnnplan.instances.errors import InputError


def generate(
    *,
    kind: Annotated[
        str, typer.Argument(help="layered, erdos, series-parallel, fork-join, chain, multi or sharing.")
    ],
    layers: Annotated[
        str, typer.Option(help="Number of layers; for multi one number each: 20,20,20.")
    ] = "50",
    devices: Annotated[int, typer.Option(min=1, help="Number of devices.")] = 4,
    ccr: Annotated[float, typer.Option(min=0.0, help="Communication-to-computation ratio.")] = 1.0,
    heterogeneity: Annotated[float | None, typer.Option(help="How far devices differ.")] = None,
    spread: Annotated[Literal["beta", "range"] | None, typer.Option(help="Meaning of heterogeneity.")] = None,
    tasks: Annotated[int, typer.Option(help="Tasks, for sharing.")] = 10,
    levels: Annotated[int, typer.Option(help="Branch points, for sharing.")] = 5,
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
    options: dict[str, Any] = {"devices": devices, "ccr": ccr, **_others(set_)}
    options |= {"heterogeneity": heterogeneity} if heterogeneity is not None else {}
    options |= {"spread": spread} if spread is not None else {}
    counts = _counts(layers)
    if kind == "sharing":
        instance = generators.task_sharing(tasks, levels, seed=seed)
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


def _counts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise InputError(f"--layers {text}: expected a positive whole number, or several with commas (multi)")
    return [int(part) for part in parts]


def _others(texts: list[str] | None) -> dict[str, Any]:
    """Options by name; values are read as JSON, and as plain text where they are none."""
    import json

    options: dict[str, Any] = {}
    for text in texts or ():
        name, value = opt.split_assignment(text, "--set")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options
