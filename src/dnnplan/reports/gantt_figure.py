"""A Gantt chart as a picture (PNG, SVG, PDF), drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from dnnplan.instances import MissingDependencyError, UnsupportedError
from dnnplan.reports.schedule import Bar, Row, Schedule
from dnnplan.reports.units import percent, readable, scale_for

# Okabe and Ito (2008): told apart with every kind of colour vision; then the same, lighter.
PALETTE = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#b3a800",
    "#555555",
)
SUFFIXES = (".png", ".svg", ".pdf")
_DARK = ("#0072b2", "#009e73", "#d55e00", "#555555")
_DEVICE_HEIGHT, _LINK_HEIGHT = 0.74, 0.3
_LETTER = 0.0058
"""Width of a letter of a label as a part of the width of the axes."""
_EDGE = 0.004
"""Bars shorter than this part of the makespan have no white edge, which would hide them."""
_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "hatch.linewidth": 0.6,
    "hatch.color": "white",
    "svg.hashsalt": "dnnplan",
    "svg.fonttype": "none",
}


def write_gantt(schedule: Schedule, path: str | Path, *, overwrite: bool = False) -> None:
    """Draw a plan into a file; its suffix says how: ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    UnsupportedError
        Another suffix.
    MissingDependencyError
        matplotlib is not installed (extra ``plot``).
    FileExistsError
        The file exists and `overwrite` is not set.
    """
    write_figure(lambda: draw_gantt(schedule), path, overwrite=overwrite)


def write_figure(draw: Callable[[], Any], path: str | Path, *, overwrite: bool = False) -> None:
    """Draw a figure of matplotlib into a file, the same for the same figure; errors are those of `write_gantt`."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise UnsupportedError(
            f"{target}: pictures are written as {', '.join(SUFFIXES)}, not '{target.suffix}'"
        )
    if not overwrite and target.exists():
        raise FileExistsError(f"{target} exists; it is not overwritten unless asked")
    matplotlib = _matplotlib()
    metadata = {".png": {"Software": "dnnplan"}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(_STYLE):
        figure = draw()
        picture = BytesIO()
        kind = target.suffix.lower()
        figure.savefig(picture, format=kind[1:], dpi=150, metadata=metadata[kind])
    with target.open("wb" if overwrite else "xb") as stream:
        stream.write(picture.getvalue())


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError(
            'pictures need the package "matplotlib": pip install "dnnplan[plot]"'
        ) from error
    return matplotlib


def draw_gantt(schedule: Schedule) -> Any:
    """A matplotlib `Figure` of a plan; no window is opened, no global state is touched."""
    _matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, chart_height(schedule)), layout="constrained")
    draw_chart(figure.add_subplot(), schedule)
    draw_legend(figure, schedule)
    figure.suptitle(_literal(title(schedule)), fontsize=11.5, fontweight="bold", x=0.01, ha="left")
    return figure


def chart_height(schedule: Schedule) -> float:
    """Inches that the chart of a plan takes, with its legend and a title."""
    rows = sum(_row_heights(schedule))
    legend_rows = -(-max(1, len(schedule.networks)) // 5)
    return 1.45 + 0.52 * rows + 0.24 * legend_rows


def _row_heights(schedule: Schedule) -> list[float]:
    return [1.0 if row.kind == "device" else 0.55 for row in schedule.drawn_rows]


def draw_chart(axes: Any, schedule: Schedule) -> None:
    """Draw the rows of a plan."""
    factor, _ = scale_for(schedule.latency, "s")
    middle, middles = 0.0, []
    for row, height in zip(schedule.drawn_rows, _row_heights(schedule), strict=True):
        middle += height / 2
        middles.append(middle)
        _draw_row(axes, row, middle, schedule.latency, factor)
        middle += height / 2
    _draw_axes(axes, schedule, middles, middle)


def title(schedule: Schedule) -> str:
    """Name, objective, bound and gap, as far as they are known."""
    parts = [f"latency {readable(schedule.latency, 's')}"]
    if schedule.objective != "latency":
        parts.append(f"{schedule.objective} {readable(schedule.value, schedule.unit)}")
    if schedule.bound is not None:
        parts.append(f"bound {readable(schedule.bound, schedule.unit)}")
    if schedule.gap is not None:
        parts.append("proven optimal" if schedule.gap <= 1e-4 else f"gap {percent(schedule.gap)}")
    return f"{schedule.name or 'plan'}   —   {', '.join(parts)}"


def colour(network: int) -> str:
    """Colour of a network."""
    return PALETTE[network % len(PALETTE)]


def _literal(text: str) -> str:
    """Text as it is: no formulas between dollar signs, nothing that cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("$", r"\$")


def _draw_row(axes: Any, row: Row, middle: float, latency: float, factor: float) -> None:
    height = _DEVICE_HEIGHT if row.kind == "device" else _LINK_HEIGHT
    lane = height / row.lanes
    top = middle - height / 2
    axes.axhspan(top, top + height, color="#f1f1f1", lw=0, zorder=0)
    for (network, at, wide), bars in _grouped(row, latency).items():
        span = (top + at * lane, lane)
        edge = {"edgecolor": "white", "linewidth": 0.5} if wide else {"linewidth": 0}
        solid = [(b.compute[0] / factor, (b.compute[1] - b.compute[0]) / factor) for b in bars]
        axes.broken_barh(solid, span, facecolors=colour(network), zorder=3, **edge)
        moving = [part for b in bars for part in _moving(b, factor)]
        if moving:
            axes.broken_barh(moving, span, facecolors=colour(network), alpha=0.45, zorder=2, linewidth=0)
    if row.kind == "device" and row.lanes == 1:
        for bar in row.bars:
            _label(axes, bar, middle, latency, factor)


def _grouped(row: Row, latency: float) -> dict[tuple[int, int, bool], list[Bar]]:
    """Bars by network, lane, and whether they are wide enough for an edge.

    One collection each, so that plans of thousands of layers draw quickly.
    """
    groups: dict[tuple[int, int, bool], list[Bar]] = {}
    for bar in row.bars:
        wide = bar.compute[1] - bar.compute[0] > _EDGE * latency
        groups.setdefault((bar.network, bar.lane, wide), []).append(bar)
    return groups


def _moving(bar: Bar, factor: float) -> list[tuple[float, float]]:
    """The parts of a call in which it moves tensors or loads weights."""
    parts = ((bar.start, bar.compute[0]), (bar.compute[1], bar.end))
    return [(a / factor, (b - a) / factor) for a, b in parts if b > a]


def _label(axes: Any, bar: Bar, middle: float, latency: float, factor: float) -> None:
    """The name of a layer, where it fits."""
    begin, end = bar.compute
    room = (end - begin) / latency / _LETTER
    if len(bar.detail) + 1 > room:
        return
    shade = "white" if colour(bar.network) in _DARK else "black"
    axes.text(
        (begin + end) / 2 / factor,
        middle,
        _literal(bar.detail),
        ha="center",
        va="center",
        fontsize=7.5,
        color=shade,
        zorder=4,
    )


def _draw_axes(axes: Any, schedule: Schedule, middles: list[float], bottom: float) -> None:
    rows = schedule.drawn_rows
    factor, unit = scale_for(schedule.latency, "s")
    end = schedule.latency / factor
    axes.set_xlim(0, end if end > 0 else 1)
    axes.set_ylim(bottom, 0)
    axes.set_yticks(middles, [_literal(row.name) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row.kind == "link":
            label.set(color="#555555", fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"time [{unit}]")
    axes.grid(axis="x", color="#d5d5d5", linewidth=0.6, zorder=1)
    axes.set_axisbelow(True)
    axes.axvline(end, color="#222222", linewidth=1.0, zorder=5)
    for row, middle in zip(rows, middles, strict=True):
        axes.annotate(
            f"{row.share * 100:.0f} %",
            (1.0, middle),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9 if row.kind == "device" else 8,
            color="#222222" if row.kind == "device" else "#555555",
        )
    if (
        schedule.bound is not None
        and schedule.unit == "s"
        and 0 < schedule.bound < schedule.latency * (1 - 1e-4)
    ):
        axes.axvline(schedule.bound / factor, color="#222222", linewidth=1.0, linestyle="--", zorder=5)


def draw_legend(figure: Any, schedule: Schedule) -> None:
    """Name the colours of a plan under its figure."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=colour(i), label=_literal(name)) for i, name in enumerate(schedule.networks)
    ]
    if any(_moving(bar, 1.0) for row in schedule.rows for bar in row.bars):
        handles.append(Patch(color="#555555", alpha=0.45, label="moves tensors or weights"))
    if (
        schedule.bound is not None
        and schedule.unit == "s"
        and 0 < schedule.bound < schedule.latency * (1 - 1e-4)
    ):
        handles.append(Line2D([], [], color="#222222", linestyle="--", linewidth=1.0, label="proven bound"))
    if hidden := len(schedule.used_rows) - len(schedule.drawn_rows):
        handles.append(Line2D([], [], linestyle="none", label=f"{hidden} less busy links not shown"))
    figure.legend(handles=handles, loc="outside lower left", ncols=5, frameon=False, fontsize=9)
