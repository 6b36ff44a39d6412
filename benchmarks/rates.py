"""The largest common rates of the bundled scenarios, by each solver of rates."""

from __future__ import annotations

from benchmarks.case import Measured
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.units import percent
from dnnplan.solvers.rates import RateResult, largest_rate

SCENARIOS = ("camera", "glasses", "driver")
SOLVERS = ("npu_only", "best_device", "genetic", "auto")
SECONDS, WORKERS = 60.0, 2


def measure(name: str) -> Measured:
    """Run ``SCENARIO-SOLVER``: the factor, with bound and gap in the note."""
    scenario, solver = name.split("-", 1)
    result = largest_rate(load_bundled(f"rates/{scenario}"), solver, time_limit=SECONDS, workers=WORKERS)
    if result.factor is None or result.violations:
        raise RuntimeError(f"{name}: {result.status} {result.message} {result.violations}")
    return Measured(result.factor, "x", None, None, note(result))


def note(result: RateResult) -> str:
    """What is known about an answer, in a line."""
    bound = "no bound" if result.bound is None else f"bound {result.bound:.4f} ({result.bound_name})"
    return f"{result.status}, {bound}, gap {percent(result.gap)}, {result.runtime:.1f} s, {WORKERS} workers"
