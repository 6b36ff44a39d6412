"""One run of a search for rates: the clock, the shortest cycle so far, and the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dnnplan.costs.compiled import is_ready
from dnnplan.costs.periodic import CyclicPlan, PeriodicProblem
from dnnplan.costs.steady_state import steady_state
from dnnplan.instances import SolverError
from dnnplan.solvers.kernels.modulo_schedule import modulo_schedule
from dnnplan.solvers.rates.decode import Decoder
from dnnplan.solvers.rates.tighten import tightened
from dnnplan.solvers.search import Search

COMPILER_SECONDS = 12.0
"""Time left from which waiting for the compiler is worth it."""
DECODES_PER_WORK = 10_000


UNLIMITED_SECONDS = 60.0
"""What a part of a search gets that has neither a time nor a work limit."""


@dataclass(frozen=True)
class Phase:
    """Part of a search: seconds and work of the search at which it ends."""

    seconds: float
    work: float


@dataclass(eq=False)
class RateSearch(Search):
    """A search whose value and bound are cycles in seconds, and whose plans are cyclic.

    Solvers call `offer` with every plan they find, `improve_bound` with what no cycle can be shorter than, and ask
    `finished`.
    """

    periodic: PeriodicProblem | None = None
    cyclic: CyclicPlan | None = None
    decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        assert self.periodic is not None
        self.decoder = Decoder(
            self.periodic, fast=is_ready(modulo_schedule) or self.remaining >= COMPILER_SECONDS
        )

    def offer(self, plan: CyclicPlan) -> bool:
        """Shorten the cycle of a plan as far as its order allows, judge it, and keep it if it is the shortest."""
        assert self.periodic is not None
        tight = tightened(self.periodic, plan)
        if tight is None or (self.value is not None and tight.cycle >= self.value * (1 - 1e-12)):
            return False
        if steady_state(self.periodic, tight).violations:
            return False
        if self.bound is not None and tight.cycle < self.bound * (1 - 1e-6):
            raise SolverError(
                f"{self.bound_name}: no cycle is below {self.bound:.9g} s, and here is one of {tight.cycle:.9g} s"
            )
        self.cyclic, self.value = tight, tight.cycle
        self._record()
        return True

    def phase(self, share: float) -> Phase:
        """A share of what is left; of the work alone where that is limited, so that the clock decides nothing."""
        if self.settings.work_limit is not None:
            return Phase(math.inf, self.work + share * self.remaining_work)
        left = self.remaining if math.isfinite(self.remaining) else UNLIMITED_SECONDS
        return Phase(self.seconds + share * left, math.inf)

    def part(self, phase: Phase, share: float) -> Phase:
        """A share of what is left of a phase."""
        return Phase(
            self.seconds + share * (phase.seconds - self.seconds)
            if math.isfinite(phase.seconds)
            else math.inf,
            self.work + share * (phase.work - self.work) if math.isfinite(phase.work) else math.inf,
        )

    def over(self, phase: Phase) -> bool:
        """Whether a phase, or the whole search, has ended."""
        return self.finished() or self.seconds >= phase.seconds or self.work >= phase.work

    def decoded(self) -> None:
        """Count one list schedule as work."""
        self.work += 1 / DECODES_PER_WORK

    @property
    def longest(self) -> float:
        """A cycle that is long enough for everything; the incumbent where there is one."""
        assert self.periodic is not None
        if self.value is not None:
            return self.value
        view = self.periodic.mapping
        moves = view.move[np.isfinite(view.move)].max(initial=0.0) * max(len(view.reader), 1)
        alone = float(view.duration.min(axis=1).sum() + moves)
        shares = sorted(
            {*self.periodic.release, *(due.share for due in self.periodic.due if due is not None)}
        )
        gaps = [float(b - a) for a, b in pairwise(shares)] + [1.0]
        fixed = max((due.seconds for due in self.periodic.due if due is not None), default=0.0)
        return (alone + fixed) / max(min(gaps), 1e-6)
