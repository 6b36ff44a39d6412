"""The plan as it was, by names: what of it a plan for changed conditions can keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs import Evaluation, MappingProblem
from dnnplan.costs.routes import IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Before:
    """The old plan by names, so that it can be read on the view of another instance.

    Parameters
    ----------
    evaluation
        The plan on the view of its own instance.
    device
        Device of each layer, by key, the layers by their start.
    held
        Devices on which the weights of each layer are pinned, by ``model/layer``.
    kept
        (tensor, device) pairs.
    """

    evaluation: Evaluation
    device: dict[str, str]
    held: dict[str, tuple[str, ...]]
    kept: frozenset[tuple[str, str]] = field(default=frozenset())

    @property
    def single(self) -> bool:
        """Whether each layer is a call of its own."""
        return len(self.evaluation.decisions.calls) == self.evaluation.problem.n


def before(evaluation: Evaluation, names: Mapping[str, str] | None = None) -> Before:
    """What an evaluated plan decides, by names.

    Parameters
    ----------
    names
        New key of each layer that has another one from now on.
    """
    view, decisions = evaluation.problem, evaluation.decisions
    place = np.array(decisions.place, dtype=np.int64)
    renamed = names or {}
    held: dict[str, list[str]] = {}
    for d, pins in enumerate(decisions.pinned):
        for w in sorted(pins):
            held.setdefault(view.weights[w], []).append(view.devices[d])
    return Before(
        evaluation=evaluation,
        device={
            renamed.get(view.layers[i], view.layers[i]): view.devices[place[i]]
            for i in order_of(evaluation).tolist()
        },
        held={name: tuple(devices) for name, devices in held.items()},
        kept=frozenset((view.tensors[k], view.devices[d]) for k, d in decisions.kept),
    )


def order_of(evaluation: Evaluation) -> IntArray:
    """The layers by start; ties by end, then topologically."""
    view = evaluation.problem
    position = np.empty(view.n, dtype=np.int64)
    position[list(view.topological)] = np.arange(view.n)
    start, end = np.empty(view.n), np.empty(view.n)
    for call, layers in enumerate(evaluation.decisions.calls):
        start[list(layers)], end[list(layers)] = evaluation.start[call], evaluation.end[call]
    order: IntArray = np.lexsort((position, end, start)).astype(np.int64)
    return order


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What of the old plan is left on the new view.

    Parameters
    ----------
    place
        (n,) old device of each layer; -1: the layer is new, or its device is lost or cannot run it any more.
    order
        (n,) layers, producers before readers: the old ones as they started, then the new ones.
    """

    place: IntArray
    order: IntArray

    @property
    def whole(self) -> bool:
        """Whether every layer can stay where it is."""
        return bool((self.place >= 0).all())


def kept_on(view: MappingProblem, old: Before) -> Kept:
    """What of a plan is left on a view."""
    device_of = {name: d for d, name in enumerate(view.devices)}
    rank = {key: r for r, key in enumerate(old.device)}
    place = np.array(
        [device_of.get(old.device[key], -1) if key in rank else -1 for key in view.layers], dtype=np.int64
    )
    rows = np.arange(view.n)
    place[~np.isfinite(view.duration[rows, place])] = -1
    new = len(rank)
    moment = np.array([rank.get(key, new) for key in view.layers], dtype=np.int64)
    position = np.empty(view.n, dtype=np.int64)
    position[list(view.topological)] = np.arange(view.n)
    order = np.lexsort((position, moment)).astype(np.int64)
    return Kept(place=place, order=order if is_topological(view, order) else nearest_order(view, moment))


def is_topological(view: MappingProblem, order: IntArray) -> bool:
    """Whether no layer stands before its producers, or before the tasks that its own waits for."""
    position = np.empty(view.n, dtype=np.int64)
    position[order] = np.arange(view.n)
    edges = view.edges
    if not bool((position[edges[:, 1]] < position[edges[:, 2]]).all()):
        return False
    return not view.precedences or all(
        position[view.job_of == a].max(initial=-1) < position[view.job_of == b].min(initial=view.n)
        for a, b in view.precedences
    )


def nearest_order(view: MappingProblem, moment: NDArray[Any]) -> IntArray:
    """A topological order near that of the moments, which are (n,) numbers."""
    late = moment.astype(float)
    for i in view.topological:
        for k in view.inputs[i]:
            if view.source[k] >= 0:
                late[i] = max(late[i], late[view.source[k]])
    for a, b in view.precedences:
        follows = view.job_of == b
        late[follows] = np.maximum(late[follows], late[view.job_of == a].max(initial=0.0))
    position = np.empty(view.n, dtype=np.int64)
    position[list(view.topological)] = np.arange(view.n)
    order: IntArray = np.lexsort((position, late)).astype(np.int64)
    return order if is_topological(view, order) else np.array(view.topological, dtype=np.int64)
