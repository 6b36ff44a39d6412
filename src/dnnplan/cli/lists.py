"""`dnnplan instances`, `platforms`, `formats`, `solvers` and `schema`: what there is."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json


def instances(json: opt.Json = False) -> None:
    """List the bundled instances."""
    from dnnplan.instances.catalogue import describe

    rows = describe()
    if json:
        print_json([row._asdict() for row in rows])
        return
    from dnnplan.reports.tables import new_table

    table = new_table("name", ">layers", ">devices", "what")
    for row in rows:
        table.add_row(
            row.name, str(row.layers), str(row.devices), row.what + (" *" if row.needs_onnx else "")
        )
    out = console()
    out.print(table)
    if any(row.needs_onnx for row in rows):
        out.print(
            '\n* networks of the package onnx: pip install "dnnplan[onnx]"; any of them can be put on a'
        )
        out.print("  platform: phone/alexnet+vgg19, or: dnnplan solve alexnet vgg19 --platform phone-soc")


def platforms(
    name: Annotated[str | None, typer.Argument(help="A platform or a file: its devices and links.")] = None,
    json: opt.Json = False,
) -> None:
    """List the bundled platforms, or show one with the source of each of its figures."""
    from dnnplan.instances.catalogue import load_platform, platform_names

    chosen = [load_platform(name)] if name is not None else [load_platform(n) for n in platform_names()]
    if json:
        import msgspec

        print_json(msgspec.to_builtins(chosen[0] if name is not None else chosen))
        return
    from dnnplan.reports import tables

    out = console()
    if name is not None:
        out.print(f"{chosen[0].name}   {chosen[0].source}", soft_wrap=True)
        for table in (tables.devices_table(chosen[0]), tables.links_table(chosen[0])):
            out.print()
            out.print(table)
        return
    table = tables.new_table("platform", "devices", "source")
    for platform in chosen:
        devices = ", ".join(d.name if d.count == 1 else f"{d.name} x {d.count}" for d in platform.devices)
        table.add_row(platform.name, devices, platform.source)
    out.print(table)


def formats(json: opt.Json = False) -> None:
    """List the formats of instances, whether they can be written too, and the options of their readers."""
    from dnnplan.instances.formats import describe_formats, format_complaints

    rows = describe_formats()
    for text in format_complaints():
        note(f"note: {text}")
    if json:
        print_json([row._asdict() for row in rows])
        return
    from dnnplan.reports.tables import new_table

    table = new_table("format", "written", "options", "what")
    for row in rows:
        table.add_row(row.name, "yes" if row.written else "no", ", ".join(row.options), row.what)
    console().print(table)


def solvers(
    problem: Annotated[
        Literal["mapping", "grouping", "selection", "ordering", "joint", "whole", "serving"] | None,
        typer.Option("--problem", help="Solvers of one problem; default: of all."),
    ] = None,
    json: opt.Json = False,
) -> None:
    """List the solvers of every problem and what each of them can do."""
    import msgspec

    from dnnplan.solvers.registry import PROBLEMS, solver_complaints, usable_solvers

    asked = tuple(PROBLEMS) if problem is None else (problem,)
    found = {p: list(usable_solvers(p).items()) for p in asked}
    for text in (text for p in asked for text in solver_complaints(p)):
        note(f"note: {text}")
    if json:
        print_json(
            [
                {"name": n, "summary": s.summary, **msgspec.to_builtins(s.capabilities)}
                for rows in found.values()
                for n, s in rows
            ]
        )
        return
    from dnnplan.reports.tables import new_table

    out = console()
    for one, rows in found.items():
        known = tuple(dict.fromkeys(name for _, solver in rows for name in solver.capabilities.objectives))
        table = new_table("solver", "exact", "bounds", "optimises", "what", title=one)
        for name, solver in rows:
            able = solver.capabilities
            proof, bounds = ("yes" if value else "no" for value in (able.exact, able.bounds))
            table.add_row(name, proof, bounds, _objectives_text(able.objectives, known), solver.summary)
        out.print(table)
        out.print(f"\nall: {', '.join(known)}\n", soft_wrap=True)


def _objectives_text(able: tuple[str, ...], known: tuple[str, ...]) -> str:
    """Objectives of a solver, in few words."""
    missing = [name for name in known if name not in able]
    if len(missing) < len(known) / 2:
        return f"all but {', '.join(missing)}" if missing else "all"
    return ", ".join(able)


def schema(
    kind: Annotated[
        Literal["events", "instance", "manifest", "pipe-event", "pipe-request", "plan", "result"],
        typer.Argument(help="Which file, or line of `dnnplan pipe`."),
    ] = "instance",
) -> None:
    """Print the JSON Schema of a kind of file."""
    from dnnplan.deploy.manifest_schema import manifest_schema_text
    from dnnplan.instances.schema import schema_text

    typer.echo(manifest_schema_text() if kind == "manifest" else schema_text(kind), nl=False)
