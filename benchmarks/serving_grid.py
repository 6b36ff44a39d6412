"""The grid of serving: policies on networks, arrays, arrivals and loads, the same samples for all of them.

`mdp` is not among them: it is for small systems, where `best-policy` compares with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from dnnplan.costs.serving import ServingProblem, capacity, serving_problem
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.errors import UnsupportedError
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.policies import make_policy, policy_names
from dnnplan.serving.runs import BY_NAME
from dnnplan.serving.simulate import Figures, figures, simulate
from dnnplan.serving.spec import arrivals_of
from dnnplan.serving.traces import with_arrivals

INSTANCES = ("resnet50-os32", "resnet50-ws128", "inception-os32", "inception-ws128")
ARRIVALS = ("poisson", "gamma", "mmpp")
SPEC = {"poisson": "poisson:{:g}", "gamma": "gamma:{:g},4", "mmpp": "mmpp:{:g},4,100"}
"""Bursty: times between arrivals of four times the variation of Poisson's; two rates, one four times the other."""
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.2)
HEAVY = 0.95
"""The load from which drops and violations count, latencies below."""
SAMPLES = 100_000
SEEDS = 3
DROPS = 1e-3
"""A policy that drops a larger share is not compared by latency: it left out those that would have been slow."""
OURS = "exit_aware"
TOLERANCE = 1.02


@dataclass(frozen=True)
class Cell:
    """One network on one array with one kind of arrivals at one load."""

    instance: str
    arrivals: str
    load: float

    @property
    def name(self) -> str:
        """As measurements are called."""
        return f"{self.instance}|{self.arrivals}|{self.load:g}"

    @property
    def measures(self) -> tuple[str, ...]:
        """What counts in it."""
        return ("violations",) if self.load >= HEAVY else ("mean", "p99")


def cells() -> Iterator[Cell]:
    """All cells."""
    for instance in INSTANCES:
        for arrivals in ARRIVALS:
            for load in LOADS:
                yield Cell(instance, arrivals, load)


def problem_of(cell: Cell) -> ServingProblem:
    """Below `HEAVY` the objective is the mean latency, from there on the number of late samples."""
    instance = load_bundled(f"serving/{cell.instance}")
    return serving_problem(replace(instance, objective="late" if cell.load >= HEAVY else "mean_latency"))


def run_cell(cell: Cell, samples: int = SAMPLES, seeds: int = SEEDS) -> dict[str, dict[str, float]]:
    """Measures of each policy, the mean over seeds: mean and p99 in seconds, share of violations and of drops."""
    problem = problem_of(cell)
    processes = arrivals_of(SPEC[cell.arrivals].format(cell.load), problem, capacity(problem))
    problem = with_arrivals(problem, processes)
    drawn = [draw_samples(problem, samples, seed) for seed in range(seeds)]
    found: dict[str, dict[str, float]] = {}
    for name in policy_names():
        if name in BY_NAME:
            continue
        try:
            policy = make_policy(name, problem)
        except UnsupportedError:
            continue
        rows = [_measures(figures(simulate(problem, policy, each))) for each in drawn]
        found[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return found


def _measures(found: Figures) -> dict[str, float]:
    return {
        "mean": found.mean_latency.value,
        "p99": found.p99.value,
        "violations": found.slo_violation_rate.value,
        "drops": found.drop_rate.value,
    }


def ratios(cell: Cell, found: dict[str, dict[str, float]]) -> dict[str, tuple[float, str]]:
    """For each measure that counts in a cell: ours over the best of the others, and which one that is."""
    result = {}
    for measure in cell.measures:
        others = {
            name: row[measure]
            for name, row in found.items()
            if name != OURS and (measure == "violations" or row["drops"] <= DROPS)
        }
        best = min(others, key=lambda name: others[name])
        ours = found[OURS][measure]
        result[measure] = (ours / others[best] if others[best] > 0 else math.inf if ours > 0 else 1.0, best)
    return result
