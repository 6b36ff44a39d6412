"""Compiled loops of the bounds on samples after their deadline: shares on one device.

Importing this module loads numba.
"""

from __future__ import annotations

import numpy as np

from dnnplan.costs.kernels import inner, kernel
from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.serving.bounds_kernels import Needs


@kernel
def fewest_late(release: FloatArray, deadline: FloatArray, work: FloatArray) -> int:
    """Fewest late jobs of one machine, where later releases go with later deadlines (both do not decrease).

    Kise, Ibaraki and Mine (1978): jobs join by deadline; where one would be late, the job whose absence ends the
    sequence earliest is given up. Preemption would not help: the earliest deadline is never preempted. O(n^2), and
    much less where waiting times are short.
    """
    n = release.shape[0]
    longest = 0.0
    for j in range(n):
        longest = max(longest, work[j])
    kept = np.empty(n, dtype=np.int64)
    start = np.empty(n)
    count, late, end = 0, 0, 0.0
    for j in range(n):
        begin = max(end, release[j])
        if begin + work[j] <= deadline[j]:
            kept[count], start[count] = j, begin
            count += 1
            end = begin + work[j]
            continue
        late += 1
        # Without job j the sequence ends at `end`; without job k as much earlier as what follows can move.
        gain, give_up, slack = begin + work[j] - end, -1, begin - release[j]
        k = count - 1
        while k >= 0 and slack > gain and gain < longest:
            value = min(work[kept[k]], slack)
            if value > gain:
                gain, give_up = value, k
            slack = min(slack, start[k] - release[kept[k]])
            k -= 1
        if give_up < 0:
            continue
        shift = work[kept[give_up]]
        for k in range(give_up, count - 1):
            kept[k] = kept[k + 1]
            shift = min(shift, start[k + 1] - release[kept[k]])
            start[k] = start[k + 1] - shift
        shift = min(shift, begin - release[j])
        kept[count - 1], start[count - 1] = j, begin - shift
        end = begin - shift + work[j]
    return late


@inner
def late_to_go(
    needs: Needs,
    runs: FloatArray,
    progress: IntArray,
    time: float,
    deadline: FloatArray,
    level: int,
    order: IntArray,
    real: FloatArray,
) -> int:
    """Fewest late samples of a level among those that are left; -1: some that have started will be late.

    Those that have started have to be in time. Up to each deadline d the device has to run all stages of the samples
    that are due by then: at least the sum over the stages of `runs` of their numbers. The larger of two bounds:
    `fewest_late` on shares, and how many more are due by some d than fit before it (one network only: of k samples
    those with the fewest stages take the least).

    Parameters
    ----------
    runs
        (Q, n + 1) least seconds in which a stage runs m samples, in batches of any size.
    progress
        (n,) stages that each sample has run.
    deadline
        (n,) seconds, tolerance included.
    order, real
        (n,), (3, n) scratch.
    """
    n = needs.release.shape[0]
    count, networks = 0, 1
    for j in range(n):
        started = progress[j] > 0
        if progress[j] >= needs.depth[j] or (needs.level[j] < level and not started):
            continue
        if needs.first[j] != needs.first[0]:
            networks = 2
        i = count
        while i > 0 and deadline[order[i - 1]] > deadline[j]:
            order[i] = order[i - 1]
            i -= 1
        order[i] = j
        count += 1
    need = np.zeros(runs.shape[0], dtype=np.int64)
    fresh = np.zeros(needs.rest.shape[1], dtype=np.int64)
    now, waiting, most = time, 0, 0
    for i in range(count):
        j = order[i]
        if progress[j] == 0:
            waiting += 1
            fresh[needs.depth[j]] += 1
        else:
            for k in range(needs.first[j] + progress[j], needs.first[j] + needs.depth[j]):
                need[k] += 1
                now += runs[k, need[k]] - runs[k, need[k] - 1]
            if now > deadline[j]:
                return -1
        if networks == 1 and waiting > most:
            most = max(most, waiting - fitting(needs.first[j], runs, need, fresh, now, deadline[j]))
    # Releases that do not decrease with the deadline: each as early as the earliest of those with later deadlines.
    earliest = np.inf
    for i in range(count - 1, -1, -1):
        j = order[i]
        earliest = min(earliest, max(time, needs.release[j]))
        real[0, i], real[1, i], real[2, i] = earliest, deadline[j], needs.rest[j, progress[j]]
    return int(max(most, fewest_late(real[0, :count], real[1, :count], real[2, :count])))


@inner
def fitting(
    first: int, runs: FloatArray, need: IntArray, fresh: IntArray, now: float, deadline: float
) -> int:
    """How many samples that have not started fit before a deadline, those with the fewest stages first.

    `need` has the numbers of samples by stage that run anyway, until `now`; `fresh` those to add, by number of stages.
    """
    added = 0
    for depth in range(1, fresh.shape[0]):
        for _ in range(fresh[depth]):
            more = 0.0
            for k in range(depth):
                # Of those added before, all with at least k + 1 stages run stage k.
                extra = 0
                for other in range(k + 1, depth):
                    extra += fresh[other]
                extra += added - before(fresh, depth)
                more += (
                    runs[first + k, need[first + k] + extra + 1] - runs[first + k, need[first + k] + extra]
                )
            now += more
            if now > deadline:
                return added
            added += 1
    return added


@inner
def before(fresh: IntArray, depth: int) -> int:
    """Number of samples with fewer stages."""
    total = 0
    for other in range(1, depth):
        total += fresh[other]
    return int(total)
