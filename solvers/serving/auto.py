"""The default solver of serving."""

from __future__ import annotations

from typing import Any

from dnnplan.costs.serving.offline import OBJECTIVES, OfflineServing
from dnnplan.formulations.serving.operations import MOST_OPERATIONS
from dnnplan.solvers.compiling import worth_waiting
from dnnplan.solvers.registry import Capabilities
from dnnplan.solvers.search import TaskSearch
from dnnplan.solvers.serving.constructive import propose_simple
from dnnplan.solvers.serving.exact import improve_bounds, solve_cpsat
from dnnplan.solvers.serving.fifo_batches import FifoBatches
from dnnplan.solvers.serving.labels import MOST_SAMPLES, prove, with_the_rest
from dnnplan.solvers.serving.local_search import improve_batches

FEW_SAMPLES = 40
"""Samples up to which labels have nearly all of the time."""
PROOF_SHARE, TRY_SHARE = 0.9, 0.3
"""Of the time for labels, with few samples and with more."""
SEARCH_SHARE, WINDOW_SHARE = 0.2, 0.4
"""Of the time: local search before CP-SAT, and bounds from windows."""
KERNEL = "dnnplan.solvers.kernels.serving_labels:search"
COMPILER_SECONDS, LOADING_SECONDS = 15.0, 1.0


class Auto:
    """What the structure asks for: labels on one device, CP-SAT on several, windows of samples, local search."""

    summary = "default: labels where they can prove, else windows of samples, CP-SAT and local search"
    capabilities = Capabilities(problem="serving", exact=True, bounds=True, objectives=OBJECTIVES)

    def run(self, problem: OfflineServing, search: TaskSearch[Any]) -> None:
        """Until proven or the limits are reached."""
        propose_simple(problem, search)
        improve_bounds(problem, search)
        if search.finished():
            return
        FifoBatches().run(problem, search)
        if search.finished():
            return
        from dnnplan.solvers.serving.label_store import refusal

        if refusal(problem) is not None:
            _several_devices(problem, search)
        elif worth_waiting(search, KERNEL, COMPILER_SECONDS, LOADING_SECONDS):
            _one_device(problem, search)
        if not search.finished():
            improve_batches(problem, search)


def _one_device(problem: OfflineServing, search: TaskSearch[Any]) -> None:
    """Labels on all samples if they are not too many, then windows of them."""
    if problem.n <= MOST_SAMPLES:
        few = problem.n <= FEW_SAMPLES
        if (
            prove(problem, search, search.share(PROOF_SHARE if few else TRY_SHARE))
            or few
            or search.finished()
        ):
            return
    if problem.serving.switch.any():
        return
    from dnnplan.solvers.serving.windows import WINDOWS, plan_ahead, window_bound

    batches = plan_ahead(problem, search)
    if batches is not None:
        search.propose(with_the_rest(problem, batches))
    for window in WINDOWS:
        if search.finished():
            return
        bound = window_bound(problem, search, search.share(WINDOW_SHARE), window)
        search.improve_bound(bound, f"windows of {window} samples")


def _several_devices(problem: OfflineServing, search: TaskSearch[Any]) -> None:
    """Local search, then CP-SAT where the model is small enough."""
    small = int(problem.samples.depth.sum()) <= MOST_OPERATIONS and not problem.serving.switch.any()
    if not small:
        return
    improve_batches(problem, search, search.share(SEARCH_SHARE))
    if not search.finished():
        solve_cpsat(problem, search)
