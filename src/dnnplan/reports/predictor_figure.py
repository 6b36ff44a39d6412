"""What a predictor learned, as a picture: predicted against measured, errors by module, the learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnnplan.costs.predict.tables import FloatArray
from dnnplan.costs.runtime.training import Training
from dnnplan.reports.gantt_figure import PALETTE, write_figure

WIDTH, HEIGHT = 12.0, 4.2
MOST_POINTS = 4000
BAND = 0.1
"""Relative error that the picture marks."""


def draw_training(
    result: Training,
    curve: Sequence[Mapping[str, float]],
    path: Path,
    *,
    overwrite: bool = True,
) -> None:
    """Draw a training; the suffix of the file says how.

    Parameters
    ----------
    curve
        What `learning_curve` found; empty: no third panel.

    Raises
    ------
    UnsupportedError
        Another suffix than .png, .svg, .pdf.
    MissingDependencyError
        matplotlib is not installed (extra ``plot``).
    """
    write_figure(lambda: _draw(result, curve), path, overwrite=overwrite)


def _draw(result: Training, curve: Sequence[Mapping[str, float]]) -> Any:
    from matplotlib.figure import Figure

    panels = 3 if curve else 2
    figure = Figure(figsize=(WIDTH * panels / 3 + 1, HEIGHT), layout="constrained")
    axes = figure.subplots(1, panels)
    measured = {name: ops.latency for name, ops in result.table.modules.items()}
    draw_scatter(axes[0], result.held, measured)
    draw_errors(axes[1], result.held, measured)
    if curve:
        draw_curve(axes[2], curve)
    return figure


def draw_scatter(axes: Any, predicted: Mapping[str, FloatArray], measured: Mapping[str, FloatArray]) -> None:
    """Predicted against measured on logarithmic axes, a colour for each module, a band of 10 %."""
    low = min(float(values.min()) for values in measured.values())
    high = max(float(values.max()) for values in measured.values())
    line = np.array([low, high])
    axes.fill_between(line, line * (1 - BAND), line * (1 + BAND), color="0.9", label="within 10 %", lw=0)
    axes.plot(line, line, color="0.6", lw=0.8)
    rng = np.random.default_rng(0)
    for at, (name, values) in enumerate(measured.items()):
        rows = rng.permutation(len(values))[: MOST_POINTS // len(measured)]
        colour = PALETTE[at % len(PALETTE)]
        axes.plot(values[rows], predicted[name][rows], ".", ms=2.5, color=colour, label=name, alpha=0.7)
    axes.set(xscale="log", yscale="log", xlabel="measured, s", ylabel="predicted, s")
    axes.set_title("Kernels of networks that were not trained on", fontsize=10)
    axes.legend(fontsize=7, markerscale=3, loc="upper left")


def draw_errors(axes: Any, predicted: Mapping[str, FloatArray], measured: Mapping[str, FloatArray]) -> None:
    """Boxes of relative errors by module: quartiles, and 5 to 95 %."""
    names = list(measured)
    errors = [100 * (predicted[name] / measured[name] - 1) for name in names]
    axes.axvspan(-100 * BAND, 100 * BAND, color="0.93", lw=0)
    axes.boxplot(errors, orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.6)
    axes.set_yticks(range(1, len(names) + 1), [f"{n} ({len(measured[n])})" for n in names], fontsize=8)
    axes.set_xlabel("predicted / measured - 1, %")
    axes.set_title("Errors by module", fontsize=10)
    axes.axvline(0, color="0.6", lw=0.8)


def draw_curve(axes: Any, curve: Sequence[Mapping[str, float]]) -> None:
    """Errors by the number of networks trained on."""
    networks = [row["networks"] for row in curve]
    axes.plot(networks, [row["op_mape"] for row in curve], "o-", color=PALETTE[0], label="operators, by time")
    axes.plot(networks, [row["e2e_mape"] for row in curve], "s-", color=PALETTE[1], label="networks")
    axes.set(xlabel="networks trained on", ylabel="mean error, %", xscale="log")
    axes.set_ylim(bottom=0)
    axes.set_xticks(networks, [f"{n:.0f}" for n in networks])
    axes.minorticks_off()
    axes.set_title("Learning curve", fontsize=10)
    axes.legend(fontsize=8)
