"""Tables and pictures of policies."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from dnnplan.instances.errors import InputError
from dnnplan.instances.loading import load
from dnnplan.reports.serving_text import Setting, estimate_text, footnote, heading, overload, runs_table
from dnnplan.serving.metrics import Estimate

pytest.importorskip("numba")

INSTANCE = """{"format_version": "1.2", "name": "two", "models": [{"name": "net", "layers":
[{"name": "a", "exit": "early", "devices": {"fix": "dsp"}}, {"name": "b", "devices": {"fix": "npu"}}],
"tensors": [{"name": "t", "source": "a", "targets": ["b"]}]}],
"platform": {"devices": [{"name": "dsp"}, {"name": "npu"}],
"links": [{"name": "bus", "source": "dsp", "target": "npu"}]},
"costs": {"batch_latency": {"early": {"1": 0.002, "4": 0.005}, "final": {"1": 0.003, "4": 0.006}}},
"workload": {"streams": [{"name": "door", "task": "net", "slo": 0.02, "exits": {"early": 0.5},
"arrivals": {"kind": "poisson", "rate": 600}}]}}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from dnnplan.costs.serving import serving_problem
    from dnnplan.serving.draws import draw_samples
    from dnnplan.serving.runs import chosen_policies, run_policies

    path = tmp_path_factory.mktemp("reports") / "two.json"
    path.write_text(INSTANCE)
    problem = serving_problem(load(path))
    policies, _ = chosen_policies("serial,greedy,timeout,clockwork", problem, 2000)
    return list(run_policies(problem, policies, draw_samples(problem, 2000), log=True))


def _cells(table, title):
    column = next(c for c in table.columns if str(c.header).startswith(title))
    return [str(cell) for cell in column.cells]


def test_intervals_are_rounded_to_what_they_say():
    assert estimate_text(Estimate(0.0123456, 0.0122, 0.0125), 1e-3) == "12.35 ± 0.15"
    assert estimate_text(Estimate(1234.5, 1200.0, 1269.0)) == "1234 ± 34"
    assert estimate_text(Estimate(5.30291, 5.30290, 5.30292)) == "5.303 ± 0.000"
    assert estimate_text(Estimate(0.0, 0.0, 0.0), 0.01) == "0"
    assert estimate_text(Estimate(0.5)) == "0.5"
    assert estimate_text(Estimate(math.nan)) == "-"


def test_the_best_of_a_column_is_marked(runs):
    table = runs_table(runs)
    marked = [cell.rstrip().endswith("*") for cell in _cells(table, "mean [")]
    means = [run.figures.mean_latency.value for run in runs]
    best = min(range(3), key=lambda k: means[k])
    assert runs[3].figures.drop_rate.value > 0
    assert marked == [k == best for k in range(4)], "the one that drops is not compared"
    rates = [run.figures.slo_violation_rate.value for run in runs]
    marked = [cell.rstrip().endswith("*") for cell in _cells(table, "violated")]
    assert marked.index(True) == rates.index(min(rates))
    assert "policies that drop have no mark there" in footnote([run.figures for run in runs])


def test_columns_without_figures_are_left_out(runs):
    titles = [str(column.header) for column in runs_table(runs).columns]
    assert any(title.startswith("dropped") for title in titles)
    titles = [str(column.header) for column in runs_table(runs[:2]).columns]
    assert not any(title.startswith("dropped") for title in titles)
    narrow = [str(column.header) for column in runs_table(runs, width=80).columns]
    assert len(narrow) < len(titles)
    assert narrow[0] == "policy"


def test_one_policy_has_no_marks(runs):
    assert not any("*" in cell for column in runs_table(runs[:1]).columns for cell in map(str, column.cells))


def test_heading_and_overload():
    setting = Setting(
        name="two", arrivals="poisson:0.7", samples=20_000, seed=3, load=0.7, capacity=512.34, bound=0.00123
    )
    first, second = heading(setting)
    assert first == "two: 20,000 samples, poisson:0.7, seed 3"
    assert (
        second == "load 0.7 (capacity 512.3 samples/s); no mean latency of all samples can be below 1.23 ms"
    )
    assert heading(replace(setting, load=None, bound=None, name=""))[0].startswith("20,000 samples")
    assert len(heading(replace(setting, load=None, bound=None))) == 1
    assert "objective 20 ms" in heading(replace(setting, objectives=(0.02,)))[1]
    assert overload(0.99) is overload(None) is None
    assert overload(1.2).startswith("load 1.2: more samples come than can be served")


def _texts(path):
    return [e.text for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_has_policies_objective_devices_and_stages(runs, tmp_path):
    pytest.importorskip("matplotlib")
    from dnnplan.reports.serving_figure import write_serving

    for name in ("a.svg", "b.svg"):
        write_serving(runs, tmp_path / name, title="two $x$", window=(0.5, 0.6))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    texts = _texts(tmp_path / "a.svg")
    for wanted in ("objective 20 ms", "net/early", "net/final", "arrival", "99 %", "two $x$", "latency [ms]"):
        assert wanted in texts, wanted
    assert any(text.startswith("clockwork: ") and "dropped" in text for text in texts)
    assert any("time since 500 ms" in text for text in texts)
    assert texts.count("npu") == texts.count("dsp") == 3


def test_the_busiest_window_has_most_arrivals(runs):
    pytest.importorskip("matplotlib")
    from dnnplan.reports.serving_figure import busiest_window

    start, end = busiest_window(runs[0])
    assert end - start == pytest.approx(12 * 0.005)
    arrival = runs[0].done.samples.arrival
    within = ((arrival >= start) & (arrival <= end)).sum()
    others = [((arrival >= a) & (arrival <= a + 0.9 * (end - start))).sum() for a in arrival]
    assert within >= max(others) - 3


def test_runs_without_batches_have_latencies_only(runs, tmp_path):
    pytest.importorskip("matplotlib")
    from dnnplan.reports.serving_figure import shown_runs, write_serving

    bare = [replace(run, done=replace(run.done, batches=None)) for run in runs]
    assert shown_runs(bare) == []
    write_serving(bare, tmp_path / "x.svg")
    assert "net/early" not in _texts(tmp_path / "x.svg")
    assert len(shown_runs(runs)) == 3
    with pytest.raises(InputError, match="expected an end after the start"):
        write_serving(runs, tmp_path / "y.svg", window=(2.0, 1.0))


def test_nines():
    from dnnplan.reports.serving_figure import nines

    assert nines(np.array([0.0, 0.9, 0.99])) == pytest.approx([0, 1, 2])
