"""What people see while a search runs: incumbent, bound, gap and time, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dnnplan.cli.consoles import set_live
from dnnplan.reports.units import percent, readable

if TYPE_CHECKING:
    from dnnplan.solvers import Progress


class ProgressLine:
    """One line that is always current.

    Parameters
    ----------
    what
        What is being solved.
    unit
        Unit of the objective; None: plain numbers.
    """

    def __init__(self, what: str, unit: str | None) -> None:
        self.what, self.unit = what, unit
        self.began = time.perf_counter()
        self.last: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Take note of a better plan or bound; may be called from any thread."""
        self.last = progress

    def render(self) -> Text:
        """The line."""
        seconds = time.perf_counter() - self.began
        parts = [f"{seconds:5.1f} s"]
        if self.last is None:
            parts.append("no plan yet")
        else:
            parts.append(f"best {readable(self.last.value, self.unit)}")
            parts.append(f"bound {readable(self.last.bound, self.unit)}")
            parts.append(f"gap {percent(self.last.gap)}")
        parts.append(self.what)
        return Text("  ".join(parts), style="cyan", no_wrap=True, overflow="ellipsis")


@contextmanager
def progress_line(what: str, unit: str | None = None) -> Iterator[Callable[[Progress], None] | None]:
    """Show a line on stderr while the block runs; yields the function to report to (None in a pipe)."""
    if not sys.stderr.isatty():
        yield None
        return
    line = ProgressLine(what, unit)
    with _shown(line.render):
        yield line.update


@contextmanager
def counting_line(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how many of how many are done; yields the function to report both to (None in a pipe)."""
    if not sys.stderr.isatty():
        yield None
        return
    began, counts = time.perf_counter(), [0, 0]

    def update(done: int, of: int) -> None:
        counts[:] = done, of

    def render() -> Text:
        seconds = time.perf_counter() - began
        text = f"{seconds:5.1f} s  {counts[0]} of {counts[1] or '?'} {what}"
        return Text(text, style="cyan", no_wrap=True, overflow="ellipsis")

    with _shown(render):
        yield update


@contextmanager
def _shown(render: Callable[[], Text]) -> Iterator[None]:
    """Keep a line on stderr current while the block runs."""
    screen = Console(file=sys.stderr, highlight=False)
    set_live(screen)
    try:
        with Live(get_renderable=render, console=screen, refresh_per_second=5, transient=True):
            yield
    finally:
        set_live(None)
