"""`dnnplan check` and `dnnplan explain`: judge a plan, and say why it costs what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dnnplan.cli import exits
from dnnplan.cli import options as opt
from dnnplan.cli.consoles import console, print_json
from dnnplan.cli.plans import load_instance, read_plan_or_result
from dnnplan.instances.errors import UnsupportedError

if TYPE_CHECKING:
    from dnnplan.costs.explain import Explanation

PlanFile = Annotated[
    str, typer.Argument(metavar="PLAN", help="A plan, or what `dnnplan solve --json` printed.")
]


def check(
    *,
    plan: PlanFile,
    instance: opt.InstanceName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    conditions: opt.Conditions = None,
    most: Annotated[int, typer.Option(min=1, help="Violations to print (--json: all).")] = 30,
    json: opt.Json = False,
) -> None:
    """List every rule that a plan breaks.

    Exit codes: 0 the plan is valid, 1 it is not, 2 bad input.
    """
    import msgspec

    from dnnplan.costs.check import check as find_violations

    found, result = read_plan_or_result(plan)
    options = {"format": format, "select": select, **opt.parse_options(option)}
    whole = load_instance(
        instance,
        platform,
        plan,
        opt.parse_dims(dim),
        options=options,
        changes=set_,
        conditions=conditions,
        carried=found,
    )
    violations = find_violations(
        whole,
        found,
        cost=result.cost if result is not None else None,
        objective=result.objective if result is not None else None,
        measures=result.measures or None if result is not None else None,
    )
    if json:
        print_json({"valid": not violations, "violations": msgspec.to_builtins(violations)})
    else:
        out = console()
        for violation in violations[:most]:
            out.print(str(violation), soft_wrap=True)
        count = len(violations)
        if count > most:
            out.print(f"... and {count - most} more")
        out.print(
            "valid" if not count else f"not valid: {count} {'violation' if count == 1 else 'violations'}"
        )
    if violations:
        raise typer.Exit(exits.FAILED)


def explain(
    *,
    plan: PlanFile,
    instance: opt.InstanceName = None,
    format: opt.Format = None,
    select: opt.Select = None,
    platform: opt.PlatformName = None,
    dim: opt.Dims = None,
    option: opt.ReaderOptions = None,
    set_: opt.Changes = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the critical path to print.")] = 25,
    json: opt.Json = False,
) -> None:
    """Say why a plan takes as long as it does: critical path, bottleneck, what would change it."""
    import msgspec

    from dnnplan.costs.explain import explain as find_reasons

    found, _ = read_plan_or_result(plan)
    options = {"format": format, "select": select, **opt.parse_options(option)}
    whole = load_instance(
        instance, platform, plan, opt.parse_dims(dim), options=options, changes=set_, carried=found
    )
    if found.problem == "joint" and found.placement:
        from dnnplan.deploy.mapped import mapped

        whole, found = mapped(whole, found)
    if found.problem != "mapping":
        raise UnsupportedError(
            f"{plan}: explain speaks of plans of mapping, this one is of {found.problem}; `dnnplan show` has its steps"
        )
    explanation = find_reasons(whole, found)
    if json:
        print_json(msgspec.to_builtins(explanation))
    else:
        _print(explanation, steps)


def _print(explanation: Explanation, steps: int) -> None:
    from dnnplan.reports.tables import path_table, use_table, what_if_table
    from dnnplan.reports.units import percent, readable

    out = console()
    shares = ", ".join(f"{name} {percent(share)}" for name, share in explanation.shares.items())
    out.print(
        f"latency      {readable(explanation.latency, 's')}; on the critical path: {shares}", soft_wrap=True
    )
    if explanation.bottleneck is not None:
        bottleneck = explanation.bottleneck
        out.print(
            f"bottleneck   {bottleneck.kind} {bottleneck.name}, busy {percent(bottleneck.share)} of the time"
        )
    for table in (
        path_table(explanation.path, most=steps),
        use_table(explanation),
        what_if_table(explanation),
    ):
        out.print()
        out.print(table)
