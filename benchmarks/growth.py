"""How the time of the heuristics grows with the number of layers: a fitted exponent, and a plot.

`python -m benchmarks.growth --output benchmarks/results/growth.svg` draws it.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.case import Measured

HEURISTICS = ("compute_first", "heft", "peft", "cpop", "minmin", "maxmin", "sufferage", "etf", "lookahead")
SIZES = (100, 300, 1_000, 3_000, 10_000)
DEVICES = 16
MOST_EXPONENT = 1.35
"""What counts as near-linear: n log n between 100 and 10,000 layers has an exponent of 1.15."""
RUNS, PATIENCE = 5, 20.0
SEED = 0


def measure(name: str) -> Measured:
    """The exponent of one heuristic, ``growth-heft``: seconds ~ layers ** exponent."""
    solver = name.removeprefix("growth-")
    points = points_of(solver)
    slope = exponent(points)
    note = ", ".join(f"{layers}: {seconds * 1e3:.3g} ms" for layers, seconds in points)
    return Measured(slope, "", MOST_EXPONENT, slope <= MOST_EXPONENT, note)


def points_of(solver: str) -> list[tuple[int, float]]:
    """(layers, seconds), measured from large to small: kernels that large problems compile serve the small ones too."""
    return [(layers, seconds_of(solver, layers)) for layers in reversed(SIZES)][::-1]


def exponent(points: Sequence[tuple[int, float]]) -> float:
    """Slope of the least-squares line through (log layers, log seconds)."""
    layers, seconds = np.log([p[0] for p in points]), np.log([max(p[1], 1e-9) for p in points])
    return float(np.polyfit(layers, seconds, 1)[0])


def seconds_of(solver: str, layers: int) -> float:
    """Median of a few warm runs on a fresh view of a layered network, the evaluation of the plan included."""
    from dnnplan.costs import mapping_problem
    from dnnplan.instances.generators import generate
    from dnnplan.solvers import Search, Settings, get_solver
    from dnnplan.solvers.lists.heft import warm_up

    warm_up()
    problem = mapping_problem(generate("layered", layers, devices=DEVICES, seed=SEED))
    chosen = get_solver(solver)
    samples: list[float] = []
    for run in range(RUNS + 1):
        fresh = dataclasses.replace(problem)
        began = time.perf_counter()
        chosen.run(fresh, Search(fresh, Settings(time_limit=None)))
        took = time.perf_counter() - began
        if run > 0:  # the first may wait for the compiler
            samples.append(took)
        if sum(samples) > PATIENCE:
            break
    return statistics.median(samples)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all heuristics and draw them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="picture: .svg, .png or .pdf"
    )
    asked = parser.parse_args(arguments)
    lines = {solver: points_of(solver) for solver in HEURISTICS}
    draw(lines, asked.output)
    for solver, points in lines.items():
        sys.stdout.write(f"{solver:<14} {exponent(points):.2f}\n")
    return 0


def draw(lines: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Seconds over layers, both on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for marker, (solver, points) in zip("osv^<>Dpx*", lines.items(), strict=False):
        layers, seconds = zip(*points, strict=True)
        axes.loglog(layers, seconds, marker=marker, label=f"{solver} ({exponent(points):.2f})")
    axes.set_xlabel(f"layers ({DEVICES} devices)")
    axes.set_ylabel("seconds, warm")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(title="heuristic (exponent)", frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    sys.exit(main())
