"""The Gantt chart as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from report_plans import hand_evaluation, spread_evaluation

from dnnplan.instances import ObjectiveValue, Result, UnsupportedError
from dnnplan.reports.gantt_figure import title, write_gantt
from dnnplan.reports.schedule import make_schedule

pytest.importorskip("matplotlib")


def _result(bound):
    return Result(
        status="feasible",
        stop_reason="time_limit",
        objective=ObjectiveValue(name="latency", value=0.014, unit="s"),
        bound=bound,
        gap=None if bound is None else (0.014 - bound) / 0.014,
    )


def test_png_is_a_png(tmp_path):
    write_gantt(make_schedule(hand_evaluation()), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_svg_holds_the_names_and_the_title_and_is_the_same_every_time(tmp_path):
    schedule = make_schedule(hand_evaluation(), _result(0.013))
    write_gantt(schedule, tmp_path / "a.svg")
    write_gantt(schedule, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    texts = [e.text for e in ElementTree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")]
    for wanted in ("cpu", "npu", "bus", "hand", "stem", "proven bound", "time [ms]", title(schedule)):
        assert wanted in texts


def test_title_says_what_is_known():
    evaluation = hand_evaluation()
    assert title(make_schedule(evaluation)).endswith("latency 14 ms")
    assert title(make_schedule(evaluation, _result(0.013))).endswith("latency 14 ms, bound 13 ms, gap 7.14 %")
    assert title(make_schedule(evaluation, _result(0.014))).endswith("bound 14 ms, proven optimal")


@pytest.mark.parametrize("name", ["layered/50x4-ccr0.5-host", "multi/3x20x4-ccr1"])
def test_other_settings_can_be_drawn(tmp_path, name):
    write_gantt(make_schedule(spread_evaluation(name)), tmp_path / "x.svg")
    assert (tmp_path / "x.svg").stat().st_size > 10_000


def test_names_are_no_formulas(tmp_path):
    schedule = replace(make_schedule(hand_evaluation()), name="a$\\frac$b", networks=("$x_{$\x07",))
    write_gantt(schedule, tmp_path / "x.svg")
    texts = [e.text for e in ElementTree.parse(tmp_path / "x.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "$x_{$?" in texts


def test_files_are_not_overwritten_unless_asked(tmp_path):
    target = tmp_path / "x.svg"
    target.write_text("mine")
    with pytest.raises(FileExistsError, match=r"x\.svg"):
        write_gantt(make_schedule(hand_evaluation()), target)
    assert target.read_text() == "mine"
    write_gantt(make_schedule(hand_evaluation()), target, overwrite=True)
    assert target.read_text() != "mine"


def test_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"\.bmp"):
        write_gantt(make_schedule(hand_evaluation()), tmp_path / "x.bmp")
