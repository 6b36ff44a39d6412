"""The commands by name."""

from __future__ import annotations

from typing import Annotated

import typer

from dnnplan import __version__
from dnnplan.cli import (
    adversarial,
    affinity,
    bench,
    calibrate,
    check,
    compare,
    convert,
    exits,
    export,
    generate,
    lists,
    pipe,
    plan,
    predict,
    profile,
    rates,
    replan,
    report,
    run,
    show,
    simulate,
    solve,
    split,
    tasks,
    train,
)

app = typer.Typer(
    cls=exits.CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Plan how several neural networks share one piece of heterogeneous hardware.",
    epilog="Exit codes: 0 plan, 1 check found violations or a failure, 2 bad input, 3 infeasible, "
    "4 no plan found, 130 interrupted without a plan.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dnnplan {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log more; twice: everything.")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""
    exits.debug["on"] = debug
    exits.send_logs(verbose)


app.command("import", rich_help_panel="Instances")(convert.import_)
app.command("convert", rich_help_panel="Instances")(convert.convert)
app.command("materialise", rich_help_panel="Instances")(convert.materialise)
app.command("generate", rich_help_panel="Instances")(generate.generate)
app.command("instances", rich_help_panel="Instances")(lists.instances)
app.command("platforms", rich_help_panel="Instances")(lists.platforms)
app.command("formats", rich_help_panel="Instances")(lists.formats)
app.command("schema", rich_help_panel="Instances")(lists.schema)
app.command("solve", rich_help_panel="Plans")(solve.solve)
app.command("plan", rich_help_panel="Plans")(plan.plan)
app.command("affinity", rich_help_panel="Instances")(affinity.affinity)
app.command("group", rich_help_panel="Plans")(tasks.group)
app.command("order", rich_help_panel="Plans")(tasks.order)
app.command("compare", rich_help_panel="Plans")(compare.compare)
app.command("pipe", rich_help_panel="Plans")(pipe.pipe)
app.command("rates", rich_help_panel="Plans")(rates.rates)
app.command("replan", rich_help_panel="Plans")(replan.replan)
app.command("check", rich_help_panel="Plans")(check.check)
app.command("explain", rich_help_panel="Plans")(check.explain)
app.command("show", rich_help_panel="Plans")(show.show)
app.command("report", rich_help_panel="Plans")(report.report)
app.command("run", rich_help_panel="Deployment")(run.run)
app.command("calibrate", rich_help_panel="Deployment")(calibrate.calibrate)
app.command("split", rich_help_panel="Deployment")(split.split)
app.command("export", rich_help_panel="Deployment")(export.export)
app.command("simulate", rich_help_panel="Serving")(simulate.simulate)
app.command("profile", rich_help_panel="Costs")(profile.profile)
app.command("train", rich_help_panel="Costs")(train.train)
app.command("predict", rich_help_panel="Costs")(train.predict)
app.command("evaluate-predictor", cls=predict.SeveralFiles, rich_help_panel="Costs")(
    predict.evaluate_predictor
)
app.command("solvers", rich_help_panel="Solvers")(lists.solvers)
app.command("adversarial", rich_help_panel="Solvers")(adversarial.adversarial)
app.command("bench", rich_help_panel="Solvers")(bench.bench)
