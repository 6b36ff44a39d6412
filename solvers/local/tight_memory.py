"""Plans under live memory: search as if weights alone took room, and let the full evaluation judge every plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from dnnplan.costs import Decisions, Evaluation, MappingProblem, decisions_of, evaluate
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.costs.routes import FloatArray
from dnnplan.formulations.mapping.bounds import Guide, strong_bound
from dnnplan.instances import Execution, PlanError
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.lp_guided import propose_guided_plans
from dnnplan.solvers.local.anneal import anneal_for, worth_compiling
from dnnplan.solvers.search import Search, Settings
from dnnplan.solvers.start import propose_simple_plans

RESERVES = (0.05, 0.02, 0.2, 0.5)
MOST_TRIES, FIRST_PASS = 8, 0.5
"""Shares of the memories left free for tensors, how many views are tried, and the share of the time for that.

The best view gets the rest."""
BESIDE, CROWD = 2.0, 8.0
"""Room for tensors beside pins that a device must have for a layer, by what it reads and writes; beside giants."""
BOUND_SHARE, GUIDED_SHARE = 0.1, 0.5
"""Shares of the time of one reserve for its relaxation, and for the plans that this guides; annealing has the rest."""


@dataclass(eq=False, kw_only=True)
class Mirror(Search):
    """A search on a simpler view that hands every plan it keeps to the search on the real one.

    Parameters
    ----------
    real
        The search that counts.
    pinned
        (m,) weights pinned in the real problem; None: all that are in use.
    """

    real: Search
    pinned: Sequence[set[int]] | None = None

    def accept(self, evaluation: Evaluation) -> bool:
        """Keep the plan if it is better and its twin holds in the real problem, which gets it."""
        if self.value is not None and objective_value(self.problem.stages[0], evaluation.cost) >= self.value:
            return False
        try:
            twin = evaluate(self.real.problem, self.twin(evaluation.decisions))
        except PlanError:
            return False
        if not is_feasible(twin):
            return False
        self.real.accept(twin)
        return super().accept(evaluation)

    def twin(self, decisions: Decisions) -> Decisions:
        """The same placement and order, with the pins of the real problem."""
        pinned: Sequence[set[int]] | None = self.pinned
        if pinned is None:
            pinned = [set() for _ in range(self.problem.m)]
            for w, d in zip(self.problem.weight_of.tolist(), decisions.place, strict=True):
                pinned[d].add(w)
        return decisions_of(
            self.real.problem, decisions.place, decisions.order, pinned=pinned, kept=decisions.kept
        )

    def finished(self) -> bool:
        """When either search is."""
        return self.real.finished() or super().finished()


def search_tight(problem: MappingProblem, search: Search, guide: Guide | None, seconds: float) -> None:
    """Two simpler views by turns, for each amount of room left to tensors; then the best view again.

    All pinned: weights are resident and fit a part of the memories (where all memories together can hold them).
    Some pinned: the pins of a placement are fixed, other weights are loaded with every call. Both ignore tensors: what
    needs too much memory is refused by the real problem.
    """
    until = search.seconds + seconds
    streams = problem.host and problem.execution.weights != "resident"
    fits = _all_fit(problem, 0.0)
    tries = [(reserve, turn) for turn in range(problem.m) for reserve in RESERVES]
    tries = [(r, turn) for r, turn in tries if turn == 0 or giants(problem, r).any()][:MOST_TRIES]
    best: tuple[float, MappingProblem, list[set[int]] | None] | None = None
    for position, (reserve, turn) in enumerate(tries):
        share = (until - search.seconds) / (len(tries) - position) * FIRST_PASS
        views: list[tuple[MappingProblem, list[set[int]] | None]] = []
        if fits:
            views.append((all_pinned(problem, reserve, turn), None))
        if streams and turn == 0:
            pins: list[set[int]] = [set() for _ in range(problem.m)]
            if problem.execution.weights == "choice":
                pins = pins_for(problem, _placement(problem, search, guide), reserve)
            views.append((some_pinned(problem, pins), pins))
        for view, pinned in views:
            if share <= 0 or search.finished():
                return
            mirror = _explore(view, pinned, search, share / len(views))
            if mirror.value is not None and (best is None or mirror.value < best[0]):
                best = (mirror.value, view, pinned)
    if best is not None and until > search.seconds:
        _explore(best[1], best[2], search, until - search.seconds)


def _all_fit(problem: MappingProblem, reserve: float) -> bool:
    """Whether the memories together can hold all weights (a weight on one device only)."""
    if problem.host and problem.execution.weights == "streamed":
        return False
    unique = problem.weight_bytes[problem.first_of_weight].sum()
    return bool(unique <= problem.capacity[np.unique(problem.memory_of)].sum() * (1 - reserve))


def giants(problem: MappingProblem, reserve: float) -> NDArray[np.bool_]:
    """(n,) whether the weights of a layer fit a memory, but no memory less its reserve."""
    room = problem.capacity[problem.memory_of]
    weight = problem.weight_bytes[:, None]
    fits, tight = weight <= room, weight > (1 - reserve) * room
    return np.logical_and(fits.any(axis=1), tight.all(axis=1))


def all_pinned(problem: MappingProblem, reserve: float, turn: int = 0) -> MappingProblem:
    """The view with resident weights that must fit what the reserve leaves; tensors take no room.

    Weights that fit no memory less its reserve get a device for themselves, the fastest first, others in later turns;
    beside them run only layers with small tensors.
    """
    capacity = problem.capacity * (1 - reserve)
    duration = problem.duration.copy()
    needs = CROWD * tensor_bytes(problem) + problem.weight_bytes
    large = np.flatnonzero(giants(problem, reserve))
    for position, i in enumerate(large[np.argsort(-problem.weight_bytes[large], kind="stable")].tolist()):
        devices = [d for d in np.argsort(problem.duration[i], kind="stable") if d in problem.allowed[i]]
        device = int(devices[(turn + position) % len(devices)])
        memory = int(problem.memory_of[device])
        room = problem.capacity[memory] - problem.weight_bytes[i]
        capacity[memory] = problem.weight_bytes[i] + room / BESIDE
        beside = (problem.memory_of == memory)[None, :] & (needs > room)[:, None]
        beside &= ~giants(problem, reserve)[:, None]
        duration = np.where(beside, np.inf, duration)
        duration[i, np.arange(problem.m) != device] = np.inf
    lost = ~np.isfinite(duration).any(axis=1)
    duration[lost] = problem.duration[lost]
    return replace(
        problem,
        execution=with_settings(problem, memory="static", weights="resident"),
        duration=duration,
        capacity=capacity,
        weight_capacity=np.minimum(problem.weight_capacity, capacity[problem.memory_of]),
    )


def some_pinned(problem: MappingProblem, pins: Sequence[set[int]]) -> MappingProblem:
    """The view without memory in which the time of every call that loads weights is part of its compute time."""
    pinned = np.zeros((problem.n, problem.m), dtype=bool)
    for d, weights in enumerate(pins):
        pinned[:, d] = np.isin(problem.weight_of, list(weights))
    loading = np.where(pinned, 0.0, problem.load)
    work = problem.duration
    longer = np.maximum(work, loading) if problem.execution.overlap else work + loading
    needs = BESIDE * tensor_bytes(problem)[:, None] + np.where(pinned, 0.0, problem.weight_bytes[:, None])
    duration = np.where(needs <= _room_beside(problem, pins)[None, :], longer, np.inf)
    lost = ~np.isfinite(duration).any(axis=1)
    duration[lost] = longer[lost]
    return replace(
        problem,
        execution=with_settings(problem, memory="none", weights="resident"),
        duration=duration,
    )


def tensor_bytes(problem: MappingProblem) -> FloatArray:
    """(n,) bytes of the tensors that a layer reads and writes, and its workspace."""
    found: FloatArray = np.array(
        [
            problem.workspace[i] + sum(problem.size[k] for k in (*problem.inputs[i], *problem.outputs[i]))
            for i in range(problem.n)
        ]
    )
    return found


def with_settings(problem: MappingProblem, *, memory: str, weights: str) -> Execution:
    """The execution settings with another memory and weights."""
    return structs.replace(problem.execution, memory=memory, weights=weights)


def _room_beside(problem: MappingProblem, pins: Sequence[set[int]]) -> FloatArray:
    """(m,) bytes of each device's memory beside all that is pinned in it."""
    size = problem.weight_bytes[problem.first_of_weight]
    used = np.zeros(len(problem.capacity))
    for d, weights in enumerate(pins):
        used[problem.memory_of[d]] += size[sorted(weights)].sum()
    return (problem.capacity - used)[problem.memory_of]


def _placement(problem: MappingProblem, search: Search, guide: Guide | None) -> list[int]:
    if guide is not None:
        place = np.where(np.isfinite(problem.duration), guide.fractions, -1.0).argmax(axis=1)
        return [int(d) for d in colocated(problem, place.astype(np.int64))]
    if search.best is not None:
        return list(search.best.decisions.place)
    return [int(d) for d in colocated(problem, problem.duration.argmin(axis=1).astype(np.int64))]


def pins_for(problem: MappingProblem, place: Sequence[int], reserve: float) -> list[set[int]]:
    """Pins by time saved by byte; the largest weights that stay unpinned and the reserve keep their room."""
    users: dict[tuple[int, int], float] = {}
    size = problem.weight_bytes[problem.first_of_weight]
    for i, d in enumerate(place):
        w = int(problem.weight_of[i])
        load = float(problem.load[i, d])
        saved = max(0.0, load - float(problem.duration[i, d])) if problem.execution.overlap else load
        users[w, d] = users.get((w, d), 0.0) + saved
    items = sorted(users, key=lambda item: (-users[item] / max(size[item[0]], 1.0), -size[item[0]], item))
    pins: list[set[int]] = [set() for _ in range(problem.m)]
    room = problem.capacity * (1 - reserve)
    device_room = problem.weight_capacity.copy()
    skipped = np.zeros(len(problem.capacity))
    for position, (w, d) in enumerate(items):
        memory = int(problem.memory_of[d])
        later = (size[v] for v, e in items[position + 1 :] if problem.memory_of[e] == memory)
        loaded = max(skipped[memory], max(later, default=0.0))
        if size[w] + loaded <= room[memory] and size[w] <= device_room[d]:
            pins[d].add(w)
            room[memory] -= size[w]
            device_room[d] -= size[w]
        else:
            skipped[memory] = max(skipped[memory], size[w])
    return pins


def _explore(view: MappingProblem, pins: Sequence[set[int]] | None, search: Search, seconds: float) -> Mirror:
    """Search a simpler view for some seconds."""
    limits = Settings(time_limit=seconds, workers=1, seed=search.settings.seed)
    mirror = Mirror(view, limits, name=search.name, real=search, pinned=pins)
    propose_simple_plans(view, mirror)
    if mirror.finished():
        return mirror
    found = strong_bound(view, value=mirror.value, time_limit=BOUND_SHARE * seconds)
    if found.guide is not None:
        propose_guided_plans(view, mirror, found.guide, min(GUIDED_SHARE * seconds, mirror.remaining))
    if worth_compiling(mirror) and math.isfinite(mirror.remaining):
        anneal_for(view, mirror, mirror.remaining)
    return mirror
