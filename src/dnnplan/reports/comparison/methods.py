"""What each method achieves over all cases it was run on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnnplan.reports.comparison.cases import Case
from dnnplan.reports.comparison.intervals import Interval, over_instances, over_seeds
from dnnplan.reports.comparison.kinds import Kind
from dnnplan.reports.comparison.pairs import middle


@dataclass(frozen=True, kw_only=True)
class Method:
    """A solver over all of its cases.

    Parameters
    ----------
    cases, runs, found, proven
        Cases and runs, and runs with a plan and with a proof.
    ratio
        Geometric mean of how many times worse it is than the best known plan, with its interval over cases; a case
        counts once, with the geometric mean of its seeds. None: it found no plan.
    best
        Cases in which it has the best known value.
    seconds
        Median wall time.
    integral
        Mean primal integral of the rows that have one, seconds.
    """

    name: str
    kind: Kind
    cases: int
    runs: int
    found: int
    proven: int
    best: int
    ratio: Interval | None
    seconds: float
    integral: float | None


def methods_of(cases: Sequence[Case], kinds: Mapping[str, Kind]) -> tuple[Method, ...]:
    """All methods: the exact ones first, the better ones before the others."""
    found = [_method(cases, name, kind) for name, kind in kinds.items()]
    return tuple(sorted(found, key=lambda m: (m.kind, math.inf if m.ratio is None else m.ratio.mean, m.name)))


def case_ratios(cases: Iterable[Case], method: str) -> list[float]:
    """How many times worse a method is than the best known plan: one ratio for each case it was run on.

    Infinite where it found no plan although there is one; cases without any plan are left out.
    """
    ratios = []
    for case in cases:
        runs = case.of(method)
        if not runs or case.best is None:
            continue
        own = [case.ratio(run.value) for run in runs]
        over = over_seeds(own)
        ratios.append(math.inf if over is None or any(map(math.isinf, own)) else over.mean)
    return ratios


def _method(cases: Sequence[Case], name: str, kind: Kind) -> Method:
    runs = [run for case in cases for run in case.of(name)]
    ratios = case_ratios(cases, name)
    integrals = [run.row.primal_integral for run in runs if run.row.primal_integral is not None]
    return Method(
        name=name,
        kind=kind,
        cases=sum(bool(case.of(name)) for case in cases),
        runs=len(runs),
        found=sum(run.value is not None for run in runs),
        proven=sum(run.proven for run in runs),
        best=sum(ratio <= 1 + 1e-9 for ratio in ratios),
        ratio=over_instances(ratios),
        seconds=middle([run.seconds for run in runs]),
        integral=sum(integrals) / len(integrals) if integrals else None,
    )
