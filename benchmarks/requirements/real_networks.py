"""What the suite `real-networks` is to reach.

A mixture is **dominated** by one network where the communication-aware critical path is at least 1.25 times the load
bound, and **full** otherwise: there the devices, not one network, limit the makespan. Both are facts of the instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from benchmarks.requirements.verdict import Verdict, cut, mean, not_run, outcome, worst
from benchmarks.suites.real_networks import MIXTURES, PLATFORMS
from dnnplan.reports.runs import Row
from dnnplan.reports.units import percent

DOMINATED_FROM = 1.25
PROOF_SECONDS = 30.0
LEAST_CUT, MOST_GAP = 0.04, 0.12


@cache
def is_dominated(name: str) -> bool:
    """Whether one network alone decides the makespan of a mixture."""
    from dnnplan.costs import mapping_problem
    from dnnplan.formulations.mapping.bounds import communication_path_bound, load_bound
    from dnnplan.instances.catalogue import load_bundled

    problem = mapping_problem(load_bundled(name))
    return communication_path_bound(problem).value >= DOMINATED_FROM * load_bound(problem).value


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Proofs where one network dominates, distance to heft and to the bound where the devices are full."""
    present = {row.instance for row in rows}
    names = [f"{p}/{m}" for p in PLATFORMS for m in MIXTURES.values() if f"{p}/{m}" in present]
    return [
        _proved(rows, [name for name in names if is_dominated(name)]),
        *_full(rows, [name for name in names if not is_dominated(name)]),
    ]


def _proved(rows: Sequence[Row], names: Sequence[str]) -> Verdict:
    text = f"mixtures dominated by one network: optimality proven within {PROOF_SECONDS:g} s"
    runs = [run for name in names if (run := worst(rows, name, "auto")) is not None]
    if not runs:
        return not_run(text)
    late = [r for r in runs if r.status != "optimal" or not r.valid or r.seconds > PROOF_SECONDS]
    slowest = max(r.seconds for r in runs)
    found = f"{len(runs) - len(late)} of {len(runs)} proven, the slowest of all runs {slowest:.1f} s"
    found += "".join(f"; {r.instance}: {outcome(r)}" for r in late)
    return Verdict(requirement=text, found=found, reached=not late)


def _full(rows: Sequence[Row], names: Sequence[str]) -> list[Verdict]:
    below = f"full devices, 60 s: auto below heft by at least {percent(LEAST_CUT)} on average"
    close = f"full devices, 60 s: mean gap at most {percent(MOST_GAP)}"
    pairs = [
        (auto, heft)
        for name in names
        if (auto := worst(rows, name, "auto")) is not None and (heft := worst(rows, name, "heft")) is not None
    ]
    if not pairs:
        return [not_run(below), not_run(close)]
    cuts = mean(cut(auto, heft) for auto, heft in pairs)
    gaps = mean(auto.gap for auto, _ in pairs)
    return [
        Verdict(
            requirement=below,
            found=f"{percent(cuts)} on {len(pairs)} mixtures",
            reached=cuts is not None and cuts >= LEAST_CUT,
        ),
        Verdict(
            requirement=close,
            found=f"{percent(gaps)} on {len(pairs)} mixtures",
            reached=gaps is not None and gaps <= MOST_GAP,
        ),
    ]
