"""The old plan with what cannot stay put elsewhere: a plan that is there at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dnnplan.costs import Decisions, MappingProblem, decisions_of
from dnnplan.costs.decisions import all_kept
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.solvers.kernels.list_schedule import device_order
from dnnplan.solvers.kernels.repair import schedule_around
from dnnplan.solvers.lists.colocation import colocated
from dnnplan.solvers.lists.heft import fast
from dnnplan.solvers.replan.before import Before, Kept


def repairs(
    view: MappingProblem, old: Before, kept: Kept, bias: FloatArray
) -> Iterator[tuple[str, list[Decisions]]]:
    """Plans that keep as much of the old one as they can, the closest first, with a word for what they are.

    ``kept``: all decisions as they were. ``repaired``: layers that stay keep device and order; the others go, one after
    the other as they used to start, into the gap in which they end first, migration counted. ``moved``: the same, in
    any order.
    """
    if kept.whole and view.n == len(old.device):
        same = _as_it_was(view, old, kept)
        given = old.evaluation.decisions
        timed = replace(same, transfer_order=given.transfer_order, not_before=given.not_before)
        yield "kept", [timed, same] if given.transfer_order or given.not_before else [same]
    for word, stays in (("repaired", kept.place >= 0), ("moved", np.zeros(view.n, dtype=bool))):
        found = _around(view, kept, stays, bias)
        if found is not None:
            place, rows = found
            plans = [_with_choices(view, old, place, rows)]
            if view.host and view.execution.weights == "choice":
                plans.append(decisions_of(view, place.tolist(), rows))  # pins chosen anew
            yield word, plans


def _as_it_was(view: MappingProblem, old: Before, kept: Kept) -> Decisions:
    """The old decisions; layers of larger calls become calls of their own."""
    rows: list[list[int]] = [[] for _ in range(view.m)]
    if old.single and view.layers == old.evaluation.problem.layers:
        device_of = {name: d for d, name in enumerate(view.devices)}
        for name, row in zip(old.evaluation.problem.devices, old.evaluation.decisions.order, strict=True):
            if name in device_of:  # a device that is lost had nothing to do
                rows[device_of[name]] = list(row)
    else:
        for i in kept.order.tolist():
            rows[kept.place[i]].append(i)
    return _with_choices(view, old, kept.place, rows)


def _with_choices(view: MappingProblem, old: Before, place: IntArray, rows: list[list[int]]) -> Decisions:
    """Decisions with the pins and kept tensors of the old plan where they still apply.

    Where pins are a choice, layers that move lose theirs.
    """
    where = place.tolist()
    execution = view.execution
    pinned: list[set[int]] | None = None
    if view.host and execution.weights == "choice":
        names = {name: w for w, name in enumerate(view.weights)}
        held: list[set[int]] = [set() for _ in range(view.m)]
        devices = {name: d for d, name in enumerate(view.devices)}
        for name, on in old.held.items():
            for device in on:
                if name in names and device in devices:
                    held[devices[device]].add(names[name])
        pinned = held
    kept = None
    if execution.staging == "host":
        tensors = {name: k for k, name in enumerate(view.tensors)}
        devices = {name: d for d, name in enumerate(view.devices)}
        kept = {(tensors[t], devices[d]) for t, d in old.kept if t in tensors and d in devices}
        if execution.memory != "live" and (not kept or not old.single):
            kept = all_kept(view, where)
    return decisions_of(view, where, rows, pinned=pinned, kept=kept)


def _around(
    view: MappingProblem, kept: Kept, stays: np.ndarray, bias: FloatArray
) -> tuple[IntArray, list[list[int]]] | None:
    """Places and orders with the layers that have a place on it; None if some layer has no room."""
    decode = fast(schedule_around, view)
    forced = kept.place.copy()
    arrays = view.arrays
    place, start, end = decode(arrays, kept.order, forced, stays, bias)
    if view.colocate and (place >= 0).all():
        together = colocated(view, place.copy())
        moved = (together != place) & (kept.place < 0)
        if moved.any():
            forced = np.where(moved, together, forced)
            place, start, end = decode(arrays, kept.order, forced, stays, bias)
    if (place < 0).any():
        return None
    return place, device_order(place, start, end, kept.order, view.m)
