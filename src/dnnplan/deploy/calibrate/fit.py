"""Overheads and bandwidths from the passes of a split plan: least squares that start from what is known anyhow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnplan.costs.explain import covered
from dnnplan.deploy.run.executor import Pass
from dnnplan.deploy.run.program import Program

CALL, CALL_DOUBT = 30e-6, 50e-6
"""Seconds of a call beside its layers, before anything is known."""
LAYOUT, LAYOUT_DOUBT = 2e-10, 5e-10
"""Seconds a byte of changing a layout where a segment begins or ends, before anything is known."""
COPY, COPY_OVERHEAD = 1 / 20e9, 2e-6
WAKE = 25e-6
"""Seconds until a waiting worker goes on."""
SCALES = (0.8, 1.25)
"""Least and largest scale: what goes beyond is a machine that was busy with something else."""
LINKS = (0.4, 1.6)
"""Least and largest factor on what transfers take."""
LEAST_EFFECT = 0.01
"""Share of the latency that transfers must make up for the factor to be fitted."""
SCALE_DOUBT, SEGMENT_ERROR, CLOCK_ERROR = 0.02, 0.015, 5e-6
"""How far the scale is believed to be from 1, segments from the sum of their parts, and moments from the truth."""


@dataclass(frozen=True)
class Cuts:
    """What comes with a transfer: a tensor that moves ends a segment on one device, and begins one on another.

    Attributes
    ----------
    calls, wakes
        Calls, and waits of workers, for each transfer.
    read, left
        Bytes that segments read from others, and leave to others, for each byte that is moved.
    """

    calls: float = 1.0
    wakes: float = 1.0
    read: float = 1.0
    left: float = 1.0


@dataclass(frozen=True)
class Fit:
    """What segments take beside their layers.

    Attributes
    ----------
    scale
        What layers take in segments, relative to the whole network.
    call
        Seconds of a call.
    layout_in, layout_out
        Seconds a byte that a segment reads from, or leaves to, another: changes of layout.
    copy, copy_overhead
        Seconds a byte, and seconds, of a copy to another device.
    wake
        Seconds from the end of a segment to the moment at which a worker that waited for it goes on.
    link
        Factor on what transfers take. Tensors that come together wake a worker once, and a call that follows another on
        one device costs nothing in the model: this factor is what is left of both.
    """

    scale: float = 1.0
    call: float = CALL
    layout_in: float = LAYOUT
    layout_out: float = LAYOUT
    copy: float = COPY
    copy_overhead: float = COPY_OVERHEAD
    wake: float = WAKE
    cuts: Cuts = Cuts()
    link: float = 1.0

    @property
    def link_latency(self) -> float:
        """Seconds that a transfer takes whatever its size: its share of waking and of calls, and the copy."""
        return self.link * (self.cuts.wakes * self.wake + self.copy_overhead + self.cuts.calls * self.call)

    @property
    def link_bandwidth(self) -> float:
        """Bytes/s of a transfer: the copy, and changes of layout where it ends and begins segments."""
        per_byte = self.copy + self.cuts.read * self.layout_in + self.cuts.left * self.layout_out
        return 1.0 / (self.link * per_byte)


@dataclass(frozen=True)
class SegmentSample:
    """A segment: seconds of its layers, bytes that it reads from and leaves to others, seconds that it took."""

    layers: float
    read: float
    left: float
    measured: float


def fit(
    segments: Sequence[SegmentSample],
    copies: Sequence[tuple[float, float]],
    wakes: Sequence[float],
    *,
    jobs: int = 1,
    waits: int = 0,
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
    waits
        Segments that a worker waited for in most passes.
    """
    rows = np.array([(s.layers, 1.0, s.read, s.left) for s in segments]).reshape(-1, 4)
    target = np.array([s.measured for s in segments])
    known, doubt = (1.0, CALL, LAYOUT, LAYOUT), (SCALE_DOUBT, CALL_DOUBT, LAYOUT_DOUBT, LAYOUT_DOUBT)
    error = CLOCK_ERROR + SEGMENT_ERROR * target
    scale, call, layout_in, layout_out = near(rows, target, error, known, doubt, {0: SCALES})
    sizes = np.array([(size, 1.0) for size, _ in copies]).reshape(-1, 2)
    spent = np.array([seconds for _, seconds in copies])
    copy, overhead = near(sizes, spent, 1e-6 + 0.1 * spent, (COPY, COPY_OVERHEAD), (COPY, COPY_OVERHEAD))
    wake = float(np.median(wakes)) if len(wakes) > 2 else WAKE
    return Fit(scale, call, layout_in, layout_out, copy, overhead, wake, _cuts(segments, copies, jobs, waits))


def _cuts(
    segments: Sequence[SegmentSample], copies: Sequence[tuple[float, float]], jobs: int, waits: int
) -> Cuts:
    moved = sum(size for size, _ in copies)
    if not copies or moved <= 0:
        return Cuts()
    return Cuts(
        calls=max(0.0, (len(segments) - jobs) / len(copies)),
        wakes=min(1.0, waits / len(copies)),
        read=max(1.0, sum(s.read for s in segments) / moved),
        left=max(1.0, sum(s.left for s in segments) / moved),
    )


def link_factor(predicted: Callable[[float], float], measured: float) -> float:
    """The factor on transfers with which the plan that was run is predicted as it ran, within `LINKS`.

    Parameters
    ----------
    predicted
        Latency of that plan for a factor, seconds; it grows with it.

    Returns
    -------
    float
        1 where transfers hardly matter.

    Examples
    --------
    >>> round(link_factor(lambda factor: 10 + 2 * factor, 11.5), 6)
    0.75
    """
    from scipy.optimize import brentq

    low, high = (predicted(end) - measured for end in LINKS)
    if high - low < LEAST_EFFECT * measured:
        return 1.0
    if low >= 0 or high <= 0:
        return LINKS[0] if low >= 0 else LINKS[1]
    return float(brentq(lambda factor: predicted(factor) - measured, *LINKS, xtol=1e-3))


def near(
    rows: np.ndarray,
    target: np.ndarray,
    error: np.ndarray,
    known: Sequence[float],
    doubt: Sequence[float],
    ends: Mapping[int, tuple[float, float]] | None = None,
) -> tuple[float, ...]:
    """Least squares with a normal prior for each coefficient, none of which gets below 0.

    Parameters
    ----------
    rows, target, error
        (n, k), (n,) and (n,): coefficients times rows is about target, give or take error.
    known, doubt
        (k,) mean and standard deviation of each coefficient before anything is measured.
    ends
        Least and largest value of single coefficients.

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
    bounds = np.array([(ends or {}).get(at, (0.0, np.inf)) for at in range(len(prior))]) / prior[:, None]
    found = lsq_linear(scaled, right, bounds=tuple(bounds.T), method="bvls")
    return tuple((found.x * prior).tolist())


def wake_times(program: Program, passes: Sequence[Pass]) -> dict[str, list[float]]:
    """How long workers that were waiting took to go on after the last segment that they waited for.

    Returns
    -------
    dict
        For each segment that was waited for, one entry a pass in which its worker was idle before.
    """
    found: dict[str, list[float]] = {}
    for steps in program.steps.values():
        for before, step in zip((None, *steps), steps, strict=False):
            for one in passes if step.waits else ():
                told = max(one.stamps[name][2] for name in step.waits)
                free = one.stamps[before.name][2] if before is not None else 0.0
                if free < told >= step.earliest:  # else it was waiting for a moment, not for a segment
                    found.setdefault(step.name, []).append(max(0.0, one.stamps[step.name][0] - told))
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
