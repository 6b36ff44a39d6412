"""What policies do, as a picture: the distribution of latencies, and batches over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.errors import InputError
from dnnplan.reports.gantt_figure import PALETTE, _literal, write_figure
from dnnplan.reports.units import readable, scale_for
from dnnplan.serving.runs import PolicyRun

Window = tuple[float, float]
MOST_SHOWN = 3
"""Policies whose batches are drawn."""
PREFERRED = ("exit_aware", "lazy", "greedy")
"""Which ones, where there are more."""
_POINTS = 600
_NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
_LINES = ("-", "--", ":")
_TICK = "#d55e00"
_LETTER = 0.0075
"""Width of a digit as a part of the width of the axes."""
_STAGES = ("#9ecae1", "#4292c6", "#2171b5", "#084594")
_OTHERS = (("#fdd0a2", "#fd8d3c", "#d94801", "#7f2704"), ("#c7e9c0", "#74c476", "#238b45", "#00441b"))


def write_serving(
    runs: Sequence[PolicyRun],
    path: str | Path,
    *,
    title: str = "",
    window: Window | None = None,
    overwrite: bool = False,
) -> None:
    """Draw latencies of all policies, and the batches of up to three in a window of time.

    Parameters
    ----------
    runs
        Of the same samples; batches are drawn of those that kept them.
    window
        First and last second; None: the busiest one, see `busiest_window`.

    Raises
    ------
    InputError
        A window in which no time passes.
    UnsupportedError, MissingDependencyError, FileExistsError
        As `dnnplan.reports.gantt_figure.write_gantt`.
    """
    if window is not None and not window[0] < window[1]:
        raise InputError(f"window: from {window[0]:g} to {window[1]:g} s, expected an end after the start")
    write_figure(lambda: draw_serving(runs, title=title, window=window), path, overwrite=overwrite)


def busiest_window(run: PolicyRun, spans: float = 12.0) -> Window:
    """The time in which most samples arrive, as long as `spans` samples take alone through a whole network."""
    problem, arrival = run.done.problem, run.done.samples.arrival
    alone = max(
        float(problem.latency[problem.first[m] : problem.first[m + 1], 1].sum())
        for m in range(len(problem.first) - 1)
    )
    length = spans * alone
    within = np.searchsorted(arrival, arrival + length, side="right") - np.arange(len(arrival))
    start = float(arrival[int(np.argmax(within))]) - 0.1 * length
    start = max(start, float(arrival[0]))
    return start, start + length


def largest_seen(run: PolicyRun, window: Window) -> int:
    """The largest batch that runs in a window; 1 where there is none."""
    log = run.done.batches
    assert log is not None
    seen = (log.end > window[0]) & (log.start < window[1])
    return int(log.size[seen].max(initial=1))


def draw_serving(runs: Sequence[PolicyRun], *, title: str = "", window: Window | None = None) -> Any:
    """A matplotlib `Figure`; no window is opened, no global state is touched."""
    from matplotlib.figure import Figure

    shown = shown_runs(runs)
    lanes = [(run, device) for run in shown for device in np.flatnonzero(run.done.busy > 0).tolist()]
    heights = [3.9, *([0.95] * len(lanes))]
    figure = Figure(figsize=(11.0, 1.15 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    _draw_latencies(figure.add_subplot(grid[0]), runs)
    if lanes:
        span = window or busiest_window(shown[0])
        highest = max(largest_seen(run, span) for run in shown)
        first = None
        for row, (run, device) in enumerate(lanes, start=1):
            axes = figure.add_subplot(grid[row], sharex=first)
            first = first or axes
            _draw_lane(axes, run, device, span, highest, last=row == len(lanes))
        _draw_stages(figure, shown[0])
    if title:
        figure.suptitle(_literal(title), fontsize=11.5, fontweight="bold", x=0.01, ha="left")
    return figure


def shown_runs(runs: Sequence[PolicyRun]) -> list[PolicyRun]:
    """The policies whose batches are drawn: all of a few; of many the preferred ones, else the first."""
    able = [run for run in runs if run.done.batches is not None]
    if len(able) <= MOST_SHOWN:
        return able
    chosen = [run for name in PREFERRED for run in able if run.figures.policy == name]
    chosen += [run for run in able if run not in chosen]
    return sorted(chosen[:MOST_SHOWN], key=able.index)


def _draw_latencies(axes: Any, runs: Sequence[PolicyRun]) -> None:
    """Percentiles on an axis of nines: equal steps for 90, 99 and 99.9 %, so that tails can be read."""
    latencies = [np.sort(run.done.latency[np.isfinite(run.done.latency)]) for run in runs]
    middle = [float(np.median(values)) for values in latencies if len(values)]
    size, unit = scale_for(min(middle, default=1.0), "s")
    most = max((run.done.samples.arrival.size for run in runs), default=1)
    order = sorted(range(len(runs)), key=lambda k: _at(latencies[k], 0.99))
    for place, k in enumerate(order):
        values, count = latencies[k], len(runs[k].done.latency)
        if not len(values):
            continue
        shares, x = _curve(values, count)
        hue = PALETTE[place % len(PALETTE)]
        if len(values) < count:
            axes.plot(x[-1] / size, nines(shares)[-1], marker="o", markersize=4, color=hue, zorder=3)
        axes.plot(
            x / size,
            nines(shares),
            color=hue,
            linestyle=_LINES[place // len(PALETTE) % len(_LINES)],
            linewidth=2.4 if runs[k].figures.policy == PREFERRED[0] else 1.4,
            label=_label(runs[k]),
            zorder=3,
        )
    slos = sorted({slo for run in runs for slo in _objectives(run)})
    for slo in slos:
        axes.axvline(slo / size, color="#222222", linewidth=1.0, linestyle="--", zorder=2)
        axes.annotate(
            f"objective {readable(slo, 's')}",
            (slo / size, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=8,
            color="#222222",
        )
    ticks = [share for share in _NINES if share < 1 - 1 / max(most, 2)]
    axes.set_yticks([nines(np.array(t)).item() for t in ticks], [f"{t * 100:g} %" for t in ticks])
    axes.set_ylim(0, nines(np.array(max(ticks[-1], 1 - 1 / max(most, 2)))).item() * 1.02)
    axes.set_xscale("log")
    found = [values for values in latencies if len(values)]
    if found:
        least, greatest = min(values[0] for values in found), max(values[-1] for values in found)
        axes.set_xlim(0.9 * least / size, 1.15 * max([greatest, *slos]) / size)
    _plain_ticks(axes)
    axes.set_xlabel(f"latency [{unit}]")
    axes.set_ylabel("samples that have left by then")
    axes.grid(color="#d5d5d5", linewidth=0.6, zorder=1)
    if not found:
        return
    axes.legend(
        title="policy: p99",
        loc="upper left",
        framealpha=0.9,
        edgecolor="none",
        fontsize=9,
        title_fontsize=9,
        alignment="left",
    ).set_zorder(5)


def nines(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log10(1 - share): 0 for 0 %, 1 for 90 %, 2 for 99 %.

    >>> nines(np.array([0.0, 0.9, 0.99])).round(6).tolist()
    [0.0, 1.0, 2.0]
    """
    found: NDArray[np.float64] = -np.log10(np.maximum(1.0 - shares, 1e-12)) + 0.0
    return found


def _curve(values: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of all samples, close together at the end, and the latencies that they keep."""
    last = len(values) - 1
    top = nines(np.array(last / count))
    at = np.unique(
        (count * (1 - 10 ** -np.linspace(0.0, float(top), _POINTS))).astype(np.int64).clip(0, last)
    )
    return at / count, values[at]


def _at(values: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else np.inf


def _label(run: PolicyRun) -> str:
    dropped = run.figures.drop_rate.value
    left_out = f", {dropped * 100:.2g} % dropped" if dropped > 0 else ""
    return f"{_literal(run.figures.policy)}: {readable(run.figures.p99.value, 's')}{left_out}"


def _objectives(run: PolicyRun) -> list[float]:
    return [stream.slo for stream in run.done.problem.streams if np.isfinite(stream.slo)]


def _plain_ticks(axes: Any) -> None:
    """Numbers on a logarithmic axis as people write them, a few between powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    decades = np.log10(high / low) if low > 0 else 1.0
    subs = (1.0,) if decades > 4 else ((1.0, 3.0) if decades > 2 else (1.0, 2.0, 5.0))
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _shade(run: PolicyRun, stage: int) -> str:
    """Colour of a stage: one hue a network, darker with depth."""
    problem = run.done.problem
    model = int(problem.model[stage])
    first, end = int(problem.first[model]), int(problem.first[model + 1])
    hues = (_STAGES, *_OTHERS)[model % 3]
    depth = (stage - first) / max(end - first - 1, 1)
    return hues[round(depth * (len(hues) - 1))]


def _draw_lane(axes: Any, run: PolicyRun, device: int, window: Window, largest: int, *, last: bool) -> None:
    """Batches on a device: as high as they are large, with the number of samples where it fits."""
    problem, log = run.done.problem, run.done.batches
    assert log is not None
    start, end = window
    size, unit = scale_for(end - start, "s")
    seen = np.flatnonzero((problem.device[log.stage] == device) & (log.end > start) & (log.start < end))
    for k in seen.tolist():
        left, right = max(log.start[k], start), min(log.end[k], end)
        stage, count = int(log.stage[k]), int(log.size[k])
        axes.bar(
            (left - start) / size,
            count,
            width=(right - left) / size,
            align="edge",
            color=_shade(run, stage),
            edgecolor="white",
            linewidth=0.5,
            zorder=3,
        )
        if (right - left) / (end - start) > _LETTER * len(str(count)):
            axes.text(
                ((left + right) / 2 - start) / size,
                count + 0.03 * largest,
                str(count),
                ha="center",
                va="bottom",
                fontsize=6.5,
                color="#333333",
            )
    if device == problem.device[problem.first[0]]:
        arrival = run.done.samples.arrival
        within = arrival[(arrival >= start) & (arrival <= end)]
        axes.plot(
            (within - start) / size,
            np.full(len(within), -0.09 * largest),
            linestyle="none",
            marker="|",
            markersize=5,
            markeredgewidth=0.8,
            color=_TICK,
            clip_on=False,
            zorder=4,
        )
    axes.set_xlim(0, (end - start) / size)
    axes.set_ylim(-0.2 * largest, 1.3 * largest)
    axes.set_yticks([0, largest])
    axes.grid(axis="x", color="#d5d5d5", linewidth=0.6, zorder=1)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.tick_params(axis="x", labelbottom=last, length=3.5 if last else 0)
    axes.spines["bottom"].set_visible(last)
    name = _literal(run.figures.policy)
    if (run.done.busy > 0).sum() > 1:
        name = f"{name}\n{_literal(problem.devices[device])}"
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    if last:
        axes.set_xlabel(
            f"time since {readable(start, 's')} [{unit}]; height and number: samples in the batch"
        )


def _draw_stages(figure: Any, run: PolicyRun) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=_shade(run, q), label=_literal(name)) for q, name in enumerate(run.done.problem.stages)
    ]
    handles.append(Line2D([], [], label="arrival", linestyle="none", marker="|", markersize=7, color=_TICK))
    figure.legend(handles=handles, loc="outside lower left", ncols=6, frameon=False, fontsize=8.5)
