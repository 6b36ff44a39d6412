"""What the suites of grouping and ordering are to reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.requirements.published import Compared, at_most, compared, count, none_contradicted, proved_by
from benchmarks.requirements.verdict import Verdict, measured, not_run
from benchmarks.suites import antler, choosing, conditional, sop, sop_long, ssp
from dnnplan.reports.runs import Row

PRINTED, EXACT = 5e-4, 1e-6
"""Relative: published totals are printed with four digits, published optima with five or six."""


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """The verdicts of the suite that the rows are of."""
    return JUDGES[rows[0].suite](rows)


def _equal(digits: float) -> Callable[[Compared], bool]:
    def holds(c: Compared) -> bool:
        known = next(iter(c.references.values()))
        return c.run.value is not None and abs(c.run.value - known) <= digits * abs(known)

    return holds


def _antler(rows: Sequence[Row]) -> list[Verdict]:
    same = [c for c in compared(rows, antler.references) if not c.name.endswith("-fresh")]
    fresh = [c for c in compared(rows, antler.references) if c.name.endswith("-fresh")]
    more = [c.run.value / c.references["published"] - 1.0 for c in fresh if c.run.value is not None]
    text = "Antler, fresh inputs: what the best order costs beyond the published total of the same input"
    found = f"{100 * min(more):.1f} to {100 * max(more):.1f} % on {len(more)} sets" if more else ""
    return [
        count("Antler, 18 task sets: the published total within its rounding", same, _equal(PRINTED)),
        count("Antler, the same: proven", same, lambda c: c.run.status == "optimal"),
        Verdict(requirement=text, found=found, reached=True) if more else not_run(text),
        *_measured(rows),
    ]


MEASURED = {
    "antler-seconds": "Antler, 18 task sets: at most 100 ms each from call to answer",
    "antler-ratios": "Antler: published totals of others over our order of the published task graphs",
    "antler-equal-variety": "Antler: task graph and order of at most the published variety, never worse",
    "ten-tasks": "a device's day: 10 tasks with precedences, at most 5 ms from call to answer",
}
"""What measurements are for; others are named as they are."""


AGREEMENT = "random small instances, all exact solvers and trying everything agree on at least 500"


def _asked(measurement: str) -> str:
    if measurement.startswith("agreement:"):
        return f"{measurement.removeprefix('agreement:').rpartition('-')[0]}: {AGREEMENT}"
    return MEASURED.get(measurement, measurement)


def _measured(rows: Sequence[Row]) -> list[Verdict]:
    return measured(rows, _asked)


def _fronts(rows: Sequence[Row]) -> list[Verdict]:
    several = [row for row in rows if row.kind == "measure"]
    missed = [row.instance for row in several if not row.reached]
    slowest = max((row.value or 0.0 for row in several), default=0.0)
    text = "affinity tensors: whole fronts proven within 10 s each, plain enumeration where it can run"
    found = (
        f"{len(several) - len(missed)} of {len(several)}; slowest {slowest:.1f} s{'; not ' if missed else ''}"
    )
    return [Verdict(requirement=text, found=found + ", ".join(missed[:4]), reached=not missed)]


def _scale(rows: Sequence[Row]) -> list[Verdict]:
    verdicts = []
    for shape, most, limit in (("20x6", 0.02, "60 s"), ("50x8", 0.05, "10 s")):
        mine = [row for row in rows if f"/{shape}-" in row.instance]
        gaps = [row.value - row.bound for row in mine if row.value is not None and row.bound is not None]
        text = f"generated task sets {shape}, {limit}: variety at most {most} above the bound"
        found = f"gaps {', '.join(f'{gap:.4f}' for gap in gaps)}"
        reached = len(gaps) == len(mine) and max(gaps, default=1.0) <= most
        verdicts.append(Verdict(requirement=text, found=found, reached=reached) if mine else not_run(text))
    return verdicts


def _sop(rows: Sequence[Row]) -> list[Verdict]:
    several = compared(rows, sop.references)
    return [
        count(
            "sequential ordering, 28 open files, 60 s: best known value on 26",
            several,
            lambda c: at_most(c.run.value, c.references["upper bound"]),
            least=26,
        ),
        count("sequential ordering: proven on 11 within 60 s", several, proved_by(61.0), least=11, named=0),
        none_contradicted(
            "sequential ordering: no known bound contradicted", several, "lower bound", "upper bound"
        ),
    ]


def _sop_long(rows: Sequence[Row]) -> list[Verdict]:
    several = compared(rows, sop.references)
    verdict = count(
        "sequential ordering: proven on 14 within 600 s", several, proved_by(601.0), least=14, named=14
    )
    # Ten minutes each: not all of them are run every time.
    closed = sum(1 for _ in sop_long.cases())
    return [replace(verdict, found=f"{verdict.found}; {len(several)} of {closed} that are closed were run")]


def _conditional(rows: Sequence[Row]) -> list[Verdict]:
    several = [c for c in compared(rows, conditional.references) if c.references]
    others = [c for c in compared(rows, conditional.references) if not c.references]
    return [
        count("conditional tasks: 982.0, 1961.4, 1398.4, proven", several, _proven_equal),
        count("conditional tasks: br17.10 with its gap", others, lambda c: c.run.gap is not None),
    ]


def _proven_equal(c: Compared) -> bool:
    return c.run.status == "optimal" and _equal(EXACT)(c)


def _choosing(rows: Sequence[Row]) -> list[Verdict]:
    several = compared(rows, choosing.references)
    standley = [c for c in several if c.name.startswith("setting")]
    tag = [c for c in several if not c.name.startswith("setting")]
    within = "proven, within 1 s"
    return [
        count(f"Standley et al., 36 points: the published optimum, {within}", standley, _chosen(2e-5)),
        count(f"TAG, six settings: the optimum, {within}", tag, _chosen(EXACT)),
    ]


def _chosen(digits: float) -> Callable[[Compared], bool]:
    return lambda c: _equal(digits)(c) and c.run.status == "optimal" and c.run.seconds <= 1.0


def _ssp(rows: Sequence[Row]) -> list[Verdict]:
    several = compared(rows, ssp.references)
    small = [c for c in several if c.name[0] in "AB"]
    large = [c for c in several if c.name[0] in "CD" and c.run.value is not None]
    text = "tool switching, 30 and 40 jobs: within 2 % of best known on average"
    excess = statistics.fmean(c.run.value / c.references["best known"] - 1.0 for c in large) if large else 0.0  # type: ignore[operator]
    return [
        count(
            "tool switching, up to 15 jobs, within 10 s (5 s are given): best known on 78 of 80",
            small,
            lambda c: at_most(c.run.value, c.references["best known"]),
            least=78,
        ),
        Verdict(requirement=text, found=f"{100 * excess:+.2f} % on {len(large)}", reached=excess <= 0.02)
        if large
        else not_run(text),
    ]


JUDGES: dict[str, Callable[[Sequence[Row]], list[Verdict]]] = {
    "antler": _antler,
    "fronts": _fronts,
    "sharing-scale": _scale,
    "sop": _sop,
    "sop-long": _sop_long,
    "conditional": _conditional,
    "choosing": _choosing,
    "ssp": _ssp,
    "tasks": _measured,
}
