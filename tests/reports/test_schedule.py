"""Rows and bars."""

from __future__ import annotations

from itertools import pairwise

import pytest
from report_plans import hand_evaluation, spread_evaluation

from dnnplan.reports.gantt_text import gantt_text
from dnnplan.reports.schedule import MOST_LINKS, make_schedule


def test_rows_of_the_hand_made_plan():
    schedule = make_schedule(hand_evaluation())
    assert [(r.name, r.kind, len(r.bars)) for r in schedule.rows] == [
        ("cpu", "device", 2),
        ("npu", "device", 4),
        ("bus", "link", 3),
    ]
    assert schedule.networks == ("hand",)
    assert schedule.latency == pytest.approx(0.014)
    assert schedule.bound is None


@pytest.mark.parametrize("name", ["multi/3x20x4-ccr1", "layered/50x4-ccr0.5-host", "layered/50x8-ccr5"])
def test_bars_of_one_lane_do_not_overlap_and_all_are_there(name):
    evaluation = spread_evaluation(name)
    schedule = make_schedule(evaluation)
    bars = sum(len(r.bars) for r in schedule.rows)
    moving = sum(t.end > t.start for t in evaluation.times.transfers)
    assert bars == len(evaluation.graph.device) + moving
    for row in schedule.rows:
        assert row.lanes == 1 + max((bar.lane for bar in row.bars), default=0)
        for lane in range(row.lanes):
            own = [bar for bar in row.bars if bar.lane == lane]
            assert all(a.end <= b.start for a, b in pairwise(own))


def test_pictures_show_the_busiest_links_and_traces_all():
    schedule = make_schedule(spread_evaluation("layered/50x8-ccr5"))
    drawn = [row for row in schedule.drawn_rows if row.kind == "link"]
    hidden = [row for row in schedule.used_rows if row.kind == "link" and row not in drawn]
    assert len(drawn) == MOST_LINKS
    assert hidden
    assert min(row.share for row in drawn) >= max(row.share for row in hidden)
    assert f"... and {len(hidden)} links that are less busy" in gantt_text(schedule).plain


def test_without_overlap_compute_is_only_a_part_of_a_bar():
    schedule = make_schedule(spread_evaluation("layered/50x4-ccr0.5-host"))
    bars = [bar for row in schedule.rows if row.kind == "device" for bar in row.bars]
    assert any(bar.compute[0] > bar.start for bar in bars)
    assert any(bar.compute[1] < bar.end for bar in bars)
    assert all(bar.start <= bar.compute[0] <= bar.compute[1] <= bar.end + 1e-12 for bar in bars)
