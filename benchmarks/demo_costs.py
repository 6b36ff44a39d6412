"""`make demo-costs`: this machine measured, its latency learned, and two networks planned with the numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.demo import WIDTH, command
from dnnplan.cli.live import progress_line
from dnnplan.costs import evaluate
from dnnplan.costs.filled import fill_costs, read_costs
from dnnplan.costs.profile import (
    Effort,
    ProfileTable,
    Setting,
    network_kernels,
    profile_networks,
    profile_samples,
)
from dnnplan.costs.runtime.files import load_predictor, save_predictor
from dnnplan.costs.runtime.training import train
from dnnplan.instances import Device, Instance, Link, Platform
from dnnplan.instances.catalogue import combine
from dnnplan.instances.files import write_instance, write_plan
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.reports.gantt_text import gantt_text
from dnnplan.reports.predictor_figure import draw_training
from dnnplan.reports.schedule import make_schedule
from dnnplan.reports.stability_text import stability_lines
from dnnplan.reports.summary import proven
from dnnplan.reports.tables import new_table
from dnnplan.reports.units import readable
from dnnplan.solvers import solve, stability

NETWORKS = ("squeezenet", "shufflenet")
SAMPLING = 75.0
"""Seconds of measuring sampled operators; more gives better predictions."""
SOLVING = 15.0
DRAWS = 20
BANDWIDTH, COPY_OVERHEAD = 5e9, 20e-6
"""Assumed: bytes/s and seconds of handing a tensor from one core to the other through memory."""
ASSUMED_FLOPS = 1e10
"""FLOP/s that an instance has to state; the predictor replaces what follows from it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if the plan is valid."""
    return command(run, "benchmarks.demo_costs", __doc__, "seconds of sampling", arguments)


def run(folder: Path, seconds: float, console: Console) -> int:
    """Profile, train, compare with a measurement, plan; files go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    table = ProfileTable(folder / "profile")
    console.print(f"1. Measuring sampled operators with one thread for {seconds:.0f} s ...")
    done = profile_samples(table, [Setting()], seconds=seconds)
    console.print(f"   {done.measured} sampled networks measured, {done.kept} were there already")
    console.print("2. Learning a regression for each module ...")
    result = train(table.read())
    save_predictor(result.predictor, folder / "costs" / "core", overwrite=True)
    draw_training(result, [], folder / "predictor.png")
    _print_training(console, result.by_module(), result.networks())
    console.print("3. Predicting whole networks, and measuring them afterwards:")
    _compare(console, folder)
    console.print("4. Planning both on two cores with these numbers:")
    return _plan(console, folder)


def _print_training(
    console: Console, modules: dict[str, dict[str, float]], networks: dict[str, float]
) -> None:
    table = new_table("module", ">kernels", ">mean error %")
    for name, row in modules.items():
        table.add_row(name, f"{row['kernels']:.0f}", f"{row['mape']:.1f}")
    table.add_row("sampled networks", f"{networks['networks']:.0f}", f"{networks['mape']:.1f}")
    console.print(table)


def _compare(console: Console, folder: Path) -> None:
    predictor = load_predictor(folder / "costs" / "core")
    measured = ProfileTable(folder / "networks")
    paths = [light_network_paths()[name] for name in NETWORKS]
    profile_networks(paths, measured, [Setting()], effort=Effort(seconds=0.5))
    columns = measured.read()
    whole = {
        name: seconds
        for name, seconds, scope in zip(columns["network"], columns["seconds"], columns["scope"], strict=True)
        if scope == "network"
    }
    table = new_table("network", ">predicted", ">10 to 90 %", ">measured", ">error %", ">guesses")
    for path in paths:
        found = predictor.predict_network(network_kernels(path), (0.1, 0.9))
        span = " to ".join(readable(found.quantiles[q], "s") for q in (0.1, 0.9))
        seconds = whole[path.stem]
        error = f"{100 * (found.seconds / seconds - 1):+.1f}"
        cells = [
            readable(found.seconds, "s"),
            span,
            readable(seconds, "s"),
            error,
            str(len(found.kernels.flags)),
        ]
        table.add_row(path.stem, *cells)
    console.print(table)


def _plan(console: Console, folder: Path) -> int:
    costs: dict[str, Any] = {
        "format_version": "1.0",
        "devices": {"core": {"kind": "predictor", "folder": "core", "threads": 1}},
    }
    (folder / "costs" / "costs.json").write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
    filled = fill_costs(_instance(), read_costs(folder / "costs"))
    with progress_line("auto", "s") as on_progress:
        result = solve(filled.instance, time_limit=SOLVING, on_progress=on_progress)
    console.print(proven(result))
    if result.plan is None:
        return 1
    write_instance(filled.instance, folder / "instance.json", overwrite=True)
    write_plan(result.plan, folder / "plan.json", overwrite=True)
    schedule = make_schedule(evaluate(filled.instance, result.plan), result)
    console.print(gantt_text(schedule, width=min(console.width, WIDTH)))
    for line in stability_lines(stability(filled, result.plan, draws=DRAWS)):
        console.print(line, soft_wrap=True)
    console.print(f"files in {folder}: predictor.png, costs/, instance.json, plan.json")
    return 0 if result.valid else 1


def _instance() -> Instance:
    """Both networks on two cores that hand tensors to each other through memory."""
    models = [read_onnx(light_network_paths()[name], name=name)[0] for name in NETWORKS]
    link = Link(name="memory", source="core.0", target="core.1", bandwidth=BANDWIDTH, latency=COPY_OVERHEAD)
    core = Device(name="core", count=2, peak_flops={"*": ASSUMED_FLOPS})
    return combine(
        models, Platform(name="two-cores", devices=(core,), links=(link,)), name="+".join(NETWORKS)
    )


if __name__ == "__main__":
    sys.exit(main())
