"""The progress line, and consoles."""

from __future__ import annotations

import io

from dnnplan.cli.live import ProgressLine, counting_line, progress_line
from dnnplan.solvers import Progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_shows_incumbent_bound_and_gap():
    line = ProgressLine("tiny/hand with auto", "s")
    assert "no plan yet" in line.render().plain
    line.update(Progress(seconds=1.0, value=0.01, bound=0.009, gap=0.1, solver="auto"))
    assert "best 10 ms  bound 9 ms  gap 10 %  tiny/hand with auto" in line.render().plain
    line.update(Progress(seconds=1.0, value=None, bound=0.009, gap=None, solver="auto"))
    assert "best -  bound 9 ms  gap -" in line.render().plain


def test_quiet_in_a_pipe(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with progress_line("x", "s") as report:
        assert report is None
    assert stream.getvalue() == ""


def test_live_on_a_terminal(monkeypatch):
    stream = _Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress_line("the instance", "s") as report:
        assert report is not None
        report(Progress(seconds=1.0, value=0.01, bound=None, gap=None, solver="heft"))
    assert "the instance" in stream.getvalue()


def test_counting_on_a_terminal_and_in_a_pipe(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with counting_line("draws") as report:
        assert report is None
    stream = _Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with counting_line("draws") as report:
        assert report is not None
        report(3, 10)
    assert "3 of 10 draws" in stream.getvalue()
