"""A comparison in sentences: what was run, what is proven, and how exact and heuristic methods compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnnplan.reports.comparison.cases import Case
from dnnplan.reports.comparison.intervals import Interval
from dnnplan.reports.comparison.methods import Method
from dnnplan.reports.comparison.pairs import Pair, middle, overall
from dnnplan.reports.runs import Row
from dnnplan.reports.shown_text import shown
from dnnplan.reports.units import number, readable

NAMED = 6
"""Names that a sentence lists."""


def what_was_run(rows: Sequence[Row], cases: Sequence[Case]) -> list[str]:
    """Solvers, instances, seeds, limits; then measurements; then when and on what."""
    sentences = []
    solves = [run.row for case in cases for run in case.runs]
    if solves:
        solvers = tuple(dict.fromkeys(run.method for case in cases for run in case.runs))
        seeds = len({row.seed for row in solves})
        text = f"{capital(listed(solvers, 'solver'))} {plural(len(solvers), 'was', 'were')} run on "
        text += counted(len(cases), "case")
        suites = tuple(dict.fromkeys(case.suite for case in cases))
        text += f" of {listed(suites, 'suite')}" if suites != ("",) else ""
        text += f", each with {seeds} seeds" if seeds > 1 else ""
        sentences.append(f"{text}: {counted(len(solves), 'run')}, {_limits(solves)}.")
    older = sum(row.kind == "solve" for row in rows) - len(solves)
    if older > 0:
        sentences.append(
            f"{counted(older, 'older row')} of runs that were made again {plural(older, 'is', 'are')} left out."
        )
    measured = sum(row.kind == "measure" for row in rows)
    if measured:
        sentences.append(f"The store has {counted(measured, 'measurement')} of the library.")
    return sentences


def what_was_found(cases: Sequence[Case]) -> list[str]:
    """Plans, proofs, and whether anything was refused."""
    runs = [run for case in cases for run in case.runs]
    if not runs:
        return []
    planned = sum(case.best is not None for case in cases)
    proven = sum(any(run.proven for run in case.runs) for case in cases)
    refused = sum(run.row.valid is False for run in runs)
    failed = sum(run.row.status == "error" and run.row.valid is not False for run in runs)
    lines = [
        f"{_of(planned, len(cases))} cases have a plan, and {_of(proven, len(cases)).lower()} are answered with "
        "a proof: "
        "optimal, or that there is no plan."
    ]
    if refused:
        lines.append(
            f"The independent check REFUSED {counted(refused, 'plan')}: see the rows with status error."
        )
    elif planned:
        lines.append("The independent check accepted every plan.")
    if failed:
        lines.append(f"{counted(failed, 'run')} failed.")
    wrong = [case.name for case in cases if case.contradicted]
    if wrong:
        lines.append(
            f"In {counted(len(wrong), 'case')} a plan is BETTER THAN WHAT ANOTHER RUN CALLS PROVEN, a bound or that "
            f"there is no plan: {listed(wrong, 'case')}."
        )
    return lines


def exact_against_heuristic(pairs: Sequence[Pair]) -> list[str]:
    """How much worse the best heuristic is than the best exact plan, and how much sooner it is there."""
    both = [pair for pair in pairs if pair.ratio is not None]
    if not both:
        return ["No case has a plan of an exact and one of a heuristic solver, so the two are not compared."]
    mean, p = overall(both)
    assert mean is not None
    text = f"On the {counted(len(both), 'case')} that both kinds solved, the best heuristic plan is {worse(mean.mean)}"
    text += f" the best exact plan in the geometric mean{interval_words(mean)}."
    lines = [text]
    equal = sum(abs(pair.ratio.mean - 1) <= 1e-6 for pair in both if pair.ratio is not None)
    better = sum(pair.ratio.mean < 1 - 1e-6 for pair in both if pair.ratio is not None)
    counts = (
        f"It is as good in {equal}, better in {better} and worse in {len(both) - equal - better} of them."
    )
    if p is not None:
        told = "chance is no likely reason" if p < 0.05 else "chance may be the reason"
        counts += f" {capital(told)} (Wilcoxon's signed-rank test, p = {p:.2g})."
    lines.append(counts)
    times = [
        (pair.exact.seconds, pair.heuristic.seconds)
        for pair in both
        if pair.exact is not None and pair.heuristic is not None
    ]
    lines.append(
        f"The best exact methods took {readable(middle([a for a, _ in times]), 's')} in the median of these cases, "
        f"the best heuristics {readable(middle([b for _, b in times]), 's')}."
    )
    return lines


def best_methods(methods: Sequence[Method]) -> str:
    """Which method is nearest to the best known plans, among those that were run on most cases."""
    most = max((m.cases for m in methods), default=0)
    able = [m for m in methods if m.ratio is not None and m.cases == most]
    if len(able) < 2:
        return ""
    best = min(able, key=lambda m: m.ratio.mean if m.ratio is not None else float("inf"))
    assert best.ratio is not None
    text = f"Nearest to the best known plans is {shown(best.name, 40)}: {worse(best.ratio.mean)} them"
    missing = (
        f"; it found no plan in {counted(best.runs - best.found, 'run')}" if best.found < best.runs else ""
    )
    return f"{text}{interval_words(best.ratio)}, best in {best.best} of {best.cases}{missing}."


def worse(ratio: float) -> str:
    """A ratio in words.

    >>> worse(1.032), worse(0.9), worse(1.0), worse(3.5)
    ('3.2 % worse than', '10 % better than', 'as good as', '3.5 times as large as')
    """
    if abs(ratio - 1) < 5e-6:
        return "as good as"
    if ratio >= 2:
        return f"{number(float(f'{ratio:.3g}'))} times as large as"
    return f"{number(float(f'{abs(ratio - 1) * 100:.3g}'))} % {'worse' if ratio > 1 else 'better'} than"


def interval_words(mean: Interval) -> str:
    """The interval behind a mean, in brackets."""
    if mean.low is None or mean.high is None or change(mean.low) == change(mean.high):
        return ""
    return f" (95 % confidence: {change(mean.low)} to {change(mean.high)})"


def change(ratio: float) -> str:
    """How much worse a ratio says something is, as a percentage with its sign, or as a factor.

    >>> change(1.0321), change(0.9), change(1.0), change(4.0)
    ('+3.21 %', '-10 %', '0 %', 'x 4')
    """
    if ratio >= 2:
        return f"x {number(float(f'{ratio:.3g}'))}"
    share = float(f"{(ratio - 1) * 100:.3g}")
    if abs(share) < 5e-4:
        return "0 %"
    return f"{share:+.3g} %"


def counted(count: int, what: str) -> str:
    """A number and what it counts.

    >>> counted(1, "case"), counted(2000, "row")
    ('1 case', '2,000 rows')
    """
    return f"{count:,} {what if count == 1 else what + 's'}"


def plural(count: int, one: str, more: str) -> str:
    """The word that fits a number."""
    return one if count == 1 else more


def listed(names: Sequence[str], what: str) -> str:
    """A few names, or how many there are: ``the solvers a and b``, ``20 solvers``."""
    if len(names) > NAMED:
        return f"{len(names)} {what}s"
    known = [shown(name, 40) for name in names]
    if len(known) == 1:
        return f"the {what} {known[0]}"
    return f"the {what}s {', '.join(known[:-1])} and {known[-1]}"


def capital(text: str) -> str:
    """Text that begins a sentence."""
    return text[:1].upper() + text[1:]


def _of(part: int, whole: int) -> str:
    return f"All {whole}" if part == whole and whole > 1 else f"{part} of {whole}"


def _limits(rows: Iterable[Row]) -> str:
    limits = sorted({row.time_limit for row in rows if row.time_limit is not None})
    if not limits:
        return "without a time limit"
    if len(limits) == 1:
        return f"{limits[0]:g} s for each at most"
    return f"at most {limits[0]:g} to {limits[-1]:g} s for each"
