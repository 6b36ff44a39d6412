"""What a sample takes at least of a batch: figures that all bounds of serving are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.costs.serving.offline import OfflineServing


@dataclass(frozen=True, eq=False, kw_only=True)
class Shares:
    """Figures of Q stages.

    Parameters
    ----------
    latency
        (Q, B + 1) seconds of a batch of at least b samples: L(q, b) = min over c >= b of the latency of c. It is the
        latency itself where that does not fall with b. Leaving samples out of a batch then never takes longer.
    part
        (Q, B) seconds of a batch for each of its b = 1 ... B samples: s(q, b) = L(q, b) / b.
    share
        (Q,) least part of all sizes: min over b of s(q, b).
    least
        (Q,) least latency: L(q, 1).
    lump
        (Q,) min over b of s(q, b) (b + 1) / 2, less the share: samples that leave in a batch all leave at its end.
    """

    latency: FloatArray
    part: FloatArray
    share: FloatArray
    least: FloatArray
    lump: FloatArray


def shares_of(latency: FloatArray) -> Shares:
    """The figures of latencies (Q, B + 1).

    >>> found = shares_of(np.array([[0.0, 2.0, 3.0]]))
    >>> found.share.tolist(), found.least.tolist(), found.lump.tolist()
    ([1.5], [2.0], [0.5])
    """
    largest = latency.shape[1] - 1
    falling = np.minimum.accumulate(latency[:, :0:-1], axis=1)[:, ::-1]
    sizes = np.arange(1, largest + 1)
    part = falling / sizes
    share = part.min(axis=1)
    return Shares(
        latency=np.concatenate([latency[:, :1], falling], axis=1),
        part=part,
        share=share,
        least=falling[:, 0].copy(),
        lump=(part * (sizes + 1) / 2).min(axis=1) - share,
    )


def rest_after(problem: OfflineServing, each: FloatArray) -> FloatArray:
    """(n, P + 1) sum of a figure of stages (Q,) over the stages that each sample has still to run after p = 0 ... P.

    P is the largest number of stages that a sample needs.
    """
    depth = problem.samples.depth
    most = int(depth.max(initial=0))
    rest = np.zeros((problem.n, most + 1))
    for p in range(most - 1, -1, -1):
        runs = depth > p
        stage = np.where(runs, problem.first + p, 0)
        rest[:, p] = rest[:, p + 1] + np.where(runs, each[stage], 0.0)
    return rest


def payments(part: FloatArray, most: int) -> FloatArray:
    """(Q, most + 1, most + 1) least payment for an operation of a stage that m samples still need, l of which wait.

    psi(q, m, l) = min over b <= min(B, m) of s(q, b) ((b + 1) / 2 + l): the sample itself and l later ones wait for the
    operation, and of the b - 1 others of its batch half. See `pair_bound`.
    """
    sizes = np.arange(1, part.shape[1] + 1)
    later = np.arange(most + 1)
    whole = part[:, None, :] * ((sizes + 1) / 2 + later[:, None])
    least = np.minimum.accumulate(whole, axis=2)
    found = np.zeros((part.shape[0], most + 1, most + 1))
    for m in range(1, most + 1):
        found[:, m, :] = least[:, :, min(m, part.shape[1]) - 1]
    return found


def least_runs(latency: FloatArray, most: int) -> FloatArray:
    """(Q, most + 1) least seconds in which a stage runs m samples, in batches of any size; latency (Q, B + 1).

    >>> least_runs(np.array([[0.0, 2.0, 3.0]]), 3).tolist()
    [[0.0, 2.0, 3.0, 5.0]]
    """
    found = np.zeros((len(latency), most + 1))
    for m in range(1, most + 1):
        sizes = np.arange(1, min(m, latency.shape[1] - 1) + 1)
        found[:, m] = (found[:, m - sizes] + latency[:, sizes]).min(axis=1)
    return found
