"""What the grid of serving found, as figures over all cells and as a picture.

python -m benchmarks.serving_page STORE --output docs/images/serving-grid.png
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.serving_grid import ARRIVALS, HEAVY, INSTANCES, LOADS, TOLERANCE, Cell, cells
from dnnplan.instances import DnnplanError
from dnnplan.reports.gantt_figure import write_figure
from dnnplan.reports.runs import Row

MEASURES = {"mean": "mean latency", "p99": "99th percentile", "violations": "late samples"}
SPAN = 0.25
"""Ratios as far from 1 as this have the strongest colour."""
_BEST = re.compile(r"(mean|p99|violations) [^,;]+, ([\d.]+|inf) of (\w+)")
_AVERAGE = re.compile(r"others on average ([\d.]+) times \((\w+)\)")


@dataclass(frozen=True)
class Found:
    """One measure of a cell: ours over the best of the others, which one that is, and others on average over ours."""

    cell: Cell
    measure: str
    ratio: float
    rival: str
    average: float


def read_grid(rows: Sequence[Row]) -> list[Found]:
    """Measures of all cells that the rows have."""
    messages = {
        row.instance.removeprefix("grid:"): row.message for row in rows if row.instance.startswith("grid:")
    }
    found = []
    for cell in cells():
        message = messages.get(cell.name, "")
        averages = {measure: float(gain) for gain, measure in _AVERAGE.findall(message)}
        for measure, ratio, rival in _BEST.findall(message):
            found.append(Found(cell, measure, float(ratio), rival, averages.get(measure, math.nan)))
    return found


def averages(found: Sequence[Found]) -> dict[str, tuple[float, float, int]]:
    """By measure: others on average over ours, the best of the others over ours, and cells; geometric means."""
    result = {}
    for measure in MEASURES:
        mine = [each for each in found if each.measure == measure]
        gains = [each.average for each in mine if each.average > 0]
        best = [each.ratio for each in mine if 0 < each.ratio < math.inf]
        if gains and best:
            result[measure] = (_mean(gains), 1.0 / _mean(best), len(mine))
    return result


def _mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def averages_text(found: Sequence[Found]) -> str:
    """The averages in a line."""
    return "; ".join(
        f"{MEASURES[measure]}: others {others:.2f} times ours on average, the best of them {best:.2f} ({count} cells)"
        for measure, (others, best, count) in averages(found).items()
    )


def draw_grid(found: Sequence[Found]) -> object:
    """Ours over the best of the others in every cell; a panel for each network on its array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.2), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    lines = [(arrivals, measure) for arrivals in ARRIVALS for measure in ("mean or late", "p99")]
    shown: Any = None
    for panel, instance in zip(panels, INSTANCES, strict=True):
        values = [[math.nan] * len(LOADS) for _ in lines]
        for each in found:
            if each.cell.instance != instance:
                continue
            kind = "p99" if each.measure == "p99" else "mean or late"
            row, column = lines.index((each.cell.arrivals, kind)), LOADS.index(each.cell.load)
            values[row][column] = each.ratio
            strong = abs(each.ratio - 1) > 0.6 * SPAN
            rival = each.rival.replace("_", "\n")
            text = f"{each.ratio:.2f}\n{rival}"
            panel.text(
                column, row, text, ha="center", va="center", fontsize=6, color="white" if strong else "black"
            )
        shown = panel.imshow(values, cmap="PuOr_r", vmin=1 - SPAN, vmax=1 + SPAN, aspect="auto")
        panel.axvline(LOADS.index(HEAVY) - 0.5, color="black", linewidth=1)
        panel.set_title(instance, fontsize=10)
        panel.set_xticks(range(len(LOADS)), [f"{load:g}" for load in LOADS])
        panel.set_yticks(
            range(len(lines)), [f"{arrivals}\n{measure}" for arrivals, measure in lines], fontsize=8
        )
    figure.supxlabel(
        "load (from the line on: share of late or dropped samples; before it: mean and 99th percentile)"
    )
    figure.colorbar(
        shown, ax=figure.axes, shrink=0.6, label="exit_aware over the best other policy, named in the cell"
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the averages, and write the picture."""
    from benchmarks.report import read_rows  # it imports what judges rows, which imports this module

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_page", description=__doc__)
    parser.add_argument("store", help="store of the suite `serving`")
    parser.add_argument("--output", metavar="FILE", help="picture to write; replaced if it exists")
    asked = parser.parse_args(arguments)
    try:
        found = read_grid(read_rows(asked.store))
        worst = max((each.ratio for each in found), default=math.nan)
        within = sum(each.ratio <= TOLERANCE for each in found)
        sys.stdout.write(f"{averages_text(found)}\n{within} of {len(found)} within 2 %, worst {worst:.3f}\n")
        if asked.output is not None:
            write_figure(lambda: draw_grid(found), asked.output, overwrite=True)
    except (DnnplanError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
