"""What the suite `hetero-dag` is to reach."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.data import data_files
from benchmarks.requirements.published import Compared, at_most, compared, count
from benchmarks.requirements.verdict import Verdict, cut, mean, not_run, worst
from benchmarks.suites.hetero_dag import references
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

PROOF_SECONDS = 1.0
LEAST_CUT = 0.10
PRINTED = 1e-3


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """The examples of papers to their optimum; the applications against heft, with a gap."""
    several = compared(rows, references)
    applications = {path.stem for path in data_files("sched/hetero_dag_apps/*.dag")}
    return [
        count(
            f"heterogeneous examples: proven within {PROOF_SECONDS:g} s, equal to the known optimum",
            [c for c in several if c.name not in applications],
            _proved,
        ),
        _below_heft(rows, [c for c in several if c.name in applications]),
    ]


def _proved(c: Compared) -> bool:
    known = c.references.get("upper bound")
    same = known is None or (
        at_most(c.run.value, known, PRINTED) and at_most(known, c.run.value or 0.0, PRINTED)
    )
    return c.run.status == "optimal" and c.run.seconds <= PROOF_SECONDS and same


def _below_heft(rows: Sequence[Row], several: Sequence[Compared]) -> Verdict:
    text = f"applications on 8 machines: at least {percent(LEAST_CUT)} below heft on average, with a gap"
    pairs = [(c.run, heft) for c in several if (heft := worst(rows, c.name, "heft")) is not None]
    cuts = mean(cut(run, heft) for run, heft in pairs)
    if cuts is None:
        return not_run(text)
    gaps = [run.gap for run, _ in pairs if run.gap is not None]
    found = (
        f"{percent(cuts)} on {len(pairs)}; gaps {percent(min(gaps))} to {percent(max(gaps))}"
        if gaps
        else "no gap"
    )
    return Verdict(requirement=text, found=found, reached=cuts >= LEAST_CUT and len(gaps) == len(pairs))
