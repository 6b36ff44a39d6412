"""`dnnplan solve --pareto`: a front of two objectives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnplan.cli.consoles import console, print_json
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.live import progress_line
from dnnplan.cli.plans import result_tree
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.instances import Instance
    from dnnplan.solvers.pareto import ParetoFront


def pair_of(pareto: str | None, objective: str | None, output: Path | None) -> tuple[str, str] | None:
    """The two objectives of --pareto."""
    if pareto is None:
        return None
    names = [name.strip() for name in pareto.split(",")]
    if len(names) != 2 or not all(names):
        raise InputError(f"--pareto {pareto}: expected two objectives, e.g. latency,energy")
    if objective is not None:
        raise InputError("--pareto names the objectives; it does not go with --objective")
    if output is not None:
        raise InputError("--pareto gives several plans; it does not go with --output (use --json)")
    return names[0], names[1]


def solve_front(
    instance: Instance,
    pair: tuple[str, str],
    points: int,
    settings: dict[str, Any],
    *,
    extra: dict[str, Any],
    json: bool,
) -> ParetoFront:
    """Search a front with a live line, and print it; `extra` goes into the JSON."""
    from dnnplan.solvers.pareto import pareto_front

    title = f"{instance.name or 'instance'}: {pair[1]} against {pair[0]}"
    with stop_on_interrupt() as stop, progress_line(title) as on_progress:
        front = pareto_front(instance, *pair, points=points, stop=stop, on_progress=on_progress, **settings)
    if json:
        print_json(_front_tree(front) | extra)
    else:
        _print_front(front)
    return front


def _front_tree(front: ParetoFront) -> dict[str, Any]:
    rows = [
        {
            "values": {front.objectives[0]: point.first, front.objectives[1]: point.second},
            "limit": point.limit,
            **result_tree(point.result),
        }
        for point in front.points
    ]
    return {"front": rows, "objectives": list(front.objectives), "step": front.step}


def _print_front(front: ParetoFront) -> None:
    from dnnplan.costs.objectives import UNITS
    from dnnplan.reports.tables import new_table
    from dnnplan.reports.units import percent, readable

    first, second = front.objectives
    table = new_table(f">{first}", f">{second}", f">limit on {second}", "status", ">gap", "minimised")
    for point in front.points:
        table.add_row(
            readable(point.first, UNITS[first]),
            readable(point.second, UNITS[second]),
            readable(point.limit, UNITS[second]),
            point.result.status,
            percent(point.result.gap),
            point.result.objective.name,
        )
    out = console()
    out.print(table)
    out.print(
        f"{len(front.points)} plans; limits on {second} in steps of {readable(front.step, UNITS[second])}"
    )
