"""A result in sentences: what was found, how good it is, and what is proven."""

from __future__ import annotations

from dnnplan.costs.objectives import UNITS
from dnnplan.instances import Result
from dnnplan.instances.result import GAP_TOLERANCE
from dnnplan.reports.tables import MEASURE_UNITS
from dnnplan.reports.units import percent, readable

STOPPED = {
    "proved": "proved",
    "gap_limit": "the gap asked for was reached",
    "time_limit": "the time was up",
    "work_limit": "the work was used up",
    "interrupted": "interrupted",
    "exhausted": "nothing was left to try",
    "error": "a solver failed",
}
"""Stop reasons in words."""


def summary_lines(result: Result) -> list[str]:
    """A few lines for a terminal."""
    name, unit = result.objective.name, result.objective.unit
    lines = [f"status    {result.status} ({STOPPED[result.stop_reason]}) after {result.runtime:.2f} s"]
    if result.objective.value is not None:
        lines.append(f"{name:<9} {readable(result.objective.value, unit)}   found by {result.solver}")
    if result.bound is not None:
        by = f"   from {result.bound_name}" if result.bound_name else ""
        gap = f", gap {percent(result.gap)}" if result.gap is not None else ""
        lines.append(f"bound     {readable(result.bound, unit)}{gap}{by}")
    if result.cost is not None:
        cost = result.cost
        lines.append(
            f"cost      latency {readable(cost.latency, 's')}, energy {readable(cost.energy, 'J')}, "
            f"traffic {readable(cost.traffic, 'bytes')}, busiest device {readable(cost.max_load, 's')}"
        )
    told = {result.objective.name} | (set(UNITS) if result.cost is not None else set())
    others = {name: value for name, value in result.measures.items() if name not in told}
    if others:
        figures = ", ".join(
            f"{name} {readable(value, MEASURE_UNITS.get(name))}" for name, value in others.items()
        )
        lines.append(f"measures  {figures}")
    lines.append(f"proven    {proven(result)}")
    if result.message and result.status != "infeasible":
        lines.append(f"message   {result.message}")
    return lines


def proven(result: Result) -> str:
    """What is known for certain, as one sentence."""
    if result.status == "infeasible":
        return f"there is no plan: {result.message or 'the limits cannot be kept together'}"
    if result.objective.value is None:
        return "nothing: no plan was found, and it is not known whether there is one"
    checked = "the plan keeps all rules" if result.valid else "the plan BREAKS RULES, see `dnnplan check`"
    if result.status == "optimal":
        tolerance = f"within {GAP_TOLERANCE:g}" if result.gap else "exactly"
        return f"{checked}, and none is better ({tolerance})"
    if result.bound is None:
        return f"{checked}; how good it is, is not known (no bound)"
    word = "less" if result.objective.sense == "min" else "more"
    bound = readable(result.bound, result.objective.unit)
    return f"{checked}, and none has {word} than {bound}: at most {percent(result.gap)} is left to gain"
