"""`make demo`: two real networks on one phone, planned by the baseline, by heft and by auto."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dnnplan.cli.live import progress_line
from dnnplan.costs import evaluate
from dnnplan.instances import DnnplanError, Instance, Result
from dnnplan.instances.catalogue import combine, load_platform
from dnnplan.instances.files import write_instance, write_plan, write_text
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.reports.gantt_figure import write_gantt
from dnnplan.reports.gantt_text import gantt_text
from dnnplan.reports.schedule import make_schedule
from dnnplan.reports.summary import proven
from dnnplan.reports.tables import new_table
from dnnplan.reports.trace import trace_text
from dnnplan.reports.units import percent, readable
from dnnplan.solvers import solve

NETWORKS = ("resnet50", "inception-v1")
PLATFORM = "phone-soc"
SOLVERS = ("compute_first", "heft", "auto")
SECONDS = 20.0
WIDTH = 100
"""Columns of the chart, at most; of everything where the output is not a terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if every plan is valid."""
    return command(run, "benchmarks.demo", __doc__, "seconds for each solver", arguments)


def command(
    demo: Callable[[Path, float, Console], int],
    module: str,
    about: str | None,
    limit: str,
    arguments: Sequence[str] | None,
) -> int:
    """The command line of a demo: its folder and time limit; 2 and a message if something is wrong."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--output", default="demo-output", metavar="FOLDER", help="where files are written")
    parser.add_argument("--time-limit", type=float, default=SECONDS, metavar="S", help=limit)
    asked = parser.parse_args(arguments)
    # Not a terminal: wide enough for the table, instead of the 80 columns that rich assumes.
    out = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        return demo(Path(asked.output), asked.time_limit, out)
    except (DnnplanError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def run(folder: Path, time_limit: float, out: Console) -> int:
    """Import, plan, compare, write, and say what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    instance = import_networks(out)
    results = [_solve(instance, solver, time_limit) for solver in SOLVERS]
    out.print()
    out.print(comparison(results))
    best = results[-1]
    if best.plan is None:
        out.print(proven(best))
        return 1
    schedule = make_schedule(evaluate(instance, best.plan), best)
    out.print()
    out.print(gantt_text(schedule, width=min(out.width, WIDTH)))
    out.print()
    for path, what in write_files(instance, best, folder):
        out.print(f"{what:<10} {path}", soft_wrap=True)
    out.print()
    out.print(conclusion(results), soft_wrap=True)
    return 0 if all(result.valid for result in results) else 1


def import_networks(out: Console) -> Instance:
    """Read the networks from the files of the installed `onnx` package and put them on the platform."""
    paths, models = light_network_paths(), []
    for name in NETWORKS:
        began = time.perf_counter()
        model, _ = read_onnx(paths[name], name=name)
        flops = sum(layer.flops for layer in model.layers)
        out.print(
            f"imported {name}: {len(model.layers)} layers, {readable(flops, 'FLOP')}, "
            f"{time.perf_counter() - began:.2f} s"
        )
        models.append(model)
    platform = load_platform(PLATFORM)
    devices = ", ".join(device.name for device in platform.devices)
    out.print(f"platform {PLATFORM}: {devices}")
    return combine(models, platform, name="+".join(NETWORKS))


def _solve(instance: Instance, solver: str, time_limit: float) -> Result:
    """Solve, with a live line on a terminal and two plain ones elsewhere."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{solver}: planning, up to {time_limit:g} s ...\n")
    with progress_line(solver, "s") as on_progress:
        result = solve(instance, solver, objective="latency", time_limit=time_limit, on_progress=on_progress)
    sys.stderr.write(f"{solver}: {result.status} after {result.runtime:.2f} s\n")
    return result


def comparison(results: Sequence[Result]) -> Table:
    """The solvers side by side, in 80 columns."""
    table = new_table("solver", ">latency", ">energy", ">traffic", ">bound", ">gap", ">seconds")
    for result in results:
        cost = result.cost
        table.add_row(
            result.solver,
            readable(cost.latency if cost else None, "s"),
            readable(cost.energy if cost else None, "J"),
            readable(cost.traffic if cost else None, "bytes"),
            readable(result.bound, result.objective.unit),
            percent(result.gap),
            f"{result.runtime:.2f}",
        )
    return table


def write_files(instance: Instance, result: Result, folder: Path) -> list[tuple[Path, str]]:
    """Write instance, plan, result, picture and trace; files of an earlier demo are replaced.

    Returns
    -------
    list of (path, what it is).
    """
    assert result.plan is not None
    evaluation = evaluate(instance, result.plan)
    paths = {name: folder / name for name in ("instance.json", "plan.json", "result.json", "trace.json")}
    write_instance(instance, paths["instance.json"], overwrite=True)
    write_plan(result.plan, paths["plan.json"], overwrite=True)
    write_text(result.to_json() + "\n", paths["result.json"], overwrite=True)
    write_text(trace_text(evaluation, result), paths["trace.json"], overwrite=True)
    written = [
        (paths["instance.json"], "instance"),
        (paths["plan.json"], "plan"),
        (paths["result.json"], "result"),
        (paths["trace.json"], "trace"),
    ]
    for suffix in (".png", ".svg"):
        picture = folder / f"gantt{suffix}"
        write_gantt(make_schedule(evaluation, result), picture, overwrite=True)
        written.append((picture, "picture"))
    return written


def conclusion(results: Sequence[Result]) -> str:
    """One line: what the last result gains over each of the others, and what is proven about it."""
    *others, best = results
    value = best.objective.value
    gains = []
    for other in others:
        rival = other.objective.value
        if value is None or rival is None or rival <= 0:
            gains.append(f"nothing to compare with {other.solver}")
        else:
            more = "less" if value <= rival else "MORE"
            gains.append(f"{percent(abs(rival - value) / rival)} {more} than {other.solver}")
    return (
        f"Gained: {best.solver} takes {readable(value, best.objective.unit)}, {', '.join(gains)}. "
        f"Proven: {proven(best)}."
    )


if __name__ == "__main__":
    sys.exit(main())
