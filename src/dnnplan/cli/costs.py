"""`dnnplan solve --costs`: tables filled from a costs folder, and how plans bear their errors."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console
from dnnplan.cli.interrupts import stop_on_interrupt
from dnnplan.cli.live import counting_line
from dnnplan.instances.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from dnnplan.costs.filled import Filled, Flag
    from dnnplan.instances import Instance, Plan, Result
    from dnnplan.solvers import Stability

log = logging.getLogger("dnnplan")
EXAMPLES = 3
"""Doubtful costs that the warning names."""
MOST_LETTERS = 200
"""Of each of them."""

Folder = Annotated[
    Path | None,
    typer.Option("--costs", metavar="FOLDER", help="Fill cost tables from the models that costs.json names."),
]
Quantile = Annotated[
    float | None, typer.Option(help="Plan for this quantile of each layer's costs, e.g. 0.9; needs --costs.")
]
Draws = Annotated[
    int,
    typer.Option(
        "--stability", min=0, max=100_000, help="Draws of costs to try the plan under; needs --costs."
    ),
]
WriteTo = Annotated[
    Path | None,
    typer.Option(
        "--filled", metavar="FILE", help="Write the instance with its tables filled; needs --costs."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for about costs."""

    folder: Path
    quantile: float | None
    draws: int
    write_to: Path | None
    force: bool

    @property
    def words(self) -> str:
        """For the message of the result."""
        at = "" if self.quantile is None else f" at quantile {self.quantile:g}"
        return f"costs of {self.folder}{at}"


def requested(
    folder: Path | None,
    quantile: float | None,
    draws: int,
    write_to: Path | None,
    *,
    force: bool,
    front: bool,
) -> Request | None:
    """The request, or None without --costs; what does not go together is refused before anything runs."""
    if folder is None:
        for name, given in (
            ("--quantile", quantile is not None),
            ("--stability", draws > 0),
            ("--filled", write_to is not None),
        ):
            if given:
                raise InputError(f"{name}: needs --costs FOLDER, which says where costs come from")
        return None
    if quantile is not None and not 0 < quantile < 1:
        raise InputError(f"--quantile {quantile:g}: expected a number between 0 and 1")
    if front and draws:
        raise InputError("--stability is about one plan; it does not go with --pareto")
    opt.require_free(write_to, force=force, suffixes=(".json", ".yaml", ".yml"))
    return Request(folder=folder, quantile=quantile, draws=draws, write_to=write_to, force=force)


def fill(instance: Instance, request: Request, objective: str | None, problem: str | None) -> Filled:
    """Fill the tables, write the instance where asked, and say what is doubtful, in one line.

    Raises
    ------
    UnsupportedError
        The problem is not mapping: no other reads these tables.
    """
    from dnnplan.costs.filled import fill_costs, read_costs
    from dnnplan.instances.files import write_instance
    from dnnplan.solvers.facade import with_objective
    from dnnplan.solvers.tasks import with_problem

    kind = with_problem(with_objective(instance, objective, None), problem, explicit=objective is not None)[1]
    if kind != "mapping":
        raise UnsupportedError(f"--costs fills tables that mapping reads; this is a problem of {kind}")
    filled = fill_costs(instance, read_costs(request.folder), request.quantile)
    if request.write_to is not None:
        write_instance(filled.instance, request.write_to, overwrite=request.force)
    if filled.flags:
        examples = "; ".join(_one_line(flag) for flag in filled.flags[:EXAMPLES])
        count = len(filled.flags)
        more = f"; and {count - EXAMPLES} more, --json lists all" if count > EXAMPLES else ""
        log.warning("%d %s doubtful: %s%s", count, "cost is" if count == 1 else "costs are", examples, more)
    if not filled.sourced:
        log.warning(
            "no cost comes from %s: %d entries of the instance's own tables win", request.folder, filled.kept
        )
    return filled


def _one_line(flag: Flag) -> str:
    """A flag on one line, whatever names hold."""
    text = f"{flag.model}/{flag.layer} on {flag.device}: {flag.reason}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:MOST_LETTERS]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What there is to say about the costs of a result; `values` are those of the plan at the median and quantile."""

    filled: Filled
    request: Request
    result: Result
    values: dict[str, float] | None
    stability: Stability | None

    @property
    def tree(self) -> dict[str, Any]:
        """The members of the JSON object."""
        tree: dict[str, Any] = {"costs": costs_tree(self.filled, self.request, self.values)}
        if self.stability is not None:
            tree["stability"] = _stability_tree(self.stability)
        return tree

    def print(self) -> None:
        """Lines for people, below the result."""
        from dnnplan.reports.stability_text import stability_lines
        from dnnplan.reports.units import readable

        lines = []
        if self.values is not None and "quantile" in self.values:
            unit = self.result.objective.unit
            lines.append(
                f"quantile  {self.result.objective.name} {readable(self.values['median'], unit)} where costs are as "
                f"expected, {readable(self.values['quantile'], unit)} where every layer is at its quantile "
                f"{self.filled.quantile:g}"
            )
        if self.filled.kept:
            lines.append(f"tables    {self.filled.kept} entries of the instance's own tables were kept")
        lines += stability_lines(self.stability) if self.stability is not None else []
        if lines:
            out = console()
            out.print()
            out.print("\n".join(lines), soft_wrap=True)


def report_on(
    filled: Filled, result: Result, request: Request, objective: str | None, settings: dict[str, Any]
) -> Report:
    """Judge the plan of a result at the median, at the quantile, and under draws where asked."""
    values = None if result.plan is None else _plan_values(filled, result.plan, objective)
    found = _stability(filled, result, request, objective, settings)
    return Report(filled=filled, request=request, result=result, values=values, stability=found)


def _stability(
    filled: Filled, result: Result, request: Request, objective: str | None, settings: dict[str, Any]
) -> Stability | None:
    """Try the plan under draws; None where there is no plan, or nobody asked."""
    from dnnplan.solvers import stability

    if not request.draws or result.plan is None:
        return None
    shared = {key: settings[key] for key in ("solver", "limits", "gap", "seed")}
    with stop_on_interrupt() as stop, counting_line("draws of costs planned anew") as on_draw:
        return stability(
            filled,
            result.plan,
            draws=request.draws,
            objective=objective,
            stop=stop,
            on_draw=on_draw,
            **shared,
        )


def _plan_values(filled: Filled, plan: Plan, objective: str | None) -> dict[str, float]:
    """Value of a plan at the medians, and at the quantile it was made for; of the first stage of the objective."""
    from dnnplan.costs import evaluate
    from dnnplan.costs.objectives import objective_value
    from dnnplan.instances.objective import parse_objective

    terms = parse_objective(objective or filled.given.objective)[0]
    wanted = {"median": None} if filled.quantile is None else {"median": None, "quantile": filled.quantile}
    return {
        name: objective_value(terms, evaluate(filled.at(quantile), plan).cost)
        for name, quantile in wanted.items()
    }


def costs_tree(filled: Filled, request: Request, values: dict[str, float] | None = None) -> dict[str, Any]:
    """What `--json` says about costs."""
    import msgspec

    return {
        "folder": str(request.folder),
        "quantile": filled.quantile,
        "sourced": filled.sourced,
        "kept": filled.kept,
        "objective": values,
        "flags": msgspec.to_builtins(filled.flags),
    }


def _stability_tree(found: Stability) -> dict[str, Any]:
    """What `--json` says about stability; the other plan says its version, so that it can be cut out."""
    import msgspec

    tree: dict[str, Any] = msgspec.to_builtins(found)
    if found.alternative is not None:
        tree["alternative"] = {"format_version": found.alternative.format_version, **tree["alternative"]}
    return tree
