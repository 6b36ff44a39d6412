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
    overwrite: bool = False,
) -> None:
    """Draw variety against another measure, with the chosen point marked; errors are those of `write_gantt`."""
    write_figure(lambda: _draw(points, chosen, by, unit), path, overwrite=overwrite)


def _draw(points: Sequence[Point], chosen: Point, by: str, unit: str | None) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    size, name = scale_for(max((p.measures[by] for p in points), default=1.0), unit)
    x = [p.measures[by] / size for p in points]
    y = [p.measures["variety"] for p in points]
    axes.step(x, y, where="post", color=PALETTE[4], linewidth=1.2, zorder=1)
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
    at = chosen.measures[by] / size, chosen.measures["variety"]
    axes.scatter(
        *at, s=110, facecolors="none", edgecolors=PALETTE[5], linewidths=1.8, label="chosen", zorder=3
    )
    label = f"{readable(chosen.measures[by], unit)}, variety {chosen.measures['variety']:.3g}"
    axes.annotate(label, at, xytext=(10, 10), textcoords="offset points", fontsize=8.5)
    axes.set_xlabel(f"{by.replace('_', ' ')}{f' ({name})' if name else ''}")
    axes.set_ylabel("variety")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
