"""Cases and stores for the compiled labels, from the view and back to batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.bounds_kernels import Needs
from dnnplan.formulations.serving.shares import Shares, payments, rest_after, shares_of
from dnnplan.solvers.kernels.serving_labels import (
    BASE,
    BEST,
    CUT,
    GAP,
    LABEL,
    LABELS,
    LOWEST,
    NODE,
    NONE,
    STATES,
    VALUE,
    WARM,
    Case,
    Store,
    collect,
    rehash,
)

Codes = NDArray[np.uint8]
MOST_STAGES = 126
"""Stages of a network that a state has room for."""
FIRST_LABELS = 1 << 14
MOST_BYTES = 3_000_000_000
"""Memory that a store may grow to."""


def refusal(problem: OfflineServing) -> str | None:
    """Why labels cannot say what a plan costs; None if they can."""
    devices = {int(problem.serving.device[q]) for q in range(len(problem.serving.stages))}
    if len(devices) > 1:
        return f"stages run on {len(devices)} devices, expected one"
    if problem.serving.transfer.any():
        return "transfers between stages take time, expected none"
    if int(problem.samples.depth.max(initial=0)) > MOST_STAGES:
        return f"{int(problem.samples.depth.max())} stages, expected at most {MOST_STAGES}"
    return None


@dataclass(frozen=True, eq=False)
class Figures:
    """What cases of one problem have in common.

    Latencies are those of `Shares.latency`: where tables fall with the size of a batch, what comes out is a bound.
    """

    problem: OfflineServing

    @cached_property
    def shares(self) -> Shares:
        """Figures of the stages."""
        return shares_of(self.problem.serving.latency)

    @cached_property
    def rest(self) -> FloatArray:
        """(n, P + 1) shares that samples have still to run."""
        return rest_after(self.problem, self.shares.share)

    @cached_property
    def own(self) -> FloatArray:
        """(n, P + 1) least latencies of the same."""
        return rest_after(self.problem, self.shares.least)

    @cached_property
    def kind(self) -> IntArray:
        """(n,) samples that are alike: network, depth, weight, and with deadlines SLO, have one number."""
        problem = self.problem
        alike = [
            problem.first,
            problem.samples.depth,
            np.unique(problem.weight, return_inverse=True)[1].ravel(),
        ]
        if problem.name == "late":
            # Of one class those that come first are also due first.
            slo = np.array([stream.slo for stream in problem.serving.streams])
            alike.append(np.unique(slo, return_inverse=True)[1].ravel()[problem.samples.stream])
        kind: IntArray = np.unique(np.stack(alike), axis=1, return_inverse=True)[1].ravel()
        return kind

    @cached_property
    def payments(self) -> dict[int, FloatArray]:
        """Least payments by number of samples, filled as they are asked for."""
        return {}

    def case(self, ids: IntArray) -> Case:
        """The samples `ids`, in order of arrival; times count from the first arrival of the problem."""
        problem, shares, n = self.problem, self.shares, len(ids)
        if n not in self.payments:
            self.payments[n] = payments(shares.part, n)
        first, depth, weight = problem.first[ids], problem.samples.depth[ids], problem.weight[ids]
        steps, level = np.unique(weight, return_inverse=True)
        group = np.unique(self.kind[ids], return_inverse=True)[1].ravel()
        most = self.rest.shape[1] - 1
        needs = Needs(
            release=problem.samples.arrival[ids] - problem.samples.arrival[0],
            first=first,
            depth=depth,
            rest=self.rest[ids],
            own=self.own[ids],
            lump=shares.lump[first + depth - 1],
            psi=self.payments[n],
            level=level.ravel().astype(np.int64),
            step=np.diff(steps, prepend=0.0),
        )
        return Case(
            needs=needs,
            latency=shares.latency,
            switch=problem.serving.switch,
            keeps=bool(problem.serving.switch.any()),
            weight=weight,
            group=group.astype(np.int64),
            groups=int(group.max(initial=0)) + 1,
            key=np.random.default_rng(n).integers(0, 1 << 62, (n, 2 * (most + 2))),
        )


def new_store(case: Case, *, batches: bool, labels: int = FIRST_LABELS) -> Store:
    """An empty store, with or without the batches of labels."""
    n, (stages, most) = len(case.weight), (len(case.latency), case.needs.rest.shape[1])
    return Store(
        label=np.zeros(labels, dtype=LABEL).view(np.recarray),
        node=np.zeros(labels, dtype=NODE).view(np.recarray),
        open=np.empty(labels, dtype=np.int64),
        batch=np.zeros((labels if batches else 0, 2 * case.groups + 1), dtype=np.int16),
        code=np.empty((labels, n), dtype=np.uint8),
        table=np.empty(_table_size(labels), dtype=np.int32),
        counts=np.zeros(5, dtype=np.int64),
        values=np.zeros(8),
        progress=np.zeros(n, dtype=np.int64),
        child=np.zeros(n, dtype=np.uint8),
        waiting=np.zeros((2 * case.groups, n), dtype=np.int64),
        number=np.zeros(2 * case.groups, dtype=np.int64),
        taken=np.zeros(2 * case.groups, dtype=np.int64),
        order=np.zeros(n, dtype=np.int64),
        real=np.zeros((3, n)),
        known=np.zeros((stages, most + 1)),
        rest=np.zeros(2),
    )


def clear(store: Store, base: float, value: float, gap: float) -> None:
    """Forget all labels; an answer of cost `value` is known, and what is not better by the gap is left out."""
    store.table.fill(NONE)
    store.counts.fill(0)
    store.counts[BEST] = NONE
    store.values.fill(0.0)
    store.values[VALUE], store.values[BASE], store.values[GAP] = value, base, gap
    store.values[CUT] = value - gap * (value - base) if np.isfinite(value) else np.inf
    store.values[LOWEST] = -np.inf


def enter(case: Case, store: Store, progress: IntArray | None) -> int:
    """Write the first state to `store.child`: what has run already, nothing by default; its hash."""
    store.child[:] = 0 if progress is None else progress
    hash = 0
    for j, p in enumerate(store.child.tolist()):
        hash ^= int(case.key[j, p])
    return hash


def _table_size(labels: int) -> int:
    return 1 << (2 * labels - 1).bit_length()


def bytes_of(store: Store) -> int:
    """Memory of a store."""
    return sum(int(array.nbytes) for array in store)


def grown(store: Store, most_bytes: int = MOST_BYTES) -> Store | None:
    """The store with twice the room for what is full; None: that would take too much memory."""
    room, states = len(store.label), len(store.node)
    more: dict[str, np.ndarray] = {}
    if store.counts[LABELS] + store.taken.size >= room:
        for name in ("label", "open", *(("batch",) if len(store.batch) else ())):
            more[name] = _longer(getattr(store, name), 2 * room)
    if store.counts[STATES] + store.taken.size >= states:
        for name in ("code", "node"):
            more[name] = _longer(getattr(store, name), 2 * states)
        more["table"] = np.full(_table_size(2 * states), NONE, dtype=np.int32)
    added = sum(int(array.nbytes) for array in more.values())
    if bytes_of(store) + added > most_bytes:
        return None
    larger = store._replace(**more)
    if "table" in more:
        rehash(larger)
    return larger


def _longer(array: np.ndarray, length: int) -> np.ndarray:
    found = np.zeros((length, *array.shape[1:]), dtype=array.dtype).view(type(array))
    found[: len(array)] = array
    return found


def batches_to(case: Case, store: Store, label: int, ids: IntArray) -> list[tuple[int, tuple[int, ...]]]:
    """The batches on the way to a label."""
    found: list[tuple[int, tuple[int, ...]]] = []
    while store.label[label].parent != NONE:
        parent = int(store.label[label].parent)
        was = store.code[store.label[parent].state]
        stage, members = (
            _stored(case, store, label, was) if len(store.batch) else _changed(case, store, label, was)
        )
        if members:
            found.append((stage, tuple(int(ids[j]) for j in sorted(members))))
        label = parent
    return found[::-1]


def _changed(case: Case, store: Store, label: int, was: Codes) -> tuple[int, list[int]]:
    """Samples whose stages differ between two states."""
    stages = was & (int(WARM) - 1)
    now = store.code[store.label[label].state] & (int(WARM) - 1)
    members = np.flatnonzero(now != stages).tolist()
    return int(case.needs.first[members[0]] + stages[members[0]]), members


def _stored(case: Case, store: Store, label: int, was: Codes) -> tuple[int, list[int]]:
    """The first samples of each class that wait for the stage of the batch."""
    *counts, stage = store.batch[label].tolist()
    if stage == NONE:
        return stage, []
    collect(case, store, was, stage, np.inf)
    return stage, [int(j) for group, count in enumerate(counts) for j in store.waiting[group, :count]]
