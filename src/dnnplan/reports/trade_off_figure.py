"""The trade-off between what sharing saves and what it costs, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dnnplan.reports.gantt_figure import PALETTE, write_figure
from dnnplan.reports.units import readable, scale_for


class Point(Protocol):
    """A point of a trade-off curve."""

    @property
    def measures(self) -> Mapping[str, float]:
        """Figures by name."""

    @property
    def proven(self) -> bool:
        """Whether nothing beats it in both figures."""


def write_trade_off(
    points: Sequence[Point],
    chosen: Point,
    path: str | Path,
    *,
    by: str,
    unit: str | None = None,
    against: str = "variety",
    against_unit: str | None = None,
    bounds: Sequence[float | None] = (),
    overwrite: bool = False,
) -> None:
    """Draw variety, or what else is named, against another measure, with the chosen point marked.

    Errors are those of `write_gantt`.

    Parameters
    ----------
    bounds
        For each point what no plan under its limit can fall below in the measure `by`; drawn as a line to it.
    """
    names = (by, unit), (against, against_unit)
    write_figure(lambda: _draw(points, chosen, names, bounds), path, overwrite=overwrite)


def _draw(
    points: Sequence[Point],
    chosen: Point,
    names: tuple[tuple[str, str | None], tuple[str, str | None]],
    bounds: Sequence[float | None],
) -> Any:
    from matplotlib.figure import Figure

    (by, unit), (against, against_unit) = names

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    size, name = scale_for(max((p.measures[by] for p in points), default=1.0), unit)
    x = [p.measures[by] / size for p in points]
    height, other = scale_for(max((p.measures[against] for p in points), default=1.0), against_unit)
    y = [p.measures[against] / height for p in points]
    axes.step(x, y, where="post", color=PALETTE[4], linewidth=1.2, zorder=1)
    gaps = [(b / size, k) for k, b in enumerate(bounds) if b is not None and b / size < x[k] * (1 - 1e-4)]
    for number, (bound, k) in enumerate(gaps):
        label = "down to the bound" if number == 0 else None
        axes.plot([bound, x[k]], [y[k], y[k]], color="#888888", linewidth=1.0, zorder=0, label=label)
    for proven, marker in ((True, "o"), (False, "x")):
        where = [k for k, p in enumerate(points) if p.proven is proven]
        label = "proven" if proven else "best found"
        if where:
            axes.scatter(
                [x[k] for k in where],
                [y[k] for k in where],
                s=16,
                marker=marker,
                color=PALETTE[0],
                label=label,
            )
    at = chosen.measures[by] / size, chosen.measures[against] / height
    axes.scatter(
        *at, s=110, facecolors="none", edgecolors=PALETTE[5], linewidths=1.8, label="chosen", zorder=3
    )
    figure_of = chosen.measures[against]
    second = f"{against} {figure_of:.3g}" if against_unit is None else readable(figure_of, against_unit)
    label = f"{readable(chosen.measures[by], unit)}, {second}"
    axes.annotate(label, at, xytext=(10, 10), textcoords="offset points", fontsize=8.5)
    axes.set_xlabel(f"{by.replace('_', ' ')}{f' ({name})' if name else ''}")
    axes.set_ylabel(f"{against.replace('_', ' ')}{f' ({other})' if other else ''}")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
