"""When samples arrive: random processes and traces."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.routes import FloatArray
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals


def draw(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    """The first `count` arrivals of a process in seconds, in order; fewer where a trace ends.

    poisson
        Times between arrivals are exponential with mean 1/rate.
    gamma
        They are gamma with mean 1/rate and coefficient of variation cv (shape 1/cv^2); 1 is poisson.
    mmpp
        A Poisson process whose rate is that of a state; states follow each other in turn, each for an exponential time
        with its mean `dwell`. `rate`, if given, is the mean rate: all times are scaled.
    periodic
        One each 1/rate seconds, late by a uniform time from 0 to `jitter` seconds.
    trace
        As recorded.

    Raises
    ------
    InputError
        The process has no rate, the trace no times, or the states of mmpp change much more often than samples come.
    """
    return _PROCESSES[arrivals.kind](arrivals, count, rng)


MOST_STAYS = 50_000_000
"""Stays in states of mmpp that are drawn at most."""


def mean_rate(arrivals: Arrivals) -> float | None:
    """Samples a second in the long run; None where nothing states it."""
    if arrivals.kind == "trace":
        times = arrivals.times
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else None
    if arrivals.kind == "mmpp" and arrivals.rate is None:
        return _mmpp_rate(arrivals) or None
    return arrivals.rate


def _rate(arrivals: Arrivals) -> float:
    if arrivals.rate is None:
        raise InputError(f"arrivals: no rate, expected that of {arrivals.kind} arrivals in samples a second")
    return arrivals.rate


def _poisson(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    times: FloatArray = np.cumsum(rng.exponential(1 / _rate(arrivals), count))
    return times


def _gamma(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    shape = 1 / (arrivals.cv or 1.0) ** 2
    times: FloatArray = np.cumsum(rng.gamma(shape, 1 / (_rate(arrivals) * shape), count))
    return times


def _mmpp_rate(arrivals: Arrivals) -> float:
    return float(np.dot(arrivals.rates, arrivals.dwell) / np.sum(arrivals.dwell))


def _mmpp(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    mean = _mmpp_rate(arrivals)
    if mean <= 0:
        raise InputError("arrivals: all rates of mmpp are 0, expected one above")
    # A unit Poisson process in operational time: the integral of the rate over the states passed.
    scale = (arrivals.rate or mean) / mean
    states = len(arrivals.rates)
    stays = count / (mean * float(np.mean(arrivals.dwell)))
    if stays > MOST_STAYS:
        raise InputError(
            f"arrivals: states of mmpp change {stays:.3g} times, expected at most {MOST_STAYS:,}"
        )
    # Generators of their own: fewer samples are the beginning of more.
    samples_rng, stays_rng = rng.spawn(2)
    targets = np.cumsum(samples_rng.exponential(1.0, count))
    spans, grown = [np.zeros(0)], 0.0
    rates = np.asarray(arrivals.rates, dtype=float) * scale
    while grown <= targets[-1]:
        block = (
            stays_rng.exponential(1.0, (max(64, count // 64), states)) * np.asarray(arrivals.dwell) / scale
        )
        spans.append(block.ravel())
        grown += float((block * rates).sum())
    ends = np.cumsum(np.concatenate(spans))
    integral = np.concatenate([[0.0], np.cumsum(np.concatenate(spans) * np.resize(rates, len(ends)))])
    edges = np.concatenate([[0.0], ends])
    # States of rate 0 make the integral flat; an arrival lies at the end of the span that reaches it.
    at = np.searchsorted(integral, targets, side="left") - 1
    times: FloatArray = edges[at] + (targets - integral[at]) / np.resize(rates, len(ends))[at]
    return times


def _periodic(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    times: FloatArray = np.sort(
        (np.arange(count) + rng.uniform()) / _rate(arrivals) + rng.uniform(0.0, 1.0, count) * arrivals.jitter
    )
    return times


def _trace(arrivals: Arrivals, count: int, rng: np.random.Generator) -> FloatArray:
    if not arrivals.times:
        raise InputError("arrivals: an empty trace, expected times in seconds")
    return np.asarray(arrivals.times[:count], dtype=float)


_PROCESSES = {
    "poisson": _poisson,
    "gamma": _gamma,
    "mmpp": _mmpp,
    "periodic": _periodic,
    "trace": _trace,
}
