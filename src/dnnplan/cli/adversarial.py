"""`dnnplan adversarial`: the instance on which one solver is worst against another."""

from __future__ import annotations

from typing import Annotated

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import note, print_json
from dnnplan.cli.interrupts import stop_on_interrupt


def adversarial(
    *,
    solver: Annotated[str, typer.Option(help="The solver that is to do badly.", show_default=False)],
    against: Annotated[str, typer.Option(help="The solver that it is compared with.", show_default=False)],
    tasks: Annotated[int, typer.Option(help="Tasks of the instance.")] = 6,
    devices: Annotated[int, typer.Option(help="Devices of the instance.")] = 3,
    steps: Annotated[int, typer.Option(help="Instances that a search tries.")] = 1000,
    starts: Annotated[int, typer.Option(help="Searches, each with a seed of its own; the worst counts.")] = 1,
    seed: opt.Seed = 0,
    output: opt.Output = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Search for a small instance on which the plan of a solver takes much longer than that of another one.

    The same seed gives the same instance, where both solvers do. Ctrl-C ends the search with what it has.
    """
    from dnnplan.instances.canonical import plain
    from dnnplan.instances.files import write_instance
    from dnnplan.solvers.adversarial import find_adversarial

    opt.require_free(output, force=force, suffixes=(".json", ".yaml", ".yml"))
    with stop_on_interrupt() as stop:
        found = find_adversarial(
            solver, against, tasks=tasks, devices=devices, steps=steps, seed=seed, starts=starts, stop=stop
        )
    instance = found.recorded()
    if output is not None:
        write_instance(instance, output, overwrite=force)
        note(f"instance: {output}")
    if json:
        print_json(
            {
                "solver": solver,
                "against": against,
                "ratio": found.ratio,
                "first": found.first,
                "steps": found.steps,
                "seed": found.seed,
                "instance": {"format_version": instance.format_version, **plain(instance)},
            }
        )
        return
    typer.echo(
        f"{solver} takes {found.ratio:.4g} times as long as {against} (at first {found.first:.4g}); "
        f"seed {found.seed}, {found.steps} steps"
    )
