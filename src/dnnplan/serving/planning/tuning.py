"""Choosing a plan: tables for some rates, and the rest by simulating the expected arrivals."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.capacity import capacity
from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.instances.errors import UnsupportedError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.arrivals import mean_rate
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.planning.segments import Segment, segments_of
from dnnplan.serving.policies import exit_aware, make_policy
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.policies.mdp import best_actions
from dnnplan.serving.simulate import Simulation, simulate

Steps = tuple[tuple[str, tuple[Any, ...]], ...]
SEED = 20_260_901
"""Of what is simulated: other samples than those that are served later."""
LEAST_LOAD, MOST_LOAD, APART = 0.05, 0.8, 0.08
SETTLED = 0.01
"""Part of the actions of a table that may still change."""
BACKLOGS = (1.0, 1.25, 1.5, 2.0, 3.0, np.inf)
"""Lines, in batches, or where a table has no line so long in its longest ones, from which only throughput counts."""
ALWAYS = 1e-9
"""A line that any new sample makes: without a table, batches that run to their end take all that wait."""
AGES = (1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)
"""Ages, in times of one sample, from which a sample goes first."""
MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""Seconds, in times of one sample, that new samples need, or are dropped."""
STRETCHES = (0.0, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
"""Parts of the way to the last stage for which a batch has to have time left."""
REFERENCES = ("serial", "greedy", "aimd", "lazy", "rebatch_newest", "edgeserving")
"""Policies that set the scale of mean and tail."""
TAIL = 0.99
PATIENCE = 3.0
"""Times between arrivals that a device waits for the next one, where a table says so."""
WEIGHT_OF_SUM = 0.01
"""Of two plans with equal worst figures, the one with the better other figure wins."""
UNKNOWN_LOAD, LEAST_CV, MOST_CV = 0.7, 0.05, 20.0


@dataclass(frozen=True)
class Effort:
    """How much planning is done.

    Parameters
    ----------
    states
        Of a table, about.
    loads
        For which there are tables, beside the expected one.
    samples
        Of one simulation.
    """

    states: int = 16_000
    loads: tuple[float, ...] = (0.6, 0.8)
    samples: int = 150_000


QUICK = Effort(400, (), 2000)
"""For tests and first looks."""


@dataclass(frozen=True)
class Choice:
    """What simulations choose.

    Parameters
    ----------
    load
        That the tables are for.
    backlog
        Line, in batches, from which only throughput counts.
    oldest
        Age in seconds from which a sample goes first.
    margin
        Times of one sample that new samples need; of the objective of few late samples.
    newest
        Whether new samples go last come, first served.
    most
        Most new samples in a batch.
    stretch
        New batches are as large as lets their first sample be in time if it takes this part of the way; 0: by tables.
    finish
        Whether batches run to their end.
    """

    load: float
    backlog: float = np.inf
    oldest: float = np.inf
    margin: float = 0.0
    newest: bool = False
    most: int = 10**6
    stretch: float = 0.0
    finish: bool = False


def planned(problem: ServingProblem, effort: Effort | None = None) -> FloatArray:
    """Parameters of `exit_aware` for a problem: the best that simulations of its arrivals found."""
    found = Planner(problem, effort or Effort())
    return found.parameters(found.best())


class Planner:
    """Makes plans for one problem, and compares them."""

    def __init__(self, problem: ServingProblem, effort: Effort) -> None:
        self.effort = effort
        self.expected = _with_expected_arrivals(problem)
        self.late = problem.objective == "late"
        rates = np.array([mean_rate(stream.arrivals) or 0.0 for stream in self.expected.streams])
        self.segments = segments_of(problem, rates / rates.sum(), effort.states)
        self.rate = float(rates.sum())
        self.samples = draw_samples(self.expected, effort.samples, SEED)
        self.alone = min(
            float(problem.latency[a:b, 1].sum()) for a, b in itertools.pairwise(problem.first.tolist())
        )

    def loads(self) -> tuple[float, ...]:
        """Loads to make tables for: the expected one of the busiest segment, and others."""
        busy = max(self.rate * segment.share / segment.rate_at_full_batches for segment in self.segments)
        own = min(max(busy, LEAST_LOAD), MOST_LOAD)
        return (own, *(load for load in self.effort.loads if abs(load - own) > APART))

    def best(self) -> Choice:
        """The best choice of a search that improves one field after the other, from each table."""
        if self.late:
            steps: Steps = (
                ("margin", MARGINS),
                ("newest", (False, True)),
                ("most", self._sizes()),
                ("stretch", STRETCHES),
                ("finish", (False, True)),
                ("margin", MARGINS),
                ("backlog", BACKLOGS),
                ("most", self._sizes()),
                ("stretch", STRETCHES),
            )
            return self._search(steps, self._lateness, {}, {"finish": True, "stretch": 1.0, "margin": 1.0})
        ages = tuple(age * self.alone for age in AGES)
        scale = self._scale()
        return self._search(
            (("backlog", (ALWAYS, *BACKLOGS)), ("oldest", (np.inf, *ages)), ("most", self._sizes())),
            lambda choice: self._slowness(choice, scale),
            {},
            {"finish": True, "backlog": ALWAYS},
        )

    def parameters(self, choice: Choice) -> FloatArray:
        """A choice as numbers that the compiled policy reads."""
        count, batch = len(self.segments), self.expected.max_batch
        need = self._needs(choice)
        header = np.zeros(exit_aware.HEAD)
        header[exit_aware.LATE], header[exit_aware.OLDEST] = float(self.late), choice.oldest
        header[exit_aware.NEWEST], header[exit_aware.MOST] = float(choice.newest), float(choice.most)
        header[exit_aware.STRETCH], header[exit_aware.FINISH] = choice.stretch, float(choice.finish)
        header[exit_aware.PATIENCE] = PATIENCE / self.rate
        header[exit_aware.SEGMENTS] = count
        blocks = [self._block(segment, choice, batch) for segment in self.segments]
        ends = np.cumsum([exit_aware.HEAD + count + len(need), *(len(block) for block in blocks)])
        return np.concatenate([header, ends[:-1], need, *blocks])

    def _block(self, segment: Segment, choice: Choice, batch: int) -> FloatArray:
        rate = choice.load * segment.rate_at_full_batches
        head = np.zeros(exit_aware.CAPS)
        head[exit_aware.FIRST], head[exit_aware.STAGES] = segment.first, len(segment.leaves)
        # What a table does not tell apart is backlog, however large batches may be.
        line = batch if batch <= segment.caps[0] else segment.reaches[0]
        head[exit_aware.BACKLOG], head[exit_aware.ALONE] = choice.backlog * line, segment.alone
        return np.concatenate([head, segment.caps, segment.reaches, table_of(segment, rate)])

    def _needs(self, choice: Choice) -> FloatArray:
        """(Q,) seconds below which a sample is lost: of new ones the margin, of others the least of their stage."""
        problem = self.expected
        need = problem.latency[:, 1].copy()
        for start, end in itertools.pairwise(problem.first.tolist()):
            need[start] = choice.margin * problem.latency[start:end, 1].sum()
        return need

    def _sizes(self) -> tuple[int, ...]:
        return tuple(
            size for size in (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64) if size <= self.expected.max_batch
        )

    def _search(self, steps: Steps, judge: Callable[[Choice], float], *starts: dict[str, Any]) -> Choice:
        judge = functools.cache(judge)  # steps come back to choices that were judged before
        best, least = Choice(self.loads()[0]), np.inf
        for load, start in itertools.product(self.loads(), starts):
            here = Choice(load, **start)
            value = judge(here)
            for field, options in steps:
                tried = [replace(here, **{field: option}) for option in options]
                values = [judge(choice) for choice in tried]
                if min(values) < value:
                    value, here = min(values), tried[int(np.argmin(values))]
            if value < least:
                best, least = here, value
        return best

    def _run(self, choice: Choice) -> Simulation:
        return simulate(
            self.expected, Policy("plan", exit_aware.decide, self.parameters(choice)), self.samples
        )

    def _lateness(self, choice: Choice) -> float:
        """Weighted share of samples that are late or dropped."""
        weight = np.array([stream.weight for stream in self.expected.streams])[self.samples.stream]
        return float(np.average(self._run(choice).violated, weights=weight))

    def _slowness(self, choice: Choice, scale: tuple[float, float]) -> float:
        """The larger of mean and tail, each relative to the best of the policies that set the scale."""
        found = mean_and_tail(self._run(choice).latency)
        apart = [value / best for value, best in zip(found, scale, strict=True)]
        return max(apart) + WEIGHT_OF_SUM * sum(apart)

    def _scale(self) -> tuple[float, float]:
        """The least mean and the least tail of simple policies."""
        found = []
        for name in REFERENCES:
            try:
                policy = make_policy(name, self.expected)
            except UnsupportedError:
                continue
            found.append(mean_and_tail(simulate(self.expected, policy, self.samples).latency))
        return min(mean for mean, _ in found), min(tail for _, tail in found)


def mean_and_tail(latency: FloatArray) -> tuple[float, float]:
    """Mean and 99th percentile of samples that were all served, in seconds."""
    place = int(TAIL * (len(latency) - 1))
    return float(latency.mean()), float(np.partition(latency, place)[place])


def table_of(segment: Segment, rate: float) -> FloatArray:
    """The best actions of a segment; kept for the process, since the same ones are asked for again and again."""
    key = (
        segment.latency.tobytes(),
        segment.leaves.tobytes(),
        rate,
        segment.latency.shape,
        tuple(segment.caps),
    )
    return _table(*key)


@functools.lru_cache(maxsize=64)
def _table(
    latency: bytes, leaves: bytes, rate: float, shape: tuple[int, int], caps: tuple[int, ...]
) -> FloatArray:
    seconds = np.frombuffer(latency).reshape(shape).copy()
    actions, _ = best_actions(
        seconds, np.frombuffer(leaves).copy(), rate, np.array(caps, dtype=np.int64), stable=SETTLED
    )
    return actions.astype(float)


def _with_expected_arrivals(problem: ServingProblem) -> ServingProblem:
    """The problem with processes instead of traces: what is known of a trace is its rate and how bursty it is.

    A stream without a rate is taken to come as Poisson arrivals at `UNKNOWN_LOAD` of the capacity.
    """
    even = UNKNOWN_LOAD * capacity(problem) / len(problem.streams)
    streams = tuple(
        dataclasses.replace(stream, arrivals=expected_arrivals(stream.arrivals, even))
        for stream in problem.streams
    )
    return dataclasses.replace(problem, streams=streams)


def expected_arrivals(arrivals: Arrivals, otherwise: float) -> Arrivals:
    """A process like the arrivals: themselves, or, of a trace, a gamma process with its rate and variation."""
    rate = mean_rate(arrivals)
    if rate is None or rate <= 0:
        return Arrivals(kind="poisson", rate=otherwise)
    if arrivals.kind != "trace":
        return arrivals
    gaps = np.diff(arrivals.times)
    return Arrivals(kind="gamma", rate=rate, cv=float(min(max(gaps.std() / gaps.mean(), LEAST_CV), MOST_CV)))
