"""`dnnplan evaluate-predictor`: how well latency is predicted on networks and shapes that were not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, note, print_json
from dnnplan.instances.errors import InputError

Files = list[Path] | None
LISTS = ("--train", "--test")
"""Options that several files may follow."""


class SeveralFiles(TyperCommand):
    """A command that takes `--train a b --test c`; click itself wants the option again before each file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with the options repeated."""
        return super().parse_args(ctx, repeated(args))


def repeated(args: list[str]) -> list[str]:
    """The arguments with each of `LISTS` before every one of its values.

    >>> repeated(["--train", "a", "b", "--json"])
    ['--train', 'a', '--train', 'b', '--json']
    """
    out: list[str] = []
    current = ""
    for word in args:
        if word.startswith("-"):
            current = word if word in LISTS else ""
        elif current and out[-1] != current:
            out.append(current)
        out.append(word)
    return out


def evaluate_predictor(
    *,
    layout: Annotated[
        Literal["qed-usc", "neusight"],
        typer.Option(help="qed-usc: operators and networks of phones; neusight: operators of GPUs."),
    ],
    ops: Annotated[
        Path | None, typer.Option(help="qed-usc: CSV table of operators, .csv or .csv.gz.")
    ] = None,
    end_to_end: Annotated[Path | None, typer.Option(help="qed-usc: CSV table of networks.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="PHONE|UNIT|TYPE",
            help="qed-usc: column, such as 'mi8se|gpu|float', or 'pixel4|1large|quant' for CPUs.",
        ),
    ] = None,
    train: Annotated[
        Files, typer.Option(metavar="FILE...", help="neusight: tables of operators to train on.")
    ] = None,
    test: Annotated[
        Files,
        typer.Option(metavar="FILE...", help="neusight: tables to test on; default: a fifth of the shapes."),
    ] = None,
    train_networks: Annotated[
        int, typer.Option(metavar="N", help="qed-usc: networks to train on; the rest are tested.")
    ] = 71,
    seeds: Annotated[int, typer.Option(metavar="K", help="qed-usc: random splits, seeds 0 to K-1.")] = 10,
    seed: Annotated[int, typer.Option(help="neusight: seed of training and held-out shapes.")] = 0,
    model: Annotated[
        str,
        typer.Option(
            help="auto | linear | lasso | random-forest | extra-trees | boosting | boosting-l1 | boosting-both | "
            "boosting-groups | mlp | ensemble; on CPUs linear | shapes; auto: chosen on the training data."
        ),
    ] = "auto",
    json: opt.Json = False,
) -> None:
    """Train a latency predictor on part of a published table and measure its errors on the rest.

    Errors are in percent; operator predictions a second are of one batch; bytes are of the model file.
    Exit codes: 0 done, 2 bad input.
    """
    if layout == "qed-usc":
        _refuse(layout, {"--train": train, "--test": test})
        found = _networks(ops, end_to_end, target, train_networks, seeds, model)
    else:
        _refuse(layout, {"--ops": ops, "--end-to-end": end_to_end, "--target": target})
        found = _operators(train, test, seed, model)
    if json:
        print_json({"layout": layout, "target": target, "requested_model": model, **found})
        return
    _print(found)


def _refuse(layout: str, given: dict[str, Any]) -> None:
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: not with --layout {layout}")


def _networks(
    ops: Path | None, end_to_end: Path | None, target: str | None, train_networks: int, seeds: int, model: str
) -> dict[str, Any]:
    if ops is None or end_to_end is None or target is None:
        raise InputError(
            "--layout qed-usc needs --ops FILE, --end-to-end FILE and --target 'PHONE|UNIT|TYPE'"
        )
    from dnnplan.costs.predict.cpu_evaluate import evaluate_whole, is_gpu
    from dnnplan.costs.predict.evaluate import evaluate_networks
    from dnnplan.costs.predict.layouts import read_qed_usc, read_qed_usc_graphs, read_qed_usc_networks

    gpu = is_gpu(target)
    return (evaluate_networks if gpu else evaluate_whole)(
        read_qed_usc(ops, target) if gpu else read_qed_usc_graphs(ops),
        read_qed_usc_networks(end_to_end, target),
        train_networks=train_networks,
        seeds=seeds,
        kind=model,
        progress=note,
    )


def _operators(train: Files, test: Files, seed: int, model: str) -> dict[str, Any]:
    if not train:
        raise InputError("--layout neusight needs --train FILE")
    from dnnplan.costs.predict.by_operator import evaluate_operators
    from dnnplan.costs.predict.layouts import read_neusight

    tested = read_neusight(test) if test else None
    return evaluate_operators(read_neusight(train), tested, kind=model, seed=seed, progress=note)


def _print(found: dict[str, Any]) -> None:
    from dnnplan.reports.tables import new_table

    if "by_operator" in found:
        rows, head = found["by_operator"], "operator"
    else:
        rows, head = {f"seed {row['seed']}": row for row in found["by_seed"]} | {"mean": found}, "split"
    columns = [
        name
        for name in (
            "e2e_mape",
            "op_mape",
            "hit_5",
            "hit_10",
            "r2",
            "coverage_90",
            "predictions_per_second",
            "bytes",
        )
        if all(row.get(name) is not None for row in rows.values())
    ]
    table = new_table(head, *(f">{name}" for name in columns), "model", title="errors in percent")
    for name, row in rows.items():
        cells = [f"{row[c]:,.0f}" if row[c] > 1000 else f"{row[c]:.3f}" for c in columns]
        table.add_row(name, *cells, str(row.get("model", "")))
    console().print(table)
