"""What rows say when they are compared: ratios, intervals, profiles, cactus, fits; against numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_rows import few_rows, optimal, row

from dnnplan.reports.comparison import curves, intervals, scaling, words
from dnnplan.reports.comparison.cases import cases_of
from dnnplan.reports.comparison.kinds import kinds_of
from dnnplan.reports.comparison.methods import case_ratios, methods_of
from dnnplan.reports.comparison.pairs import overall, pairs_of


def test_cases_join_the_rows_of_one_question_and_keep_the_newest():
    old = row("a", "heft", 5.0, started_at="2026-01-01")
    rows = [
        old,
        row("a", "heft", 4.0, started_at="2026-01-03"),
        row("a", "cpsat", 3.0),
        row("a", "heft", 1.0, objective="energy"),
    ]
    cases = cases_of(rows)
    assert [case.name for case in cases] == ["a", "a (energy)"]
    assert [run.value for run in cases[0].of("heft")] == [4.0]
    assert cases[0].best == 3.0


def test_time_limits_are_methods_of_their_own_where_there_are_several():
    cases = cases_of(
        [row("a", "auto", 2.0, time_limit=1.0), row("a", "auto", 1.0, time_limit=60.0), row("a", "heft", 3.0)]
    )
    assert cases[0].methods == ("auto 1 s", "auto 60 s", "heft")


def test_refused_and_failed_plans_have_no_value():
    cases = cases_of([row("a", "heft", 1.0, valid=False, status="error"), row("a", "cpsat", 2.0)])
    assert cases[0].best == 2.0
    assert case_ratios(cases, "heft") == [math.inf]


def test_a_run_whose_plan_was_refused_made_no_progress():
    history = ((0.1, 1.0, 0.5), (0.2, 0.9, 0.6))
    refused = row("a", "heft", 0.9, valid=False, status="error", history=history)
    case = cases_of([refused, row("a", "cpsat", 2.0)])[0]
    run = case.of("heft")[0]
    assert run.history == ((0.1, None, 0.5), (0.2, None, 0.6))
    assert curves.gap_at(case, run, [0.3, 5.0]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([optimal("a", "cpsat", 2.0), row("a", "heft", 2.0)], False),
        ([optimal("a", "cpsat", 2.0), row("a", "heft", 2.0 * (1 - 1e-8))], False),
        ([optimal("a", "cpsat", 2.0), row("a", "heft", 1.9)], True),
        ([row("a", "cpsat", 2.0, bound=1.5), row("a", "heft", 1.4)], True),
        ([row("a", "cpsat", 2.0, bound=2.5, sense="max"), row("a", "heft", 2.4, sense="max")], False),
        ([row("a", "cpsat", 2.0, bound=2.5, sense="max"), row("a", "heft", 2.6, sense="max")], True),
        ([row("a", "cpsat", None, status="infeasible"), row("a", "heft", 2.0)], True),
        ([row("a", "cpsat", None, status="infeasible"), row("a", "heft", None)], False),
        ([optimal("a", "cpsat", 2.0), row("a", "heft", 1.9, valid=False, status="error")], False),
    ],
)
def test_a_plan_that_is_better_than_what_is_proven_is_told(rows, wrong):
    cases = cases_of(rows)
    assert cases[0].contradicted is wrong
    text = " ".join(words.what_was_found(cases))
    assert ("In 1 case a plan is BETTER" in text) is wrong
    assert text.endswith("the case a.") is wrong


def test_more_is_better_where_rows_or_bounds_say_so():
    told = cases_of([row("a", "heft", 2.0, sense="max"), row("a", "cpsat", 4.0, sense="max")])[0]
    bounded = cases_of([row("a", "heft", 2.0), row("a", "cpsat", 4.0, bound=5.0)])[0]
    for case in (told, bounded):
        assert case.best == 4.0
        assert case.ratio(2.0) == 2.0


@pytest.mark.parametrize(("value", "best", "ratio"), [(0.0, 0.0, 1.0), (3.0, 2.0, 1.5), (1.0, 0.0, math.inf)])
def test_ratios_of_zero(value, best, ratio):
    case = cases_of([row("a", "heft", value), row("a", "cpsat", best)])[0]
    assert case.ratio(value) == ratio


def test_ratio_of_different_signs_says_nothing():
    case = cases_of([row("a", "heft", 2.0), row("a", "cpsat", -1.0)])[0]
    assert math.isnan(case.ratio(2.0))
    assert pairs_of([case], {"heft": "heuristic", "cpsat": "exact"})[0].ratio is None


def test_kinds_come_from_the_registry_or_from_proofs():
    kinds = kinds_of(
        cases_of(
            [
                row("a", "cpsat", 1.0),
                row("a", "heft", 1.0),
                row("a", "theirs", 1.0),
                optimal("a", "ours", 1.0),
            ]
        )
    )
    assert kinds == {"cpsat": "exact", "heft": "heuristic", "theirs": "heuristic", "ours": "exact"}


def test_a_solver_is_exact_in_the_problem_of_its_rows():
    assert kinds_of(cases_of([row("a", "agglomerative", 1.0, problem="grouping")])) == {
        "agglomerative": "heuristic"
    }


def test_geometric_mean_over_the_pairs_by_hand():
    cases = cases_of(few_rows())
    mean, p = overall(pairs_of(cases, kinds_of(cases)))
    assert mean is not None
    assert mean.mean == pytest.approx((1.0 * 1.2 * 1.5) ** (1 / 3))
    assert mean.low <= mean.mean <= mean.high
    assert p is None


def test_bootstrap_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(60):
        found = intervals.over_instances(np.exp(rng.normal(0.2, 0.3, 25)).tolist())
        assert found is not None
        inside += found.low <= math.exp(0.2) <= found.high
    assert 50 <= inside <= 60


def test_interval_over_seeds_is_students_t():
    found = intervals.over_seeds([1.0, math.e])
    # Logarithms 0 and 1: mean 1/2, standard error 1/2, t of one degree of freedom 12.706.
    assert found.mean == pytest.approx(math.exp(0.5))
    assert math.log(found.high) == pytest.approx(0.5 + 12.706 / 2, rel=1e-4)
    assert intervals.over_seeds([math.inf]) is None


@given(st.lists(st.floats(1.0, 100.0), min_size=1, max_size=12))
def test_intervals_of_anything_positive(ratios):
    found = intervals.over_instances(ratios)
    assert min(ratios) * (1 - 1e-9) <= found.mean <= max(ratios) * (1 + 1e-9)
    assert found.low is None or found.low <= found.mean * (1 + 1e-9)


@given(st.lists(st.one_of(st.floats(1.0, 50.0), st.just(math.inf)), min_size=1, max_size=20))
def test_profiles_are_the_share_of_cases(ratios):
    found = curves.profile(ratios)
    for x, y in zip(found.x, found.y, strict=True):
        assert y == pytest.approx(sum(r <= x * (1 + 1e-12) for r in ratios) / len(ratios))
    assert found.x == sorted(found.x)


def test_cactus_and_times():
    cases = cases_of(few_rows())
    proofs = curves.times_of(cases, "cpsat", curves.seconds_to_proof)
    assert curves.cactus(proofs) == ([1, 2, 3], [2.0, 4.0, 6.0])
    assert curves.times_of(cases, "heft", curves.seconds_to_proof) == [math.inf] * 3
    # Only on the first case is heft as good; its history says when.
    assert curves.times_of(cases, "heft", curves.seconds_to_near) == [0.05, math.inf, math.inf]
    assert curves.time_ratios(cases, "cpsat", curves.seconds_to_near) == [40.0, 1.0, 1.0]


def test_gap_over_time_steps_down_with_the_history():
    case = cases_of(few_rows())[0]
    exact = case.of("cpsat")[0]
    assert curves.gap_at(case, exact, [0.1, 0.5, 1.9, 2.0]) == [1.0, 0.5, 0.5, 0.0]
    band = curves.gap_over_time([case], "cpsat", [0.1, 3.0])
    assert band.middle == [1.0, 0.0]


def test_fit_finds_the_exponent_of_a_power_law_and_leaves_out_stopped_runs():
    rng = np.random.default_rng(1)
    points = [
        scaling.Point(n, 0.01 * n**1.7 * math.exp(rng.normal(0, 0.05)), "", False)
        for n in (10, 20, 40, 80, 160)
    ]
    fit = scaling.fit_power([*points, scaling.Point(1000, 1e-9, "", True)])
    assert fit.cases == 5
    assert fit.low <= 1.7 <= fit.high
    assert scaling.fit_power(points[:3]) is None


def test_words_say_what_the_numbers_say():
    cases = cases_of(few_rows())
    kinds = kinds_of(cases)
    text = " ".join([*words.what_was_run(few_rows(), cases), *words.what_was_found(cases)])
    text += " ".join(words.exact_against_heuristic(pairs_of(cases, kinds)))
    text += words.best_methods(methods_of(cases, kinds))
    assert "The solvers cpsat and heft were run on 3 cases of the suite suite: 6 runs" in text
    assert "All 3 cases have a plan, and all 3 are answered with a proof" in text
    assert "21.6 % worse than the best exact plan" in text
    assert "as good in 1, better in 0 and worse in 2" in text
    assert "The best exact methods took 4 s in the median of these cases, the best heuristics 100 ms." in text
    assert "Nearest to the best known plans is cpsat: as good as them" in text
