"""What suites of published instances share: runs beside reference values, counted and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.requirements.verdict import Verdict, not_run, outcome, worst
from dnnplan.reports.runs import Row

References = Callable[[str], dict[str, float]]
TOLERANCE = 1e-6
"""Relative; reference values are printed with few digits, which callers allow for."""


@dataclass(frozen=True)
class Compared:
    """A run of `auto` and the reference values of its instance."""

    run: Row
    references: dict[str, float]

    @property
    def name(self) -> str:
        """The instance."""
        return self.run.instance


def compared(rows: Sequence[Row], references: References, prefix: str = "") -> list[Compared]:
    """The worst run of `auto` on each instance whose name begins so; without a valid plan there is no value."""
    names = dict.fromkeys(r.instance for r in rows if r.kind == "solve" and r.instance.startswith(prefix))
    runs = (worst(rows, name, "auto") for name in names)
    return [Compared(run, references(run.instance)) for run in runs if run is not None]


def count(
    text: str,
    several: Sequence[Compared],
    holds: Callable[[Compared], bool],
    *,
    least: int | None = None,
    share: float = 1.0,
    named: int = 6,
) -> Verdict:
    """How many fulfil something; reached if at least `least` do, or the share where that is None."""
    if not several:
        return not_run(text)
    missed = [c for c in several if c.run.value is None or not c.run.valid or not holds(c)]
    kept = len(several) - len(missed)
    found = f"{kept} of {len(several)}"
    found += "".join(f"; not {c.name}: {outcome(c.run)}" for c in missed[:named])
    found += f"; and {len(missed) - named} more" if len(missed) > named else ""
    enough = share * len(several) if least is None else least
    return Verdict(requirement=text, found=found, reached=kept >= enough)


def at_most(value: float | None, reference: float, digits: float = TOLERANCE) -> bool:
    """Whether a value is not above a reference that is printed with some relative precision."""
    return value is not None and value <= reference * (1 + digits)


def proved_by(seconds: float) -> Callable[[Compared], bool]:
    """Whether optimality was proven within a time."""
    return lambda c: c.run.status == "optimal" and c.run.seconds <= seconds


def close(most: float) -> Callable[[Compared], bool]:
    """Whether the gap is at most that."""
    return lambda c: c.run.gap is not None and c.run.gap <= most


def none_contradicted(
    text: str, several: Iterable[Compared], lower: str, upper: str, precision: float = 1e-6
) -> Verdict:
    """No value below a known lower bound, no bound above a known upper one."""
    known = [c for c in several if lower in c.references and upper in c.references]
    wrong = [
        c.name
        for c in known
        if (c.run.value is not None and c.run.value < c.references[lower] * (1 - precision))
        or (c.run.bound is not None and c.run.bound > c.references[upper] * (1 + precision))
    ]
    if not known:
        return not_run(text)
    return Verdict(requirement=text, found=", ".join(wrong) or f"none of {len(known)}", reached=not wrong)
