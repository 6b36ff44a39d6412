"""The simulator in plain Python: the oracle of the compiled one, and the one that runs policies which are not compiled.

It shares no code with `kernel`: lines are lists, events lie in a heap.
"""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.serving.errors import PolicyError
from dnnplan.serving.state import DROP, NONE, PICK, RUN, WAIT, State

Decide = Callable[[float, int, State], int]
END, LAND, ARRIVE, WAKE = range(4)
"""Kinds of events, in the order in which they happen at one time."""
MOST_CALLS = 100_000


@dataclass(frozen=True)
class BatchRun:
    """A batch that ran."""

    stage: int
    start: float
    end: float
    samples: tuple[int, ...]


@dataclass
class History:
    """What happened: batches as they started, and when samples left or were dropped."""

    batches: list[BatchRun] = field(default_factory=list)
    left: dict[int, float] = field(default_factory=dict)
    dropped: dict[int, float] = field(default_factory=dict)
    joules: float = 0.0
    calls: int = 0


class Twin:
    """One simulation.

    Parameters
    ----------
    decide
        The policy as a Python function.
    state
        As `begin.first_state` makes it; kept up to date for the policy.
    """

    def __init__(self, problem: ServingProblem, samples: Samples, decide: Decide, state: State) -> None:
        self.problem = problem
        self.samples = samples
        self.decide = decide
        self.state = state
        self.lines: list[list[int]] = [[] for _ in problem.stages]
        self.running: dict[int, BatchRun] = {}
        self.previous: dict[int, frozenset[int]] = {}
        self.events: list[tuple[float, int, int, object]] = []
        self.wakes: dict[int, float] = {}
        self.order = itertools.count()
        self.quiet = 0
        self.history = History()

    def run(self) -> History:
        """Serve all samples.

        Raises
        ------
        PolicyError
            The policy does what it may not, or leaves samples waiting for ever.
        """
        for sample, time in enumerate(self.samples.arrival.tolist()):
            self._at(time, ARRIVE, sample)
        while self.events:
            now = self.events[0][0]
            relevant = False
            while self.events and self.events[0][0] == now:
                _, kind, _, what = heapq.heappop(self.events)
                relevant |= self._happen(now, kind, what)
                self.quiet = self.quiet + 1 if kind == WAKE else 0
            if self.quiet > MOST_CALLS:
                raise PolicyError(
                    f"the policy woke up {MOST_CALLS} times by {now:g} s while nothing happened, again and again"
                )
            if relevant:
                for device in range(len(self.problem.devices)):
                    if device not in self.running:
                        self._ask(now, device)
        waiting = sum(map(len, self.lines))
        if waiting:
            raise PolicyError(
                f"{waiting} samples wait, nothing is left to happen, and the policy runs none of them"
            )
        return self.history

    def _at(self, time: float, kind: int, what: object) -> None:
        heapq.heappush(self.events, (time, kind, next(self.order), what))

    def _happen(self, now: float, kind: int, what: object) -> bool:
        """Let something happen; whether idle devices are to be asked."""
        if kind == END:
            assert isinstance(what, int)
            self._finish(now, what)
        elif kind == LAND:
            assert isinstance(what, tuple)
            self._wait(*what)
        elif kind == ARRIVE:
            assert isinstance(what, int)
            self._arrive(now, what)
        else:
            assert isinstance(what, int)
            return self.wakes.get(what) == now and what not in self.running
        return True

    def _arrive(self, now: float, sample: int) -> None:
        stream = int(self.samples.stream[sample])
        served = self.problem.streams[stream]
        state = self.state
        state.arrival[sample], state.deadline[sample] = now, now + served.slo
        state.stream[sample] = stream
        state.arrived[stream] += 1
        self._wait(sample, int(self.problem.first[served.model]))

    def _wait(self, sample: int, stage: int) -> None:
        insort(self.lines[stage], sample)

    def _finish(self, now: float, device: int) -> None:
        batch = self.running.pop(device)
        network = self.problem.model[batch.stage]
        passed = batch.stage - int(self.problem.first[network]) + 1
        delay = float(self.problem.transfer[batch.stage, len(batch.samples)])
        for sample in batch.samples:
            if self.samples.depth[sample] == passed:
                self.history.left[sample] = now
            elif delay > 0:
                self._at(now + delay, LAND, (sample, batch.stage + 1))
            else:
                self._wait(sample, batch.stage + 1)

    def _ask(self, now: float, device: int) -> None:
        """Let the policy decide for an idle device until it runs a batch or waits."""
        self.wakes.pop(device, None)
        for _ in range(MOST_CALLS):
            if not any(self.lines[q] for q in range(len(self.lines)) if self.problem.device[q] == device):
                return
            self._show()
            action = int(self.decide(now, device, self.state))
            self.history.calls += 1
            stage, count = (int(value) for value in self.state.choice)
            if action == WAIT:
                self._sleep(now, device)
                return
            picked = self._picked(action, device, stage, count)
            for sample in picked:
                next(line for line in self.lines if sample in line).remove(sample)
                self.state.place[sample] = NONE
            if action != DROP:
                self._begin(now, device, stage, picked)
                return
            self.history.dropped.update(dict.fromkeys(picked, now))
        raise PolicyError(f"the policy dropped samples {MOST_CALLS} times at {now:g} s without an end")

    def _sleep(self, now: float, device: int) -> None:
        wake = float(self.state.wake[0])
        if not wake > now:
            raise PolicyError(f"the policy waits until {wake:g} s at {now:g} s, expected a later time")
        if math.isfinite(wake):
            self.wakes[device] = wake
            self._at(wake, WAKE, device)

    def _picked(self, action: int, device: int, stage: int, count: int) -> list[int]:
        """The samples that the policy chose.

        Raises
        ------
        PolicyError
            It may not.
        """
        if action not in (RUN, PICK, DROP):
            raise PolicyError(f"action {action}, expected WAIT, RUN, PICK or DROP")
        if not 1 <= count <= self.problem.max_batch:
            raise PolicyError(f"{count} samples, expected 1 to {self.problem.max_batch}")
        chosen = [int(sample) for sample in self.state.picked[:count]]
        if action == DROP:
            able = set().union(*self.lines)
        else:
            if not 0 <= stage < len(self.lines) or self.problem.device[stage] != device:
                raise PolicyError(f"stage {stage} does not run on {self.problem.devices[device]}")
            able = set(self.lines[stage])
            if action == RUN:
                chosen = self.lines[stage][:count]
                if len(chosen) < count:
                    raise PolicyError(
                        f"{count} samples of stage {self.problem.stages[stage]}: {len(chosen)} wait"
                    )
        if len(set(chosen)) < count or not able.issuperset(chosen):
            raise PolicyError(f"samples {chosen}: not all of them wait there, or some are named twice")
        return chosen

    def _begin(self, now: float, device: int, stage: int, samples: list[int]) -> None:
        before = self.previous.get(device, frozenset())
        strangers = sum(sample not in before for sample in samples)
        count = len(samples)
        span = float(self.problem.latency[stage, count]) + float(self.problem.switch[stage]) * strangers
        batch = BatchRun(stage, now, now + span, tuple(samples))
        self.history.batches.append(batch)
        self.history.joules += float(self.problem.energy[stage, count])
        self.running[device] = batch
        self.state.until[device] = batch.end
        self.previous[device] = frozenset(samples)
        self._at(batch.end, END, device)

    def _show(self) -> None:
        """Write what waits and what runs into the state."""
        state = self.state
        for stage, line in enumerate(self.lines):
            state.length[stage] = len(line)
            state.head[stage], state.tail[stage] = (line[0], line[-1]) if line else (NONE, NONE)
            for before, sample, after in zip([NONE, *line], line, [*line[1:], NONE], strict=False):
                state.before[sample], state.after[sample], state.place[sample] = before, after, stage
        for device in range(len(self.problem.devices)):
            batch = self.running.get(device)
            state.running[device] = len(batch.samples) if batch else 0
        state.wake[0] = math.inf
