"""What the suite `fjsp` is to reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.requirements.published import Compared, at_most, compared, count, none_contradicted
from benchmarks.requirements.verdict import Verdict
from benchmarks.suites.fjsp import references
from dnnplan.reports.runs import Row

LEAST_PROVEN = 8
MOST = {"mk06": 60.0, "mk10": 215.0}


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Brandimarte's ten: eight proven, the two open ones near their best known values; nothing contradicted."""
    several = compared(rows, references, "mk")
    return [
        count(
            f"flexible job shops mk01 to mk10, 120 s: {LEAST_PROVEN} proven optimal",
            several,
            _proved,
            least=LEAST_PROVEN,
        ),
        *(
            count(f"flexible job shop {name}: at most {most:g}", _only(several, name), _below(most))
            for name, most in MOST.items()
        ),
        none_contradicted(
            "flexible job shops: no known bound contradicted",
            compared(rows, references),
            "lower bound",
            "upper bound",
        ),
    ]


def _only(several: Sequence[Compared], name: str) -> list[Compared]:
    return [c for c in several if c.name == name]


def _proved(c: Compared) -> bool:
    return c.run.status == "optimal"


def _below(most: float) -> Callable[[Compared], bool]:
    return lambda c: at_most(c.run.value, most)
