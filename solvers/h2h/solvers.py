"""The four steps of H2H as solvers: compute first, then weights, then activations, then remapping.

Zhang et al., H2H: heterogeneous model to heterogeneous system mapping with computation and communication awareness,
DAC 2022, section 4; details from the public code. Each solver runs all steps up to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dnnplan.costs import Decisions, MappingProblem
from dnnplan.solvers.h2h.complete import H2HSettings, settle, step_compute
from dnnplan.solvers.h2h.remap import remap
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities
from dnnplan.solvers.search import Search


class _Steps:
    """The first `steps` steps of H2H; where the plan of the last is refused, that of the step before it counts."""

    steps: ClassVar[int]

    def __init__(self, settings: H2HSettings | None = None) -> None:
        self.settings = settings or H2HSettings()

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Propose the plan after the last step."""
        place, rows = step_compute(problem, search.finished)
        plans = [settle(problem, place, rows, 1, self.settings)]
        if self.steps > 1 and not search.finished():
            plans += [
                settle(problem, place, rows, step, self.settings, search.finished)
                for step in range(2, min(self.steps, 3) + 1)
            ]
        for decisions in reversed(plans):
            if search.propose(decisions):
                break
        if self.steps > 3 and not search.finished():

            def complete(place: Sequence[int], rows: Sequence[Sequence[int]]) -> Decisions:
                return settle(problem, place, rows, 3, self.settings, search.finished)

            remap(problem, search, place, rows, complete)


class H2HCompute(_Steps):
    """Step 1: each frontier of layers on the devices where the latest of them ends first; all through the host."""

    steps = 1
    summary = "H2H, step 1: frontier after frontier, computation-prioritised (Zhang et al. 2022)"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)


class H2HWeights(_Steps):
    """Steps 1 and 2: then the weights that save most loading stay on their devices."""

    steps = 2
    summary = "H2H, steps 1-2: and weights pinned by a knapsack for each device"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)


class H2HActivations(_Steps):
    """Steps 1 to 3: then tensors between consecutive layers of a device stay there."""

    steps = 3
    summary = "H2H, steps 1-3: and tensors kept between consecutive layers of a device"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)


class H2H(_Steps):
    """Steps 1 to 4: then layers move to the devices of their neighbours as long as the plan gets better."""

    steps = 4
    summary = "H2H, all four steps: and layers moved next to their neighbours"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)
