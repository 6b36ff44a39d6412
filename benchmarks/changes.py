"""What differs between rows of the same case: a wrong answer always counts, a number only beyond chance."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from dnnplan.instances.result import EPSILON
from dnnplan.reports.runs import Row

ENOUGH_SEEDS = 5
"""From so many seeds on a test decides: only then can the p of a signed-rank test, 1/32 at least, be small."""
ALPHA = 0.05
SLOWER, SLOWER_SECONDS = 0.25, 0.5
"""Times count from a quarter more, and half a second more: machines are never quite alike."""
_GOOD = {"optimal": 3, "infeasible": 3, "measured": 3, "feasible": 2, "unknown": 1, "error": 0}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The rows of one case and seed."""

    new: Row
    old: Row


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is worse or better.

    Parameters
    ----------
    what
        ``status``, ``value``, ``bound``, ``gap``, ``seconds``, ``reached``, or ``contradiction``.
    old, new
        Medians over the seeds where several are judged together.
    relative
        Median of the relative changes; of the gap, which is relative itself, of the differences.
    p
        Of Wilcoxon's signed-rank test over the seeds, one-sided; None: too few of them, each was judged by itself
        or by the median.
    """

    case: str
    what: str
    old: float | str | None
    new: float | str | None
    unit: str | None = None
    relative: float | None = None
    p: float | None = None
    worse: bool


def changes(pairs: Sequence[Pair], tolerance: float) -> list[Change]:
    """All changes, worse ones first."""
    found = [change for pair in pairs for change in _of_pair(pair)]
    groups: dict[tuple[object, ...], list[Pair]] = {}
    for pair in pairs:
        row = pair.new
        groups.setdefault((row.question, msgspec.structs.replace(row, seed=0).asked), []).append(pair)
    for group in groups.values():
        found += _of_group(group, tolerance)
    return sorted(found, key=lambda change: not change.worse)


def _of_pair(pair: Pair) -> Iterator[Change]:
    """What no tolerance excuses: failures, answers that exclude each other, targets missed."""
    new, old = pair.new, pair.old
    name = _name(new) + (f" seed {new.seed}" if new.seed else "")
    if {new.status, old.status} <= {"optimal", "feasible", "infeasible"} and (
        "infeasible" in (new.status, old.status) and new.status != old.status
    ):
        yield Change(case=name, what="contradiction", old=old.status, new=new.status, worse=True)
    elif _GOOD.get(new.status, 1) != _GOOD.get(old.status, 1):
        worse = _GOOD.get(new.status, 1) < _GOOD.get(old.status, 1)
        why = f"error ({new.stop_reason})" if new.status == "error" else new.status
        yield Change(case=name, what="status", old=old.status, new=why, worse=worse)
    if new.reached != old.reached and None not in (new.reached, old.reached):
        words = {True: "reached", False: "missed"}
        yield Change(
            case=name, what="target", old=words[bool(old.reached)], new=words[bool(new.reached)],
            worse=bool(old.reached),
        )  # fmt: skip


def _of_group(pairs: Sequence[Pair], tolerance: float) -> Iterator[Change]:
    """Numbers of one case over its seeds. A number is worse if it is larger, once signs are turned."""
    row = pairs[0].new
    if row.kind == "measure":
        # Of a measurement only the target says which way is better.
        return
    sign = 1.0 if row.sense == "min" else -1.0
    judged: tuple[tuple[str, Callable[[Row], float | None], float, str | None], ...] = (
        ("value", lambda r: r.value if r.valid else None, sign, row.unit),
        ("bound", lambda r: r.bound, -sign, row.unit),
    )
    for what, number, direction, unit in judged:
        yield from _judge(pairs, what, number, unit, _relative(direction), tolerance)
    yield from _judge(pairs, "gap", lambda r: r.gap, None, lambda new, old: new - old, tolerance)
    yield from _judge(pairs, "seconds", lambda r: r.seconds or None, "s", _slower, 0.0)


def _relative(direction: float) -> Callable[[float, float], float]:
    return lambda new, old: direction * (new - old) / max(abs(old), EPSILON)


def _slower(new: float, old: float) -> float:
    """Relative change of a time, 0 where it is within what machines do by themselves."""
    change = (new - old) / max(old, EPSILON)
    small = abs(new - old) <= SLOWER_SECONDS or (1 / (1 + SLOWER) - 1) <= change <= SLOWER
    return 0.0 if small else change


def _judge(
    pairs: Sequence[Pair],
    what: str,
    number: Callable[[Row], float | None],
    unit: str | None,
    change: Callable[[float, float], float],
    tolerance: float,
) -> Iterator[Change]:
    known = [
        (n, o)
        for pair in pairs
        if (n := number(pair.new)) is not None and (o := number(pair.old)) is not None
    ]
    if not known or pairs[0].new.status == "error":
        return
    by = [change(new, old) for new, old in known]
    middle = statistics.median(by)
    if abs(middle) <= tolerance:
        return
    p = signed_rank([b if middle > 0 else -b for b in by]) if len(by) >= ENOUGH_SEEDS else None
    if p is not None and p > ALPHA:
        return
    new, old = (
        known[0]
        if len(known) == 1
        else (statistics.median(n for n, _ in known), statistics.median(o for _, o in known))
    )
    shown = (new - old) if what == "gap" else (new - old) / max(abs(old), EPSILON)
    seeds = f" ({len(by)} seeds)" if len(by) > 1 else ""
    yield Change(
        case=_name(pairs[0].new) + seeds, what=what, old=old, new=new, unit=unit, relative=shown, p=p,
        worse=middle > 0,
    )  # fmt: skip


def signed_rank(differences: Sequence[float]) -> float:
    """One-sided p of Wilcoxon's signed-rank test that the differences are not above 0; 1 where all are 0."""
    from scipy.stats import wilcoxon

    if not any(differences):
        return 1.0
    return float(wilcoxon(differences, alternative="greater", zero_method="zsplit").pvalue)


def _name(row: Row) -> str:
    parts = [row.instance, row.solver, row.objective, *(f"{k}<={v:g}" for k, v in sorted(row.limits.items()))]
    if row.time_limit is not None:
        parts.append(f"{row.time_limit:g} s")
    return " ".join(filter(None, parts))
