"""Overheads and bandwidths from the passes of a split plan: least squares that start from what is known anyhow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.explain import covered
from dnnplan.deploy.calibrate.layers import Edge
from dnnplan.deploy.run.executor import Pass
from dnnplan.deploy.run.program import Program

CALL = 20e-6
"""Seconds of a call beside its layers, before anything is known; about what one takes here."""
LAYOUT = 1 / 4e9
"""Seconds a byte of changing a layout, before anything is known."""
COPY, COPY_OVERHEAD = 1 / 20e9, 2e-6
CUTS, BORDERS = 1.0, 2.0
"""Calls, and bytes at borders for each byte, that a transfer makes necessary, before anything is split."""
WAKE = 25e-6
"""Seconds until a waiting worker goes on."""
SCALE_ERROR, SEGMENT_ERROR, CLOCK_ERROR = 0.05, 0.03, 5e-6
"""How far the scale is believed to be from 1, segments from the sum of their layers, and moments from the truth."""


@dataclass(frozen=True)
class Fit:
    """What segments take beside their layers.

    Attributes
    ----------
    scale
        What layers take in segments, relative to the whole network.
    call
        Seconds of a call.
    layout
        Seconds a byte that crosses a border of a segment: changes of layout.
    copy, copy_overhead
        Seconds a byte, and seconds, of a copy to another device.
    wake
        Seconds from the end of a segment to the moment at which a worker that waited for it goes on.
    cuts
        Calls that a transfer makes necessary: its tensor ends a segment, and begins one.
    borders
        Bytes at borders of segments for each byte that is moved.
    """

    scale: float = 1.0
    call: float = CALL
    layout: float = LAYOUT
    copy: float = COPY
    copy_overhead: float = COPY_OVERHEAD
    wake: float = WAKE
    cuts: float = CUTS
    borders: float = BORDERS

    @property
    def link_latency(self) -> float:
        """Seconds that a transfer takes whatever its size: waking, copying, and the calls that it makes necessary."""
        return self.wake + self.copy_overhead + self.cuts * self.call

    @property
    def link_bandwidth(self) -> float:
        """Bytes/s of a transfer: the copy, and changes of layout at the borders that it makes necessary."""
        return 1.0 / (self.copy + self.borders * self.layout)


@dataclass(frozen=True)
class SegmentSample:
    """A segment: seconds of its layers, bytes that cross its borders inside the network, seconds that it took."""

    layers: float
    border_bytes: float
    measured: float


def fit(
    segments: Sequence[SegmentSample],
    copies: Sequence[tuple[float, float]],
    wakes: Sequence[float],
    edges: Sequence[Edge],
    *,
    jobs: int = 1,
) -> Fit:
    """Fit all figures; where little was measured they stay near what is known before.

    Parameters
    ----------
    segments
        All segments of the plan.
    copies
        Bytes and seconds of each copy.
    wakes
        Seconds that workers took to go on.
    jobs
        Each needs one call, whatever is moved.
    """
    layout = LAYOUT
    if size := sum(edge.bytes for edge in edges):
        layout = sum(edge.seconds for edge in edges) / size
    rows = np.array([(s.layers, 1.0, s.border_bytes) for s in segments]).reshape(-1, 3)
    target = np.array([s.measured for s in segments])
    error = CLOCK_ERROR + SEGMENT_ERROR * target
    scale, call, per_byte = near(rows, target, error, (1.0, CALL, layout), (SCALE_ERROR, CALL, layout))
    sizes = np.array([(size, 1.0) for size, _ in copies]).reshape(-1, 2)
    spent = np.array([seconds for _, seconds in copies])
    noise = 1e-6 + 0.1 * spent
    copy, overhead = near(sizes, spent, noise, (COPY, COPY_OVERHEAD), (COPY, COPY_OVERHEAD))
    wake = float(np.median([*wakes, WAKE])) if len(wakes) < 3 else float(np.median(wakes))
    cuts, borders = CUTS, BORDERS
    if copies:
        cuts = max(CUTS, (len(segments) - jobs) / len(copies))
        borders = max(
            BORDERS, sum(s.border_bytes for s in segments) / max(1.0, sum(size for size, _ in copies))
        )
    return Fit(scale, call, per_byte, copy, overhead, wake, cuts, borders)


def near(
    rows: np.ndarray, target: np.ndarray, error: np.ndarray, known: Sequence[float], doubt: Sequence[float]
) -> tuple[float, ...]:
    """Least squares with a normal prior for each coefficient, none of which gets below 0.

    Parameters
    ----------
    rows, target, error
        (n, k), (n,) and (n,): coefficients times rows is about target, give or take error.
    known, doubt
        (k,) mean and standard deviation of each coefficient before anything is measured.

    Examples
    --------
    >>> near(np.empty((0, 1)), np.empty(0), np.empty(0), (2.0,), (1.0,))
    (2.0,)
    """
    from scipy.optimize import lsq_linear

    prior = np.asarray(doubt, dtype=float)
    # In units of their doubt, so that seconds a byte and factors are of one size.
    scaled = np.vstack([rows * prior / error[:, None], np.eye(len(prior))])
    right = np.concatenate([target / error, np.asarray(known) / prior])
    found = lsq_linear(scaled, right, bounds=(0, np.inf), method="bvls")
    return tuple((found.x * prior).tolist())


def wake_times(program: Program, passes: Sequence[Pass]) -> list[float]:
    """How long workers that were waiting took to go on after the last segment that they waited for."""
    found = []
    for steps in program.steps.values():
        for before, step in zip((None, *steps), steps, strict=False):
            if not step.waits:
                continue
            for one in passes:
                told = max(one.stamps[name][2] for name in step.waits)
                free = one.stamps[before.name][2] if before is not None else 0.0
                if free < told:
                    found.append(max(0.0, one.stamps[step.name][0] - told))
    return found


def busy_shares(program: Program, spans: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """By device: the share of the time in which it works that another device works too.

    Parameters
    ----------
    spans
        Start and end of each segment, seconds.
    """
    own = {device: [spans[s.name] for s in steps] for device, steps in program.steps.items()}
    found = {}
    for device, mine in own.items():
        others = [span for other, theirs in own.items() if other != device for span in theirs]
        busy = covered(mine)
        both = busy + covered(others) - covered([*mine, *others])
        found[device] = min(1.0, max(0.0, both / busy)) if busy > 0 else 1.0
    return found
