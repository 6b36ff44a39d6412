"""`dnnplan simulate`: samples through serving policies, and what each of them achieves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.cli.live import counting_line
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.costs.serving.problem import Samples, ServingProblem
    from dnnplan.instances import Instance
    from dnnplan.reports.serving_text import Setting
    from dnnplan.serving.largest_rate import LargestRate
    from dnnplan.serving.policies.common import Policy
    from dnnplan.serving.runs import PolicyRun

PICTURES = (".png", ".svg", ".pdf")
SAMPLES = 20_000


def simulate(
    *,
    file: opt.OneFile,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    policy: Annotated[str, typer.Option(help="Names with commas between, or all.")] = "all",
    arrivals: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="poisson:LOAD, gamma:LOAD,CV, mmpp:LOAD[,RATIO[,STAY]], periodic:LOAD[,JITTER], or a CSV file of "
            "times in seconds, FILE[@LOAD]; load 1 is the capacity. Default: those of the instance.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Samples in all; default: 20000, or all where all streams of the instance are traces."
        ),
    ] = None,
    seed: opt.Seed = 0,
    npu: Annotated[
        Literal["plain", "fluid", "stackable"] | None,
        typer.Option(help="How the arrays of the instance batch."),
    ] = None,
    slo: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Service-level objective of all streams.")
    ] = None,
    max_batch: Annotated[int | None, typer.Option(min=1, help="Largest batch.")] = None,
    largest_rate: Annotated[
        bool,
        typer.Option(
            "--largest-rate", help="Also the largest Poisson rate whose p99 latency keeps the objective."
        ),
    ] = False,
    save_trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the instance with the drawn samples as recorded traces."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw latencies and batches: .png, .svg, .pdf."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="FROM,TO", help="Seconds whose batches are drawn; default: the busiest."),
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Serve samples of early-exit networks with policies that batch, preempt and drop.

    Exit codes: 0 done, 2 bad input.
    """
    from dnnplan.costs.serving import serving_problem
    from dnnplan.instances.loading import load, load_part
    from dnnplan.instances.what_if import changed
    from dnnplan.serving.draws import draw_samples
    from dnnplan.serving.runs import chosen_policies

    opt.require_free(save_trace, force=force, suffixes=(".json", ".yaml", ".yml"))
    opt.require_free(figure, force=force, suffixes=PICTURES)
    span = _window(window, figure)
    reading: dict[str, Any] = {"dims": opt.parse_dims(dim), "format": format, "select": select}
    reading |= opt.parse_options(option)
    # Tables of costs need no platform.
    found = load_part(file, **reading) if platform is None else load(file, platform=platform, **reading)
    instance = changed(found, set_ or ())
    problem = serving_problem(_with_changes(instance, npu, slo, max_batch))
    most = _count(samples, problem, arrivals)
    problem = _with_arrivals(problem, arrivals)
    with counting_line("policies made") as report:
        policies, notes = chosen_policies(policy, problem, most, report)
    for text in notes:
        note(text)
    drawn = draw_samples(problem, most, seed)
    setting = _setting(problem, drawn, arrivals, seed)
    _say_overload(setting.load)
    runs = _run(problem, policies, drawn, log=figure is not None)
    rates = _rates(problem, policies, most, seed) if largest_rate else {}
    if save_trace is not None:
        from dnnplan.instances.files import write_instance
        from dnnplan.serving.traces import recorded

        write_instance(recorded(problem, drawn), save_trace, overwrite=force)
    if figure is not None:
        from dnnplan.reports.serving_figure import write_serving

        write_serving(runs, figure, title=_title(setting), window=span, overwrite=force)
    if json:
        print_json([_tree(run, setting, rates.get(run.figures.policy)) for run in runs])
    else:
        _print(runs, setting, rates)


def _window(text: str | None, figure: Path | None) -> tuple[float, float] | None:
    if text is None:
        return None
    if figure is None:
        raise InputError("--window is for --figure, expected both")
    try:
        first, last = (float(part) for part in text.split(","))
    except ValueError:
        first = last = math.nan
    if not 0 <= first < last < math.inf:
        raise InputError(f"--window {text}: expected FROM,TO in seconds, e.g. 2.5,3")
    return first, last


def _with_changes(instance: Instance, npu: str | None, slo: float | None, max_batch: int | None) -> Instance:
    """The instance with other arrays, objectives, and a largest batch."""
    from msgspec.structs import replace

    from dnnplan.costs.serving import with_npu

    if npu is not None:
        if instance.costs.batch_latency:
            raise InputError(
                f"--npu {npu}: costs.batch_latency says what batches take, expected an instance without"
            )
        instance = with_npu(instance, npu)
    workload = instance.workload
    if slo is not None and not 0 < slo < math.inf:
        raise InputError(f"--slo {slo:g}: expected seconds above 0")
    if workload is not None and slo is not None:
        workload = replace(workload, streams=tuple(replace(stream, slo=slo) for stream in workload.streams))
    if workload is not None and max_batch is not None:
        workload = replace(workload, max_batch=max_batch)
    return replace(instance, workload=workload)


def _with_arrivals(problem: ServingProblem, arrivals: str | None) -> ServingProblem:
    """The problem with the arrivals that the text says; without one, its own have to say when samples come."""
    from dnnplan.costs.serving import capacity
    from dnnplan.serving.arrivals import mean_rate
    from dnnplan.serving.spec import arrivals_of
    from dnnplan.serving.traces import with_arrivals

    if arrivals is not None:
        return with_arrivals(problem, arrivals_of(arrivals, problem, capacity(problem)))
    for stream in problem.streams:
        if stream.arrivals.kind != "trace" and mean_rate(stream.arrivals) is None:
            raise InputError(f"stream '{stream.name}' has no rate, expected one, or --arrivals")
    return problem


def _count(samples: int | None, problem: ServingProblem, arrivals: str | None) -> int:
    """Samples to draw; traces of the instance are replayed as they are."""
    traces = [stream.arrivals for stream in problem.streams if stream.arrivals.kind == "trace"]
    if samples is not None:
        return samples
    if arrivals is None and len(traces) == len(problem.streams):
        return sum(len(trace.times) for trace in traces)
    return SAMPLES


def _setting(problem: ServingProblem, samples: Samples, arrivals: str | None, seed: int) -> Setting:
    from dnnplan.costs.serving import capacity
    from dnnplan.reports.serving_text import Setting
    from dnnplan.serving.arrivals import mean_rate
    from dnnplan.serving.runs import latency_bound

    processes = [stream.arrivals for stream in problem.streams]
    rates = [rate for process in processes if (rate := mean_rate(process)) is not None]
    kinds = " and ".join(dict.fromkeys(process.kind for process in processes))
    most = capacity(problem)
    return Setting(
        name=problem.instance.name,
        arrivals=f"arrivals {arrivals or kinds}",
        samples=len(samples),
        seed=seed,
        load=sum(rates) / most if len(rates) == len(processes) else None,
        capacity=most,
        bound=latency_bound(problem, samples),
        objectives=sorted({stream.slo for stream in problem.streams if math.isfinite(stream.slo)}),
    )


def _say_overload(load: float | None) -> None:
    from dnnplan.reports.serving_text import overload

    text = overload(load)
    if text is not None:
        note(text)


def _run(problem: ServingProblem, policies: list[Policy], samples: Samples, *, log: bool) -> list[PolicyRun]:
    from dnnplan.serving.runs import run_policies

    runs: list[PolicyRun] = []
    with counting_line(f"policies, {len(samples):,} samples each") as report:
        for run in run_policies(problem, policies, samples, log=log):
            runs.append(run)
            if report is not None:
                report(len(runs), len(policies))
    return runs


def _rates(
    problem: ServingProblem, policies: list[Policy], samples: int, seed: int
) -> dict[str, LargestRate]:
    from dnnplan.costs.serving import capacity
    from dnnplan.serving.largest_rate import largest_rate
    from dnnplan.serving.policies.objective import require_objectives

    require_objectives("--largest-rate", problem)
    found: dict[str, LargestRate] = {}
    most = capacity(problem)
    with counting_line("largest rates") as report:
        for policy in policies:
            if report is not None:
                report(len(found), len(policies))
            found[policy.name] = largest_rate(problem, policy, capacity=most, samples=samples, seed=seed)
    return found


def _title(setting: Setting) -> str:
    load = "" if setting.load is None else f", load {setting.load:.3g}"
    return f"{setting.name or 'serving'}   —   {setting.arrivals}{load}, {setting.samples:,} samples"


def _print(runs: list[PolicyRun], setting: Setting, rates: dict[str, LargestRate]) -> None:
    from dnnplan.reports.serving_text import footnote, heading, runs_table

    out = console()
    for line in heading(setting):
        out.print(line, soft_wrap=True)
    out.print(runs_table(runs, width=out.width, rates=rates))
    out.print(footnote([run.figures for run in runs]), soft_wrap=True)


def _tree(run: PolicyRun, setting: Setting, rate: LargestRate | None) -> dict[str, Any]:
    """Plain numbers; null where there is none."""
    from dataclasses import fields

    from dnnplan.serving.metrics import Estimate

    tree: dict[str, Any] = {}
    for field in fields(run.figures):
        value = getattr(run.figures, field.name)
        if isinstance(value, Estimate):
            tree[field.name] = _plain(value.value)
            ends = [_plain(value.low), _plain(value.high)]
            tree[f"{field.name}_interval"] = None if None in ends else ends
        else:
            tree[field.name] = _plain(value)
    tree |= {
        "bound_mean_latency": _plain(run.bound),
        "load": _plain(setting.load),
        "capacity": _plain(setting.capacity),
        "seed": setting.seed,
    }
    if rate is not None:
        tree |= {"largest_rate": rate.rate, "largest_rate_load": rate.load}
    return tree


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
