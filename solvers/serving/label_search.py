"""One run of the compiled labels: begins, steps, grows, and gives its plan and its bound."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dnnplan.costs.routes import IntArray
from dnnplan.costs.serving.evaluate import LATE
from dnnplan.costs.serving.offline import OfflineServing
from dnnplan.formulations.serving.shares import least_runs
from dnnplan.solvers.kernels import serving_labels as kernels
from dnnplan.solvers.kernels import serving_late
from dnnplan.solvers.serving import label_store as stores


class LabelSearch:
    """Labels of some samples of a problem on one device.

    Parameters
    ----------
    ids
        The samples, in order of arrival.
    gap
        What is not better by this part of the value is left out.
    progress, time
        Stages that they have run already, and seconds from which the device is free.
    most_bytes, labels
        Memory that labels may take, and room for labels at first.
    figures
        Figures of the problem, for many searches.
    """

    def __init__(
        self,
        problem: OfflineServing,
        ids: IntArray,
        *,
        gap: float = 0.0,
        progress: IntArray | None = None,
        time: float | None = None,
        most_bytes: int = stores.MOST_BYTES,
        figures: stores.Figures | None = None,
        labels: int = stores.FIRST_LABELS,
    ) -> None:
        self.ids, self.late = ids, problem.name == "late"
        self.case = (figures or stores.Figures(problem)).case(ids)
        self.store = stores.new_store(self.case, batches=self.late, labels=labels)
        self.gap, self.progress, self.most_bytes = gap, progress, most_bytes
        self.first = float(problem.samples.arrival[0])
        self.time = 0.0 if time is None else time - self.first
        self.due = serving_late.Due(
            runs=least_runs(self.case.latency, len(ids)),
            deadline=problem.deadline[ids] * (1 + LATE) - self.first,
        )
        self.known = math.inf
        self.complete = False

    @property
    def base(self) -> float:
        """Cost of the arrivals, which costs of labels include."""
        return 0.0 if self.late else float(np.dot(self.case.weight, self.case.needs.release))

    def know(self, value: float) -> None:
        """The value of an answer that is known: better ones are wanted."""
        self.known = min(self.known, value + self.base)

    def begin(self) -> None:
        """The first label."""
        case, store = self.case, self.store
        stores.clear(store, self.base, self.known, self.gap)
        hash = stores.enter(case, store, self.progress)
        ran = int(store.child.sum())
        if self.late:
            label = serving_late.add_late(case, store, self.due, kernels.NONE, hash, self.time, 0.0, ran)
        else:
            label = kernels.add(case, store, kernels.NONE, hash, self.time, 0.0, ran)
        if label != kernels.NONE:
            kernels.push(store, label)

    def step(self, most: int) -> tuple[bool, bool]:
        """Expand up to `most` labels; whether a better plan was found, and whether it has ended (proof or memory)."""
        before = float(self.store.values[kernels.VALUE])
        if self.late:
            status = serving_late.search_late(self.case, self.store, self.due, most)
        else:
            status = kernels.search(self.case, self.store, most)
        ended = status == kernels.ENDED
        self.complete = ended
        if status == kernels.FULL:
            ended = not self._grow()
        return self._better(before), ended

    def beam(self, width: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Of the labels of each number of operations expand the best ones; whether that gave a better plan.

        Beam search; labels of the same bound by their time.
        """
        self.begin()
        before = float(self.store.values[kernels.VALUE])
        layers: dict[int, list[IntArray]] = {}
        self._sort_in(layers, 0)
        while layers and not stop():
            ids = np.concatenate(layers.pop(min(layers)))
            found = self.store.label[ids]
            ids = ids[np.lexsort((found.time, found.bound))][:width]
            while len(ids):
                known = int(self.store.counts[kernels.LABELS])
                done = self._expand(ids)
                self._sort_in(layers, known)
                ids = ids[done:]
                if len(ids) and not self._grow():
                    break
        if not self._better(before):
            return False
        self.known = float(self.store.values[kernels.VALUE])
        return True

    def _sort_in(self, layers: dict[int, list[IntArray]], first: int) -> None:
        """Enter labels from number `first` on."""
        ids = np.arange(first, int(self.store.counts[kernels.LABELS]))
        ran = self.store.label[ids].ran
        for number in np.unique(ran).tolist():
            layers.setdefault(number, []).append(ids[ran == number])

    def _expand(self, ids: IntArray) -> int:
        if self.late:
            return serving_late.expand_each_late(self.case, self.store, self.due, ids)
        return kernels.expand_each(self.case, self.store, ids)

    def _grow(self) -> bool:
        larger = stores.grown(self.store, self.most_bytes)
        self.store = self.store if larger is None else larger
        return larger is not None

    def _better(self, before: float) -> bool:
        return float(self.store.values[kernels.VALUE]) < before and self.store.counts[kernels.BEST] >= 0

    @property
    def has_plan(self) -> bool:
        """Whether a plan has been found."""
        return int(self.store.counts[kernels.BEST]) >= 0

    def batches(self) -> list[tuple[int, tuple[int, ...]]]:
        """The best plan found; samples that are given up are in no batch, or not to their end."""
        return stores.batches_to(self.case, self.store, int(self.store.counts[kernels.BEST]), self.ids)

    @property
    def bound(self) -> float:
        """Proven bound on the value, less what rounding may have added."""
        lowest = float(self.store.values[kernels.LOWEST])
        return lowest - self.base - 1e-11 * (abs(lowest) + abs(self.base))
