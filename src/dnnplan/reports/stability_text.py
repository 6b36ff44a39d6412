"""How a plan bears errors of costs, in a few lines."""

from __future__ import annotations

from dnnplan.reports.units import percent, readable
from dnnplan.solvers import Stability


def stability_lines(found: Stability) -> list[str]:
    """Lines for a terminal, below those of the result."""
    if found.draws == 0:
        return ["stability not known: interrupted before the first draw"]
    lines = [
        f"stability optimal in {percent(found.optimal)} of {found.draws} draws of costs as far as known (proven in "
        f"{percent(found.optimal_at_least)}), within 1 % in {percent(found.within_1)}, within 5 % in "
        f"{percent(found.within_5)}"
    ]
    if found.regret_mean is not None:
        most = found.regret_mean_at_most
        at_most = "" if most is None else f" (by bounds at most {percent(most)})"
        lines.append(
            f"regret    mean at least {percent(found.regret_mean)}{at_most}, largest at least "
            f"{percent(found.regret_max)}; the best plan is proven in {found.proven} draws"
        )
    if found.broken:
        lines.append(f"limits    the plan breaks limits or memory in {found.broken} of {found.draws} draws")
    if found.median is not None:
        lines.append(
            f"draws     {found.objective} {readable(found.median, found.unit)} in half of them, "
            f"{readable(found.quantile_90, found.unit)} or less in 90 %"
        )
    if found.alternative_regret_mean is not None:
        lines.append(
            f"another   of {found.plans} plans has a mean regret of {percent(found.alternative_regret_mean)}, by the "
            "draws that it was chosen by"
        )
    return lines
