"""`dnnplan plan --front`: a front of two objectives of whole plans, with a picture and the knee."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnnplan.cli import solve as solving
from dnnplan.cli.consoles import note
from dnnplan.cli.front import solve_front, unit_of

if TYPE_CHECKING:
    from dnnplan.instances import Instance, Result
    from dnnplan.solvers.pareto import ParetoFront


class _FrontPoint:
    """A point as the picture of a trade-off takes it."""

    def __init__(self, measures: dict[str, float], *, proven: bool) -> None:
        self.measures, self.proven = measures, proven


def plan_front(
    instance: Instance,
    pair: tuple[str, str],
    points: int,
    method: str,
    settings: dict[str, Any],
    picture: Path | None,
    *,
    force: bool,
    json: bool,
) -> None:
    """The front of two objectives, and its picture with the knee."""
    from dnnplan.solvers.whole.planning import SOLVERS

    asked = {**settings, "problem": "whole", "solver": SOLVERS[method]}
    found = solve_front(instance, pair, points, asked, extra={}, json=json)
    if picture is not None and found.points:
        _draw_front(found, picture, force=force)
        note(f"picture: {picture}")
    if not found.points:
        solving.leave(found.failed[0])


def _draw_front(found: ParetoFront, picture: Path, *, force: bool) -> None:
    from dnnplan.reports.trade_off_figure import write_trade_off
    from dnnplan.solvers.pareto import knee_point

    first, second = found.objectives
    drawn = [
        _FrontPoint({first: p.first, second: p.second}, proven=p.result.status == "optimal")
        for p in found.points
    ]
    knee = knee_point(found)
    assert knee is not None
    write_trade_off(
        drawn,
        drawn[found.points.index(knee)],
        picture,
        by=first,
        unit=unit_of(first),
        against=second,
        against_unit=unit_of(second),
        bounds=[_bound_on(first, p.result) for p in found.points],
        overwrite=force,
    )


def _bound_on(name: str, result: Result) -> float | None:
    """The bound of a search, where it minimised that objective."""
    return result.bound if result.objective.name.split(">")[0] == name else None
