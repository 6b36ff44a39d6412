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


def pair_of(
    pareto: str | None, objective: str | None, output: Path | None, *, option: str = "--pareto"
) -> tuple[str, str] | None:
    """The two objectives of an option."""
    if pareto is None:
        return None
    names = [name.strip() for name in pareto.split(",")]
    if len(names) != 2 or not all(names):
        raise InputError(f"{option} {pareto}: expected two objectives, e.g. latency,energy")
    if objective is not None:
        raise InputError(f"{option} names the objectives; it does not go with --objective")
    if output is not None:
        raise InputError(f"{option} gives several plans; it does not go with --output (use --json)")
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
    from dnnplan.solvers.pareto import knee_point

    knee = knee_point(front)
    chosen = None if knee is None else front.points.index(knee)
    return {"front": rows, "objectives": list(front.objectives), "step": front.step, "chosen": chosen}


def unit_of(name: str) -> str | None:
    """Unit of an objective."""
    from dnnplan.costs.objectives import UNITS
    from dnnplan.reports.tables import MEASURE_UNITS

    return UNITS.get(name, MEASURE_UNITS.get(name))


def _print_front(front: ParetoFront) -> None:
    from dnnplan.reports.tables import new_table
    from dnnplan.reports.units import percent, readable
    from dnnplan.solvers.pareto import knee_point

    first, second = front.objectives
    units = unit_of(first), unit_of(second)
    table = new_table(f">{first}", f">{second}", f">limit on {second}", "status", ">gap", "minimised", "")
    knee = knee_point(front) if len(front.points) > 2 else None
    for point in front.points:
        table.add_row(
            readable(point.first, units[0]),
            readable(point.second, units[1]),
            readable(point.limit, units[1]),
            point.result.status,
            percent(point.result.gap),
            point.result.objective.name,
            "<- knee" if point is knee else "",
        )
    out = console()
    out.print(table)
    out.print(f"{len(front.points)} plans; limits on {second} in steps of {readable(front.step, units[1])}")
