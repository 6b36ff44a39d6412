"""`dnnplan train` and `dnnplan predict`: from a table of measurements to the latency of networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.instances.errors import InputError

if TYPE_CHECKING:
    from dnnplan.costs.runtime.predictor import NetworkPrediction, RuntimePredictor
    from dnnplan.costs.runtime.tables import Kernel


def train(
    *,
    table: Annotated[Path, typer.Argument(help="Folder or file that `dnnplan profile` wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the predictor.")],
    threads: Annotated[int, typer.Option(help="The setting to learn.")] = 1,
    utilisation: Annotated[float, typer.Option(help="The setting to learn.")] = 0.0,
    model: Annotated[
        str, typer.Option(help="auto, or one regression for all modules, see `evaluate-predictor`.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of folds and of what is random in the regressions.")] = 0,
    curve: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Errors when trained on so many networks; takes a while."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture of predicted against measured, .png or .svg.")
    ] = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Learn how long operators take from a table of measurements, one regression for each module.

    Errors are those of models that have not seen the network. Exit codes: 0 done, 2 bad input.
    """
    from dnnplan.costs.profile.store import ProfileTable
    from dnnplan.costs.runtime.files import FILE, save_predictor
    from dnnplan.costs.runtime.training import learning_curve
    from dnnplan.costs.runtime.training import train as learn

    if (output / FILE).exists() and not force:
        raise InputError("there is a predictor already; --force replaces it", source=str(output))
    columns = ProfileTable(table).read()
    setting: dict[str, Any] = {"threads": threads, "utilisation": utilisation, "seed": seed}
    result = learn(columns, kind=model, progress=note, **setting)
    size = save_predictor(result.predictor, output, overwrite=force)
    modules, networks = result.by_module(), result.networks()
    points = learning_curve(columns, _sizes(curve), **setting) if curve else []
    if plot is not None:
        from dnnplan.reports.predictor_figure import draw_training

        draw_training(result, points, plot)
    if json:
        print_json(
            {
                "folder": str(output),
                "bytes": size,
                "by_module": modules,
                "networks": networks,
                "models": {name: m.kind for name, m in result.predictor.models.items()},
                "unknown_operators": result.table.unknown,
                "curve": points,
            }
        )
        return
    _print_training(modules, networks, {name: m.kind for name, m in result.predictor.models.items()})
    if result.table.unknown:
        note(f"no regression for: {', '.join(sorted(result.table.unknown))}; a roofline stands in")
    _print_curve(points)
    console().print(f"predictor in {output}, {size / 1000:,.0f} KB")


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--curve {text!r}, expected numbers of networks such as 20,40,80") from None


def _print_training(
    modules: dict[str, dict[str, float]], networks: dict[str, float], kinds: dict[str, str]
) -> None:
    from dnnplan.reports.tables import new_table

    table = new_table(
        "module", ">measured", ">mean error %", ">within 5 %", ">within 10 %", ">R2", "regression"
    )
    for name, row in modules.items():
        cells = [f"{row[key]:.1f}" for key in ("mape", "hit_5", "hit_10")]
        table.add_row(name, f"{row['kernels']:.0f}", *cells, f"{row['r2']:.3f}", kinds[name])
    cells = [f"{networks[key]:.1f}" for key in ("mape", "hit_5", "hit_10")]
    table.add_row("networks", f"{networks['networks']:.0f}", *cells, "", "composition")
    console().print(table)


def _print_curve(points: list[dict[str, float]]) -> None:
    from dnnplan.reports.tables import new_table

    if not points:
        return
    table = new_table(">networks", ">operators", ">operator error %", ">network error %")
    for row in points:
        table.add_row(
            f"{row['networks']:.0f}",
            f"{row['kernels']:.0f}",
            f"{row['op_mape']:.1f}",
            f"{row['e2e_mape']:.1f}",
        )
    console().print(table)


def predict(
    *,
    predictor: Annotated[Path, typer.Argument(help="Folder that `dnnplan train` wrote.")],
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="ONNX files.")],
    batch: Annotated[int, typer.Option(help="Samples that run together.")] = 1,
    quantiles: Annotated[
        str, typer.Option(metavar="Q,...", help="Seconds that so large a share of networks stays below.")
    ] = "0.1,0.9",
    operators: Annotated[bool, typer.Option("--operators", help="Show every kernel.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Operators without a regression are an error, not a guess.")
    ] = False,
    json: opt.Json = False,
) -> None:
    """Predict how long ONNX networks take, from their optimised graphs; nothing is run.

    Kernels that were not measured at such sizes, or not at all, are named. Exit codes: 0 done, 2 bad input.
    """
    from dnnplan.costs.profile.offline import network_kernels
    from dnnplan.costs.runtime.files import load_predictor

    trained = load_predictor(predictor)
    wanted = _quantiles(quantiles)
    found = []
    for path in models:
        kernels = network_kernels(path, batch)
        prediction = trained.predict_network(kernels, wanted)
        if strict and prediction.kernels.flags:
            first = next(iter(prediction.kernels.flags.values()))
            raise InputError(
                f"{len(prediction.kernels.flags)} kernels are guesses, such as: {first}", source=str(path)
            )
        found.append((path, kernels, prediction))
    if json:
        print_json([_record(*each, operators) for each in found])
        return
    _print_predictions(trained, found, wanted)
    for path, kernels, prediction in found:
        if operators:
            _print_kernels(path, kernels, prediction)
        flags = prediction.kernels.flags
        if flags:
            first = next(iter(flags.values()))
            note(f"{path.stem}: {len(flags)} of {len(kernels)} kernels are guesses, such as: {first}")


def _quantiles(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part]
    except ValueError:
        found = [0.0]
    if not all(0 < q < 1 for q in found):
        raise InputError(f"--quantiles {text!r}, expected numbers between 0 and 1 such as 0.1,0.9")
    return found


def _record(path: Path, kernels: list[Kernel], found: NetworkPrediction, operators: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "model": str(path),
        "seconds": found.seconds,
        "quantiles": {f"{q:g}": seconds for q, seconds in found.quantiles.items()},
        "kernels": len(kernels),
        "flags": [{"kernel": at, "reason": reason} for at, reason in found.kernels.flags.items()],
    }
    if operators:
        record["operators"] = [
            {
                "operator": k.operator,
                "module": str(m),
                "seconds": float(s),
                "inputs": k.inputs,
                "outputs": k.outputs,
            }
            for k, m, s in zip(kernels, found.kernels.module, found.kernels.seconds, strict=True)
        ]
    return record


def _print_predictions(
    trained: RuntimePredictor, found: list[tuple[Path, list[Kernel], NetworkPrediction]], wanted: list[float]
) -> None:
    from dnnplan.reports.tables import new_table

    about = trained.about
    title = f"{about.device}, {about.runtime}, {about.threads} threads"
    table = new_table(
        "network", ">ms", *(f">{100 * q:g} % ms" for q in wanted), ">kernels", ">guesses", title=title
    )
    for path, kernels, prediction in found:
        bounds = [f"{1e3 * prediction.quantiles[q]:.3f}" for q in wanted]
        flags = str(len(prediction.kernels.flags))
        table.add_row(path.stem, f"{1e3 * prediction.seconds:.3f}", *bounds, str(len(kernels)), flags)
    console().print(table)


def _print_kernels(path: Path, kernels: list[Kernel], found: NetworkPrediction) -> None:
    from dnnplan.reports.tables import new_table

    table = new_table("kernel", "module", ">us", "inputs", "flag", title=path.stem)
    for at, kernel in enumerate(kernels):
        shapes = " ".join("x".join(map(str, shape)) for shape in kernel.inputs)
        row = [kernel.operator, str(found.kernels.module[at]), f"{1e6 * found.kernels.seconds[at]:.1f}"]
        table.add_row(*row, shapes, found.kernels.flags.get(at, ""))
    console().print(table)
