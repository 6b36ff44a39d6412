"""`dnnplan compare`: several solvers on one or more instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.live import progress_line
from dnnplan.cli.plans import result_tree

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Result

SOLVERS = {
    "mapping": ("compute_first", "heft", "auto"),
    "grouping": ("private", "agglomerative", "auto"),
    "selection": ("greedy", "auto"),
    "ordering": ("nearest_neighbour", "local_search", "auto"),
    "joint": ("group_then_order", "auto"),
}
"""What is compared by default: baselines first."""


def compare(
    *,
    files: opt.Files,
    solvers: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Solvers, in this order; default: a baseline or two, and auto."),
    ] = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    problem: opt.Problem_ = None,
    conditions: opt.Conditions = None,
    objective: opt.Objective = None,
    limit: opt.LimitTexts = None,
    gap: opt.Gap = 1e-4,
    time_limit: opt.TimeLimit = 60.0,
    work_limit: opt.WorkLimit = None,
    workers: opt.Workers = None,
    seed: opt.Seed = 0,
    json: opt.Json = False,
) -> None:
    """Run several solvers; every instance is a row, networks without platform are planned together.

    Exit codes: 0 at least one plan, 2 bad input, else 3 infeasible, 4 no plan found, 130 interrupted.
    """
    from dnnplan.instances.loading import load_all
    from dnnplan.instances.what_if import changed

    opt.require_problem(problem)
    names = None if solvers is None else opt.parse_solvers(solvers, problem)
    settings: dict[str, Any] = {
        "problem": problem,
        "objective": objective,
        "limits": opt.parse_limits(limit),
        "gap": gap,
        "time_limit": time_limit,
        "work_limit": work_limit,
        "workers": workers or opt.processors(),
        "seed": seed,
    }
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    loaded = load_all(list(files), platform=platform, **reading)
    instances = [opt.with_conditions(changed(instance, set_ or ()), conditions) for instance in loaded]
    rows = _run_all(instances, names, settings)
    if json:
        print_json([{"instance": instance.name, **result_tree(result)} for instance, result in rows])
    else:
        _print(rows, several=len(instances) > 1)
    codes = [exits.exit_code(result) for _, result in rows]
    if codes and exits.DONE not in codes:
        raise typer.Exit(max(codes))


def _run_all(
    instances: list[Instance], names: list[str] | None, settings: dict[str, Any]
) -> list[tuple[Instance, Result]]:
    """One result for each instance and solver; after Ctrl-C those that are there."""
    from dnnplan.solvers import solve
    from dnnplan.solvers.facade import with_objective
    from dnnplan.solvers.tasks import with_problem

    rows: list[tuple[Instance, Result]] = []
    with stop_on_interrupt() as stop:
        for instance in instances:
            asked = with_problem(with_objective(instance, settings["objective"], None), settings["problem"])[
                1
            ]
            for name in names or SOLVERS[asked]:
                if stop():
                    note(f"not run: {name} on {instance.name}")
                    continue
                with progress_line(f"{instance.name or 'instance'} with {name}") as on_progress:
                    result = solve(instance, name, stop=stop, on_progress=on_progress, **settings)
                rows.append((instance, result))
    return rows


def _print(rows: list[tuple[Instance, Result]], *, several: bool) -> None:
    from dnnplan.reports.summary import proven
    from dnnplan.reports.tables import comparison_table

    out = console()
    out.print(comparison_table(rows, several=several))
    by_instance: dict[int, list[tuple[Instance, Result]]] = {}
    for instance, result in rows:
        by_instance.setdefault(id(instance), []).append((instance, result))
    for group in by_instance.values():
        label = f"{group[0][0].name}: " if several else ""
        best = _best([result for _, result in group])
        out.print(f"{label}{best.solver}: {proven(best)}" if best else f"{label}no plan", soft_wrap=True)


def _best(results: list[Result]) -> Result | None:
    """The best plan; of equally good ones that with the better bound."""
    valid = [r for r in results if r.valid and r.objective.value is not None]
    sign = -1.0 if valid and valid[0].objective.sense == "max" else 1.0
    return min(
        valid,
        key=lambda r: (sign * (r.objective.value or 0.0), r.gap if r.gap is not None else 1.0),
        default=None,
    )
