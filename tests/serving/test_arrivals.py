"""Arrival processes: rates, variation, dispersion, and the same again for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving import arrivals as module
from dnnplan.serving.arrivals import draw, mean_rate

COUNT = 200_000


def _drawn(arrivals, count=COUNT, seed=3):
    times = draw(arrivals, count, np.random.default_rng(seed))
    assert len(times) == count
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    return times


def _gaps(times):
    gaps = np.diff(times)
    return gaps.mean(), gaps.std() / gaps.mean()


def _dispersion(times, width):
    """Variance of the counts in windows by their mean: 1 for a Poisson process."""
    counts = np.bincount((times / width).astype(int))[:-1]
    return counts.var() / counts.mean()


def test_poisson_gaps_are_exponential():
    times = _drawn(Arrivals(kind="poisson", rate=50.0))
    mean, variation = _gaps(times)
    assert mean == pytest.approx(1 / 50, rel=0.01)
    assert variation == pytest.approx(1.0, rel=0.01)
    assert _dispersion(times, 1.0) == pytest.approx(1.0, rel=0.08)
    gaps = np.diff(times)
    assert (gaps > 1 / 50).mean() == pytest.approx(np.exp(-1), rel=0.02)


@pytest.mark.parametrize("cv", [0.25, 1.0, 4.0])
def test_gamma_gaps_have_their_mean_and_variation(cv):
    mean, variation = _gaps(_drawn(Arrivals(kind="gamma", rate=20.0, cv=cv)))
    assert mean == pytest.approx(1 / 20, rel=0.04)
    assert variation == pytest.approx(cv, rel=0.04)


def test_gamma_of_variation_0_is_a_clock_almost():
    _, variation = _gaps(_drawn(Arrivals(kind="gamma", rate=20.0, cv=1e-3), 1000))
    assert variation < 2e-3


def test_mmpp_has_the_rates_of_its_states_and_their_stays():
    # Half of the time at 10/s, half at 90/s; each stay 2 s.
    arrivals = Arrivals(kind="mmpp", rates=(10.0, 90.0), dwell=(2.0, 2.0))
    times = _drawn(arrivals)
    assert mean_rate(arrivals) == 50.0
    assert len(times) / times[-1] == pytest.approx(50.0, rel=0.05)
    # Variance of the counts in long windows, of an alternation with rates a, b and stays 1/r:
    # dispersion -> 1 + (a - b)^2 / (2 r (a + b)) with r = 1/2 the rate of leaving a state.
    assert _dispersion(times, 200.0) == pytest.approx(1 + 80**2 / (2 * 0.5 * 100), rel=0.35)
    counts = np.bincount((times / 0.05).astype(int))
    assert (counts >= 3).mean() == pytest.approx(0.5 * 0.83 + 0.5 * 0.014, abs=0.03)


def test_mmpp_with_a_state_without_arrivals():
    arrivals = Arrivals(kind="mmpp", rates=(0.0, 100.0), dwell=(3.0, 1.0))
    times = _drawn(arrivals)
    assert len(times) / times[-1] == pytest.approx(25.0, rel=0.05)
    # The long gaps are the stays in the empty state.
    gaps = np.diff(times)
    assert gaps[gaps > 0.2].mean() == pytest.approx(3.0, rel=0.2)


def test_mmpp_is_scaled_to_a_rate():
    plain = _drawn(Arrivals(kind="mmpp", rates=(10.0, 90.0), dwell=(2.0, 2.0)))
    fast = _drawn(Arrivals(kind="mmpp", rates=(10.0, 90.0), dwell=(2.0, 2.0), rate=500.0))
    assert fast == pytest.approx(plain / 10)


def test_mmpp_that_cannot_be_drawn():
    with pytest.raises(InputError, match="all rates of mmpp are 0"):
        draw(Arrivals(kind="mmpp", rates=(0.0, 0.0), dwell=(1.0, 1.0)), 10, np.random.default_rng(0))
    with pytest.raises(InputError, match="states of mmpp change"):
        draw(Arrivals(kind="mmpp", rates=(1.0, 2.0), dwell=(1e-12, 1e-12)), 10, np.random.default_rng(0))


def test_periodic_without_jitter_is_a_clock():
    times = _drawn(Arrivals(kind="periodic", rate=30.0), 1000)
    assert np.diff(times) == pytest.approx(np.full(999, 1 / 30))
    assert 0 <= times[0] <= 1 / 30


def test_jitter_delays_by_up_to_its_length():
    arrivals = Arrivals(kind="periodic", rate=10.0, jitter=0.04)
    times = _drawn(arrivals, 50_000)
    late = times - np.arange(50_000) / 10
    late -= late.min()
    assert 0.0399 < late.max() <= 0.04
    assert late.mean() == pytest.approx(0.02, rel=0.02)
    assert (np.diff(_drawn(Arrivals(kind="periodic", rate=10.0, jitter=0.5), 5000)) >= 0).all()


def test_a_trace_is_as_recorded_and_ends():
    arrivals = Arrivals(kind="trace", times=(0.0, 0.5, 0.5, 2.0))
    assert draw(arrivals, 3, np.random.default_rng(0)).tolist() == [0.0, 0.5, 0.5]
    assert draw(arrivals, 10, np.random.default_rng(0)).tolist() == [0.0, 0.5, 0.5, 2.0]
    assert mean_rate(arrivals) == 1.5
    assert mean_rate(Arrivals(kind="trace", times=(1.0,))) is None
    assert mean_rate(Arrivals(kind="trace", times=(1.0, 1.0))) is None
    with pytest.raises(InputError, match="empty trace"):
        draw(Arrivals(kind="trace"), 3, np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["poisson", "gamma", "periodic"])
def test_a_process_needs_a_rate(kind):
    with pytest.raises(InputError, match=f"no rate, expected that of {kind}"):
        draw(Arrivals(kind=kind, cv=1.0), 3, np.random.default_rng(0))
    assert mean_rate(Arrivals(kind=kind)) is None


PROCESSES = (
    Arrivals(kind="poisson", rate=3.0),
    Arrivals(kind="gamma", rate=3.0, cv=2.0),
    Arrivals(kind="mmpp", rates=(1.0, 9.0), dwell=(2.0, 1.0)),
    Arrivals(kind="periodic", rate=3.0, jitter=0.2),
    Arrivals(kind="trace", times=tuple(range(100))),
)


def test_every_kind_is_tested():
    assert {arrivals.kind for arrivals in PROCESSES} == set(module._PROCESSES)


@pytest.mark.parametrize("arrivals", PROCESSES, ids=lambda arrivals: arrivals.kind)
def test_the_same_seed_gives_the_same_times(arrivals):
    first, again, other = (_drawn(arrivals, 100, seed) for seed in (5, 5, 6))
    assert (first == again).all()
    assert arrivals.kind == "trace" or (first != other).any()
