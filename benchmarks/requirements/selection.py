"""What the suite `selection` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.requirements.verdict import Verdict, not_run, outcome, solved
from benchmarks.suites.limits import MOST_SECONDS, SECONDS
from benchmarks.suites.real_networks import FOUR, NINE, PAIR
from benchmarks.timings import MEASUREMENTS
from dnnplan.reports.runs import Row
from dnnplan.reports.units import readable

LEAST_AGREEING = 200
AGREEING = "agreeing instances"


def judge(chosen: Sequence[Row]) -> list[Verdict]:
    """All requirements in order."""
    return [
        _proved(chosen, "ResNet-50 + Inception v1 on phone-soc: optimality proven within 20 s", PAIR, 20.0),
        _proved(chosen, "with DenseNet-121 and ShuffleNet: optimality proven within 60 s", FOUR, 60.0),
        _better(chosen, "all nine: a checked plan better than heft in 60 s, with its gap", NINE, 60.0),
        *_timings(chosen),
        _limit_kept(chosen),
        _agreement(chosen),
    ]


def _proved(rows: Sequence[Row], text: str, instance: str, most_seconds: float) -> Verdict:
    """Proved with every seed that was run, by the clock of the caller."""
    runs = solved(rows, instance, "auto", most_seconds)
    if not runs:
        return not_run(text)
    found = "; ".join(outcome(r) for r in runs)
    reached = all(r.status == "optimal" and r.valid and r.seconds <= most_seconds for r in runs)
    return Verdict(requirement=text, found=found, reached=reached)


def _better(rows: Sequence[Row], text: str, instance: str, most_seconds: float) -> Verdict:
    runs = solved(rows, instance, "auto", most_seconds)
    rivals = [r.value for r in solved(rows, instance, "heft", most_seconds) if r.value is not None]
    if not runs or not rivals:
        return not_run(text)
    best = min(rivals)
    found = "; ".join(outcome(r) for r in runs) + f"; heft {readable(best, 's')}"
    reached = all(r.value is not None and r.valid and r.value < best and r.gap is not None for r in runs)
    return Verdict(requirement=text, found=found, reached=reached)


def _timings(rows: Sequence[Row]) -> list[Verdict]:
    found = {r.instance: r for r in rows if r.kind == "measure"}
    verdicts = []
    for name, timing in MEASUREMENTS.items():
        if timing.target is None:
            continue
        text = f"{timing.what} <= {readable(timing.target, 's')}"
        row = found.get(name)
        if row is None:
            verdicts.append(not_run(text))
        elif row.value is None:
            verdicts.append(Verdict(requirement=text, found=row.message, reached=False))
        else:
            verdicts.append(
                Verdict(requirement=text, found=readable(row.value, row.unit), reached=row.reached)
            )
    return verdicts


def _limit_kept(rows: Sequence[Row]) -> Verdict:
    """Over all rows with a limit of one second; whoever failed has not kept it."""
    text = f"a time limit of {SECONDS:g} s kept within 0.5 s by every solver, up to 500 layers"
    runs = [
        r
        for r in rows
        if r.kind == "solve" and r.time_limit == SECONDS and r.layers <= 500 and not _unsupported(r)
    ]
    if not runs:
        return not_run(text)
    late = [r for r in runs if r.seconds > MOST_SECONDS or r.status == "error"]
    slowest = max(runs, key=lambda r: r.seconds)
    found = f"{len(runs) - len(late)} of {len(runs)} runs; slowest {slowest.seconds:.2f} s"
    found += f" ({slowest.solver} on {slowest.instance})"
    return Verdict(requirement=text, found=found, reached=not late)


def _unsupported(row: Row) -> bool:
    """Whether the solver declined the instance, which is an answer within the limit."""
    return row.status == "error" and row.message.startswith("UnsupportedError")


def _agreement(rows: Sequence[Row]) -> Verdict:
    """Agreeing instances are counted by the measurements whose unit says so."""
    text = f"CP-SAT, MILP and brute force agree on the optimum of >= {LEAST_AGREEING} small instances"
    runs = [r for r in rows if r.kind == "measure" and r.unit == AGREEING]
    if not runs:
        return not_run(text)
    agreeing = sum(int(r.value or 0) for r in runs)
    failed = [r for r in runs if r.reached is False or r.status == "error"]
    found = f"{agreeing} instances agree" + (f"; {failed[0].message}" if failed else "")
    return Verdict(requirement=text, found=found, reached=agreeing >= LEAST_AGREEING and not failed)
