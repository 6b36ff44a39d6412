"""The mapping problem in whole ticks, for integer models whose bounds must hold for the floats."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from dnnplan.costs.mapping import ROUNDING, Job, MappingProblem
from dnnplan.costs.routes import FloatArray


def rounded_down(problem: MappingProblem, tick: float) -> MappingProblem:
    """The same problem with every time rounded down to a whole number of ticks of `tick` seconds.

    A schedule that is feasible for the problem, rounded down moment by moment, is feasible for this one
    (floor(a + b) >= floor(a) + floor(b)), so bounds of this one, times `tick`, hold for the problem. The
    product is taken a relative 1e-12 too high so that exact multiples stay what they are.
    """

    def down(times: FloatArray) -> FloatArray:
        finite = np.isfinite(times)
        return np.where(finite, np.floor(np.where(finite, times, 0.0) / tick * (1 + ROUNDING)), np.inf)

    return dataclasses.replace(
        problem,
        tick=tick,
        duration=down(problem.duration),
        load=down(problem.load),
        release=down(problem.release),
        tensor_release=down(problem.tensor_release),
        jobs=tuple(
            Job(
                job.task,
                job.number,
                float(math.ceil(job.release / tick * (1 - ROUNDING))),
                None if job.due is None else float(math.ceil(job.due / tick * (1 - ROUNDING))),
                job.weight,
            )
            for job in problem.jobs
        ),
    )


def whole_ticks(seconds: float, tick: float) -> float:
    """Whole ticks in a time."""
    return float(math.floor(seconds / tick * (1 + ROUNDING)))
