"""The Gantt chart in text."""

from __future__ import annotations

import io

import pytest
from report_plans import bar, hand_evaluation, row, spread_evaluation
from rich.console import Console

from dnnplan.reports.gantt_text import cells, gantt_text
from dnnplan.reports.schedule import Schedule, make_schedule

# 14 ms in 69 columns of 0.203 ms: stem and left end at 5 ms = column 24.6, the first transfer runs from 2
# to 3 ms = columns 9.9 to 14.8, so that column 9 is a small letter.
HAND = """\
cpu ..............aAAAAAAAAAAAAAAAAAAAAAAAAa........................AAAAA   43%
npu AAAAAAAAAAAAAAAAAAAAAAAAA...................AAAAAAAAAAAAAAAa.........   57%
bus .........aAAAAA........................AAAAAa..............AAAAAa....   21%
    |0          |2.5         |5          |7.5        |10 ms
A hand  . idle, 14 ms in all"""


def _plain(text) -> str:
    return "\n".join(line.rstrip() for line in text.plain.splitlines())


def test_chart_of_the_hand_made_plan():
    assert _plain(gantt_text(make_schedule(hand_evaluation()), width=80)) == HAND


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ["tiny/hand", "multi/3x20x4-ccr1", "layered/50x4-ccr0.5-host"])
def test_no_line_is_wider_than_asked(name, width):
    lines = gantt_text(make_schedule(spread_evaluation(name)), width=width).plain.splitlines()
    assert max(map(len, lines)) <= width


def test_a_cell_shows_the_network_with_most_of_its_time():
    drawn = cells(row(bar(0, 0.0, 1.4), bar(1, 1.4, 2.0), bar(1, 3.0, 3.25)), latency=4.0, columns=4)
    assert drawn == [(0, 1.0), (1, 1.0), (-1, 0.0), (1, 0.25)]


def test_the_last_moment_is_inside_the_chart():
    assert cells(row(bar(0, 0.0, 3.0)), latency=3.0, columns=3) == [(0, 1.0)] * 3


def test_colours_are_escape_codes_on_a_terminal_only():
    chart = gantt_text(make_schedule(hand_evaluation()))
    outputs = []
    for terminal in (True, False):
        stream = io.StringIO()
        Console(
            file=stream, force_terminal=terminal, color_system="truecolor" if terminal else None, width=80
        ).print(chart)
        outputs.append(stream.getvalue())
    assert "\x1b[" in outputs[0]
    assert "\x1b[" not in outputs[1]
    assert "A hand" in outputs[1]


def test_an_empty_plan_says_so():
    empty = Schedule(name="", rows=(), networks=(), latency=0.0)
    assert gantt_text(empty).plain == "nothing to draw: the plan has no calls"


def test_control_characters_in_names_are_not_printed():
    evil = row(bar(0, 0.0, 1.0))
    evil.name = "d\x1b[2J"
    schedule = Schedule(name="", rows=(evil,), networks=("n\x07",), latency=1.0)
    assert not any(ord(c) < 32 and c != "\n" for c in gantt_text(schedule).plain)
