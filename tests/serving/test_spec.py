"""Arrivals in one word, and CSV files of times."""

from __future__ import annotations

import numpy as np
import pytest
from serving_cases import affine_problem, random_problem

from dnnplan.costs.serving import capacity
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.arrivals import draw, mean_rate
from dnnplan.serving.spec import arrivals_of, read_trace, scaled, shares

ONE = affine_problem(1.0, 1.0, batch=4)


def test_load_1_is_the_capacity():
    (found,) = arrivals_of("poisson:0.7", ONE, 200.0)
    assert found == Arrivals(kind="poisson", rate=140.0)
    (found,) = arrivals_of("gamma:0.5,4", ONE, 200.0)
    assert found == Arrivals(kind="gamma", rate=100.0, cv=4.0)
    (found,) = arrivals_of("periodic:0.5", ONE, 200.0)
    assert (found.rate, found.jitter) == (100.0, 0.0)
    (found,) = arrivals_of("periodic:0.5,0.2", ONE, 200.0)
    assert (found.rate, found.jitter) == (100.0, 0.002)


def test_mmpp_has_two_rates_of_a_ratio_and_stays_in_service_times():
    (found,) = arrivals_of("mmpp:0.6,5,50", ONE, 200.0)
    assert found.rates == pytest.approx((40.0, 200.0))
    assert found.dwell == pytest.approx((0.25, 0.25))
    assert mean_rate(found) == pytest.approx(120.0)
    (found,) = arrivals_of("mmpp:0.6", ONE, 200.0)
    assert found.rates[1] / found.rates[0] == pytest.approx(4.0)
    assert found.dwell == pytest.approx((0.5, 0.5))


def test_streams_keep_their_shares():
    rng = np.random.default_rng(1)
    problem = random_problem(rng, models=3)
    found = arrivals_of("poisson:0.8", problem, capacity(problem))
    rates = np.array([stream.arrivals.rate for stream in problem.streams])
    assert [each.rate for each in found] == pytest.approx(0.8 * capacity(problem) * rates / rates.sum())
    assert shares(problem) == pytest.approx(rates / rates.sum())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("poisson", "expected poisson:LOAD"),
        ("poisson:", "expected poisson:LOAD"),
        ("poisson:much", "expected poisson:LOAD"),
        ("poisson:0.5,1", "expected poisson:LOAD"),
        ("posson:0.5", "expected poisson:LOAD"),
        ("poisson:0", "load 0, expected more than 0"),
        ("poisson:-1", "at least 0"),
        ("poisson:nan", "finite"),
        ("poisson:inf", "finite"),
        ("poisson:1e9", "at most 1000"),
        ("gamma:0.5", "gamma:LOAD,CV"),
        ("gamma:0.5,0", "coefficient of variation 0"),
        ("gamma:0.5,1e6", "at most 100"),
        ("gamma:0.5,1,2", "gamma:LOAD,CV"),
        ("mmpp:0.5,0.5", "ratio 0.5"),
        ("mmpp:0.5,2,0", "stay 0"),
        ("mmpp:0.5,2,3,4", "mmpp:LOAD"),
        ("periodic:0.5,-1", "at least 0"),
    ],
)
def test_wrong_texts_are_named(text, message):
    with pytest.raises(InputError, match=message) as caught:
        arrivals_of(text, ONE, 200.0)
    assert text in str(caught.value)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="x.csv"):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def test_files_of_times(file):
    assert read_trace(file("0\n0.5\n0.5\n2e0\n")).times == (0.0, 0.5, 0.5, 2.0)
    assert read_trace(file("offset_s,tokens\r\n1,7\r\n1.5,8\r\n")).times == (1.0, 1.5)
    assert read_trace(file("tokens,Time\n7,1\n8,1.5\n")).times == (1.0, 1.5)
    assert read_trace(file("when,what\n1,a\n2,b")).times == (1.0, 2.0)
    assert read_trace(file("1\n\n2\n")).times == (1.0, 2.0)


def test_a_file_at_a_load(file):
    file("10\n11\n13\n")
    (found,) = arrivals_of("x.csv", ONE, 200.0)
    assert found.times == (10.0, 11.0, 13.0)
    (found,) = arrivals_of("x.csv@0.5", ONE, 200.0)
    assert mean_rate(found) == pytest.approx(100.0)
    assert found.times == pytest.approx((0.0, 0.01 * 2 / 3, 0.02))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty trace"),
        ("\n\n", "empty trace"),
        ("time\n", "empty trace"),
        ("0\n1\n0.5\n", "line 3: 0.5 s after 1 s, expected times in order"),
        ("0\none\n", 'line 2: "one", expected a time'),
        ("0\n-1\n", "line 2"),
        ("0\nnan\n", "line 2"),
        ("0\ninf\n", "line 2"),
        ("a,time\n1,1\n2\n", 'line 3: "", expected a time'),
        (b"\xff\xfe0\n", "UTF-8"),
        ('0\n"1\n', "not CSV|expected a time"),
    ],
)
def test_wrong_files_are_named_with_the_line(file, text, message):
    path = file(text)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path)
    assert "x.csv" in str(caught.value)


def test_what_a_file_cannot_be(file, tmp_path):
    file("1\n1\n")
    with pytest.raises(InputError, match="no rate to scale"):
        arrivals_of("x.csv@0.5", ONE, 200.0)
    with pytest.raises(InputError, match="load 0"):
        arrivals_of("x.csv@0", ONE, 200.0)
    with pytest.raises(InputError, match="nothing"):
        arrivals_of("nothing.csv", ONE, 200.0)
    several = random_problem(np.random.default_rng(1), models=3)
    with pytest.raises(InputError, match="a trace is of one stream"):
        arrivals_of("x.csv", several, 200.0)


@pytest.mark.parametrize(
    "arrivals",
    [
        Arrivals(kind="poisson", rate=2.0),
        Arrivals(kind="gamma", rate=2.0, cv=3.0),
        Arrivals(kind="mmpp", rates=(1.0, 3.0), dwell=(5.0, 5.0)),
        Arrivals(kind="periodic", rate=2.0, jitter=0.1),
        Arrivals(kind="trace", times=(0.0, 0.25, 1.0)),
    ],
    ids=lambda arrivals: arrivals.kind,
)
def test_scaling_runs_time_faster(arrivals):
    fast = scaled(arrivals, 10 * mean_rate(arrivals))
    plain = draw(arrivals, 50, np.random.default_rng(1))
    assert draw(fast, 50, np.random.default_rng(1)) == pytest.approx(plain / 10)
    assert mean_rate(fast) == pytest.approx(10 * mean_rate(arrivals))
