"""What policies achieve, as a table: one row a policy, with confidence intervals, the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from dnnplan.reports.tables import new_table
from dnnplan.reports.units import number, readable, scale_for
from dnnplan.serving.largest_rate import LargestRate
from dnnplan.serving.metrics import Estimate
from dnnplan.serving.runs import PolicyRun
from dnnplan.serving.simulate import Figures

BEST = "*"
NARROW = 120
"""Characters below which a table has only the columns that say most."""
_EQUAL = 1e-9


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all policies of a table have in common.

    Parameters
    ----------
    name
        Of the instance.
    arrivals
        In words.
    load, capacity
        Arrivals by capacity, and samples a second at load 1; None: not known.
    bound
        Seconds that no mean latency of all samples can be below; None: not known.
    objectives
        Seconds that samples have, the different ones; empty: none.
    """

    name: str
    arrivals: str
    samples: int
    seed: int
    load: float | None
    capacity: float | None
    bound: float | None
    objectives: Sequence[float] = ()


def heading(setting: Setting) -> list[str]:
    """Two lines above the table."""
    name = f"{setting.name}: " if setting.name else ""
    first = f"{name}{setting.samples:,} samples, {setting.arrivals}, seed {setting.seed}"
    parts = []
    if setting.load is not None and setting.capacity is not None:
        parts.append(f"load {setting.load:.4g} (capacity {number(setting.capacity)} samples/s)")
    if setting.objectives:
        parts.append(f"objective {' and '.join(readable(slo, 's') for slo in setting.objectives)}")
    if setting.bound is not None:
        parts.append(f"no mean latency of all samples can be below {readable(setting.bound, 's')}")
    return [first, *(["; ".join(parts)] if parts else [])]


def overload(load: float | None) -> str | None:
    """What a load above 1 means for figures; None: it is none."""
    if load is None or load <= 1:
        return None
    return (
        f"load {load:.4g}: more samples come than can be served; drops and violations count, latencies grow with the "
        "length of the run"
    )


@dataclass(frozen=True)
class _Column:
    """A column: its title, its figure (to be small unless `most`), and the unit in which it is written."""

    title: str
    figure: Callable[[PolicyRun], Estimate]
    unit: str | None = None
    most: bool = False
    percent: bool = False
    of_served: bool = False
    """Whether it is only of samples that were served: a policy that drops cannot be the best."""
    narrow: bool = True


def _of(name: str) -> Callable[[PolicyRun], Estimate]:
    def figure(run: PolicyRun) -> Estimate:
        found = getattr(run.figures, name)
        return found if isinstance(found, Estimate) else Estimate(found)

    return figure


def _alone(name: str) -> Callable[[PolicyRun], Estimate]:
    """Without its interval, which has no room."""
    return lambda run: Estimate(getattr(run.figures, name).value)


def _regret(run: PolicyRun) -> Estimate:
    return Estimate(math.nan if not run.bound else run.figures.mean_latency.value / run.bound)


_COLUMNS = (
    _Column("mean", _of("mean_latency"), "s", of_served=True),
    _Column("p50", _alone("p50"), "s", of_served=True, narrow=False),
    _Column("p95", _alone("p95"), "s", of_served=True, narrow=False),
    _Column("p99", _of("p99"), "s", of_served=True),
    _Column("mean/bound", _regret, of_served=True),
    _Column("violated", _of("slo_violation_rate"), percent=True),
    _Column("dropped", _of("drop_rate"), percent=True),
    _Column("in time/s", _of("goodput"), most=True),
    _Column("busy", _of("utilisation"), percent=True),
    _Column("batch", _of("mean_batch"), narrow=False),
    _Column("energy", _of("energy_per_sample"), "J", of_served=True, narrow=False),
)
_UNMARKED = ("busy", "batch", "mean/bound")


def runs_table(
    runs: Sequence[PolicyRun], *, width: int = 160, rates: Mapping[str, LargestRate] | None = None
) -> Table:
    """One row a policy.

    Parameters
    ----------
    width
        Characters; narrow tables have fewer columns.
    rates
        Largest rates by policy, for a column of their own.
    """
    columns = _columns(runs, width)
    scales = [_scale(column, runs) for column in columns]
    titles = [
        f">{c.title} [{unit}]" if unit else f">{c.title}"
        for c, (_, unit) in zip(columns, scales, strict=True)
    ]
    table = new_table("policy", *titles, *([">largest rate [/s]"] if rates else []))
    best = [_best(column, runs) for column in columns]
    for k, run in enumerate(runs):
        cells = [
            _cell(column.figure(run), size, is_best=k in marked)
            for column, (size, _), marked in zip(columns, scales, best, strict=True)
        ]
        table.add_row(run.figures.policy, *cells, *([_rate(rates, run.figures.policy)] if rates else []))
    return table


def _columns(runs: Sequence[PolicyRun], width: int) -> list[_Column]:
    """Columns that have room, and figures that differ from nothing."""
    empty: set[str] = set()
    if not any(math.isfinite(slo) for run in runs for slo in _objectives(run)):
        empty |= {"violated", "in time/s"}
    if not any(run.figures.drop_rate.value for run in runs):
        empty.add("dropped")
    if not any(run.figures.energy for run in runs):
        empty.add("energy")
    return [c for c in _COLUMNS if c.title not in empty and (c.narrow or width >= NARROW)]


def footnote(figures: Sequence[Figures]) -> str:
    """What the marks mean."""
    text = "± 95 % confidence"
    if len(figures) > 1:
        text = f"{BEST} the best; {text}"
    if len(figures) > 1 and any(each.drop_rate.value > 0 for each in figures):
        text += "; latencies are of the samples that are served, so policies that drop have no mark there"
    return text


def estimate_text(found: Estimate, size: float = 1.0) -> str:
    """A figure in units of `size`, with half the width of its interval: two digits of that, at most four of the figure.

    >>> estimate_text(Estimate(0.0123456, 0.0121, 0.0126), 1e-3), estimate_text(Estimate(2.0))
    ('12.35 ± 0.25', '2')
    """
    value = found.value / size
    if not math.isfinite(value):
        return "-"
    half = max(found.high - found.value, found.value - found.low) / size
    if not math.isfinite(half) or half <= abs(value) * _EQUAL:
        return number(value)
    most = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 6
    digits = min(max(0, 1 - math.floor(math.log10(half))), most)
    return f"{value:.{digits}f} ± {half:.{digits}f}"


def _objectives(run: PolicyRun) -> list[float]:
    return [stream.slo for stream in run.done.problem.streams]


def _scale(column: _Column, runs: Sequence[PolicyRun]) -> tuple[float, str]:
    """Size and name of the unit of a column: that in which its middle figure reads best."""
    if column.percent:
        return 0.01, "%"
    found = sorted(v for run in runs if math.isfinite(v := column.figure(run).value))
    return scale_for(found[len(found) // 2], column.unit) if found and column.unit else (1.0, "")


def _best(column: _Column, runs: Sequence[PolicyRun]) -> set[int]:
    """Rows with the best figure of a column; empty where more than half of them have it, or the column has none."""
    if column.title in _UNMARKED or len(runs) < 2:
        return set()
    values = {
        k: value * (-1 if column.most else 1)
        for k, run in enumerate(runs)
        if math.isfinite(value := column.figure(run).value)
        and not (column.of_served and run.figures.drop_rate.value > 0)
    }
    if not values:
        return set()
    least = min(values.values())
    best = {k for k, value in values.items() if value <= least + _EQUAL * abs(least)}
    return best if len(best) <= len(runs) / 2 else set()


def _cell(found: Estimate, size: float, *, is_best: bool) -> Text:
    mark = BEST if is_best else " "
    return Text(f"{estimate_text(found, size)}{mark}", style="bold green" if is_best else "")


def _rate(rates: Mapping[str, LargestRate] | None, policy: str) -> str:
    found = (rates or {}).get(policy)
    if found is None:
        return "-"
    return number(found.rate) if found.rate > 0 else "none"
