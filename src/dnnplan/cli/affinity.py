"""`dnnplan affinity`: how much alike networks see the same samples, at each branch point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.costs.routes import FloatArray
    from dnnplan.instances import Instance

PICTURES = (".png", ".svg", ".pdf")


def affinity(
    *,
    nets: Annotated[list[Path], typer.Argument(metavar="NET...", help="ONNX files, one for each task.")],
    samples: Annotated[Path, typer.Option(help=".npz file with samples along the first axis, by input.")],
    points: Annotated[
        str,
        typer.Option(
            help="Tensors where tasks may part, a,b,c (names in each network), or a number: evenly by depth."
        ),
    ] = "3",
    output: opt.Output = None,
    picture: Annotated[Path | None, typer.Option(help="Heat maps: .png, .svg, .pdf.")] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Compute the affinity of tasks from activations of their networks on the same samples.

    Weights have to be real: with constant weights all tasks look alike. Exit codes: 0 done, 2 bad input.
    """
    import msgspec
    import numpy as np

    from dnnplan.costs.sharing.activations import activations_of, read_samples, tensors_of
    from dnnplan.costs.sharing.affinity import affinity as compute

    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    opt.require_free(picture, force=force, suffixes=PICTURES)
    if len(nets) < 2:
        raise InputError(f"{len(nets)} network, expected two or more: affinity is between tasks")
    tasks = [net.stem for net in nets]
    if len(set(tasks)) < len(tasks):
        raise InputError("two networks have the same name; tasks are called like their files")
    given = read_samples(samples)
    named = [_points(points, tensors_of(net), str(net)) for net in nets]
    rows = [activations_of(net, given, chosen) for net, chosen in zip(nets, named, strict=True)]
    ways = [[row[chosen[d]] for row, chosen in zip(rows, named, strict=True)] for d in range(len(named[0]))]
    found = compute(ways, points=named[0], tasks=tasks)
    instance = _instance(tasks, named[0], np.round(found, 9))
    if output is not None:
        from dnnplan.instances.files import write_instance

        write_instance(instance, output, overwrite=force)
    if picture is not None:
        from dnnplan.reports.task_plan_figure import write_affinity

        write_affinity(instance, picture, overwrite=force)
        note(f"picture: {picture}")
    if json:
        print_json(msgspec.to_builtins(instance.sharing))
        return
    _print(found, tasks, named[0])


def _points(text: str, tensors: list[str], net: str) -> list[str]:
    """The tensors that are asked for, or some of them evenly by depth; the last one, which is the output, is none."""
    if text.isdecimal():
        count = int(text)
        if not 1 <= count < len(tensors):
            raise InputError(
                f"{net}: --points {count}, expected 1 to {len(tensors) - 1} of {len(tensors)} tensors"
            )
        return [tensors[round((k + 1) * (len(tensors) - 1) / (count + 1))] for k in range(count)]
    return [word.strip() for word in text.split(",") if word.strip()]


def _instance(tasks: list[str], points: list[str], found: FloatArray) -> Instance:
    from dnnplan.instances import Instance, Ordering, Sharing, Task
    from dnnplan.instances.validation import ensure_valid

    matrices = tuple(tuple(tuple(float(x) for x in row) for row in matrix) for matrix in found)
    instance = Instance(
        name="+".join(tasks),
        objective="variety",
        tasks=tuple(Task(name=name, model=name) for name in tasks),
        ordering=Ordering(closed=True),
        sharing=Sharing(branch_points=tuple(points), affinity=matrices),
    )
    ensure_valid(instance)
    return instance


def _print(found: FloatArray, tasks: list[str], points: list[str]) -> None:
    from dnnplan.reports.tables import new_table

    out = console()
    for point, matrix in zip(points, found, strict=True):
        table = new_table("", *(f">{task}" for task in tasks), title=f"affinity at {point}")
        for task, row in zip(tasks, matrix, strict=True):
            table.add_row(task, *(f"{float(value):.3f}" for value in row))
        out.print(table)
        out.print()
