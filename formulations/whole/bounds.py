"""Bounds over all task graphs with all mappings, for any number of tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice

import numpy as np

from dnnplan.costs.judged import Terms
from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.objectives import UNITS
from dnnplan.costs.routes import FloatArray
from dnnplan.costs.sharing.blocks import BlockCosts
from dnnplan.costs.sharing.graph import Groups
from dnnplan.costs.whole import WholeProblem, mapping_terms
from dnnplan.formulations.grouping.bounds import grouping_bounds
from dnnplan.formulations.mapping.bounds import SAFETY, Bound, communication_path_bound, load_bound
from dnnplan.formulations.mapping.bounds.load import load_prices
from dnnplan.formulations.whole.task_graphs import classes_of
from dnnplan.instances import UnsupportedError

CALLS = "calls_per_device"
QUICK, ALL = 2, 50
"""Bounds of grouping that are taken: each is stronger than the one before, and takes longer."""
NOTHING = Bound(0.0, "non-negative")


def quick_bound(problem: WholeProblem, *, strong: bool = False) -> Bound:
    """A lower bound on the first stage of the objective over all task graphs with all mappings.

    Terms are bounded one by one: those of the task graph by bounds of grouping, under the limits on task graphs; the
    latency by the path of each task and by the work that remains if all share all that the limits allow (`work_bound`);
    the energy by the energy of that work.

    Parameters
    ----------
    strong
        Whether bounds of grouping may take their time.

    Examples
    --------
    >>> from dnnplan.costs.whole import whole_problem
    >>> from dnnplan.instances.generators import whole_instance
    >>> quick_bound(whole_problem(whole_instance(2, 3, 2, seed=1))).value > 0
    True
    """
    if CALLS in problem.limits:
        return NOTHING
    stage, rounds = problem.stages[0], ALL if strong else QUICK
    parts = [graph_bound(problem, tuple(term for term in stage if term[0] not in UNITS), rounds)]
    known = _Measures(problem, rounds)
    parts += [_times(known.bound(name), weight) for name, weight in mapping_terms(stage)]
    # An infinite bound says that limits cannot be kept: that is for the solvers of the parts to say.
    kept = [part for part in parts if 0 < part.value < np.inf]
    if not kept:
        return NOTHING
    names = dict.fromkeys(part.name for part in kept)
    return Bound(sum(part.value for part in kept) * (1 - SAFETY), " + ".join(names))


def mapping_bound(problem: WholeProblem) -> Bound:
    """The part of `quick_bound` that is about the mapping."""
    terms = mapping_terms(problem.stages[0])
    return quick_bound(dataclasses.replace(problem, stages=(terms,))) if terms else NOTHING


def _times(bound: Bound, weight: float) -> Bound:
    return Bound(weight * bound.value, bound.name) if weight > 0 else NOTHING


def graph_bound(problem: WholeProblem, terms: Terms, rounds: int = QUICK) -> Bound:
    """A lower bound on measures of the task graph, under the limits on them."""
    if not terms or problem.grouping is None:
        return NOTHING
    alone = dataclasses.replace(problem.grouping, stages=(terms,))
    return _largest(islice(grouping_bounds(alone), rounds))


def _largest(bounds: Iterator[Bound]) -> Bound:
    return max(bounds, key=lambda bound: bound.value, default=NOTHING)


class _Measures:
    """Bounds on the measures of a mapping over all task graphs."""

    def __init__(self, problem: WholeProblem, rounds: int) -> None:
        self.problem, self.rounds = problem, rounds
        self.view = cheapest(problem)
        self._latency: Bound | None = None

    def bound(self, name: str) -> Bound:
        """A bound on one measure; 0 where there is none."""
        if name == "latency":
            return self.latency
        if name == "max_load":
            return self.load()
        if name == "energy":
            return self.energy()
        if name == "edp":
            energy, latency = self.energy(), self.latency
            return Bound(energy.value * latency.value, f"{energy.name} x {latency.name}")
        return NOTHING

    @property
    def latency(self) -> Bound:
        """The longest path of a task, or the work of all."""
        if self._latency is None:
            self._latency = max(
                communication_path_bound(self.view), self.load(), key=lambda bound: bound.value
            )
        return self._latency

    def load(self) -> Bound:
        """Work per slot of the devices, at the prices that bound it best where everything is shared."""
        plain = load_bound(self.view)
        if not self.problem.levels or (self.view.slots >= self.view.n).any():
            # Devices without limit on their slots: more layers are no more work a slot.
            return plain
        prices = load_prices(self.view)
        if prices is None:
            return plain
        finite = np.isfinite(self.view.duration)
        priced = np.where(finite, np.where(finite, self.view.duration, 0.0) * prices[None, :], np.inf)
        return max(plain, self.work(priced.min(axis=1), "load"), key=lambda bound: bound.value)

    def work(self, figure: FloatArray, name: str) -> Bound:
        """The least sum of a figure of layers over all task graphs that keep the limits on their variety."""
        return work_bound(self.problem, self.view, figure, name, self.rounds)

    def energy(self) -> Bound:
        """Least energy of each layer, and of idle devices until the least latency, less what computing hides."""
        view = self.view
        finite = np.isfinite(view.duration)
        least = self.work(np.where(finite, view.energy, np.inf).min(axis=1), "least energy of each layer")
        hidden = view.idle_power[None, :] * np.where(finite, view.duration, 0.0)
        net = np.where(finite, view.energy - hidden, np.inf).min(axis=1)
        if (net < 0).any():
            # More copies of a layer would lower the sum.
            return least
        busy = self.work(net, least.name)
        idle = self.latency.value * float(view.idle_power.sum())
        return max(
            least, Bound((busy.value + idle) * (1 - SAFETY), least.name), key=lambda bound: bound.value
        )


def work_bound(
    problem: WholeProblem, view: MappingProblem, figure: FloatArray, name: str, rounds: int = QUICK
) -> Bound:
    """The least sum over all nodes of a figure >= 0 of their layers, over task graphs within the limits on variety.

    That is the size of a task graph whose blocks weigh that much: bounds of grouping hold. Where it cannot be said so,
    each block counts once.

    Parameters
    ----------
    view
        `cheapest`.
    figure
        (n,) of its layers.
    """
    once = Bound(float(figure.sum()) * (1 - SAFETY), name)
    grouping = problem.grouping
    if grouping is None or len(figure) != view.n or not np.isfinite(figure).all():
        return once if np.isfinite(figure).all() else NOTHING
    together: Groups = ((tuple(range(problem.n)),),) * problem.levels
    try:
        cells = problem.layers(together)
    except UnsupportedError:
        return once
    weight = np.array([[float(figure[list(cell)].sum()) for cell in row] for row in cells])
    costs = BlockCosts(
        bytes=weight,
        compute=weight,
        load=weight,
        stem=grouping.costs.stem,
        head=grouping.costs.head,
        unit="s",
    )
    kept = {key: limit for key, limit in grouping.limits.items() if key in ("variety", "task_variety")}
    alone = dataclasses.replace(
        grouping, costs=costs, stages=((("size", 1.0),),), limits=kept, sums_at_most=()
    )
    best = _largest(islice(grouping_bounds(alone), rounds))
    return once if best.value <= once.value else Bound(best.value * (1 - SAFETY), f"{name}, limited sharing")


def cheapest(problem: WholeProblem) -> MappingProblem:
    """The mapping in which all tasks share all they can, each layer at the least that it costs any of its tasks.

    Of a plan of another task graph keep one node of each block and the paths of the tasks: that has to happen here as
    well. So bounds on paths, and on sums that only grow with more layers, hold for all task graphs. Where tasks cannot
    share all blocks, nothing is shared and everything but their own paths is free.
    """
    if not problem.levels:
        return problem.mapping(())
    together: Groups = ((tuple(range(problem.n)),),) * problem.levels
    apart = problem.mapping(problem.apart)
    try:
        view = problem.mapping(together)
    except UnsupportedError:
        return free_of_work(apart)
    if len(set(classes_of(problem))) == 1:
        return view
    shared, alone = problem.layers(together), problem.layers(problem.apart)
    figures = {name: getattr(view, name).copy() for name in ("duration", "energy", "load", "weight_bytes")}
    for row, own in zip(shared, alone, strict=True):
        if len(set(row)) > 1:
            continue
        for place, i in enumerate(row[0]):
            copies = [cell[place] for cell in own]
            for name, figure in figures.items():
                figure[i] = getattr(apart, name)[copies].min(axis=0)
    # Tensors of different tasks may differ in bytes: here they have none.
    return dataclasses.replace(
        view, **figures, size=np.zeros_like(view.size), read_size=np.zeros_like(view.read_size)
    )


def free_of_work(view: MappingProblem) -> MappingProblem:
    """The same network, in which nothing costs anything: what tasks could share, and at whose cost, is not known."""
    return dataclasses.replace(
        view,
        duration=np.where(np.isfinite(view.duration), 0.0, np.inf),
        energy=np.zeros_like(view.energy),
        load=np.zeros_like(view.load),
        size=np.zeros_like(view.size),
        read_size=np.zeros_like(view.read_size),
    )
