"""How far a sweep is, while it runs: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dnnplan.cli.consoles import note, set_live

LINE_SECONDS = 10.0
"""Where there is no terminal, a line at most this often."""
BAR_WIDTH = 30


@contextmanager
def shown() -> Iterator[Callable[[Any], None]]:
    """Yield the function to report the status to."""
    if not sys.stderr.isatty():
        yield _Lines().update
        return
    screen = Console(file=sys.stderr, highlight=False)
    bar = _Bar()
    set_live(screen)
    try:
        with Live(get_renderable=bar.render, console=screen, refresh_per_second=2, transient=True):
            yield bar.update
    finally:
        set_live(None)


class _Lines:
    """For logs: soon after the start, then every ten seconds at most, then the end."""

    def __init__(self) -> None:
        self._next, self._last = 0.0, -1

    def update(self, status: Any) -> None:
        ended = status.done == status.total and status.done != self._last
        if time.monotonic() >= self._next or ended:
            self._next, self._last = time.monotonic() + LINE_SECONDS, status.done
            note(status.line())


class _Bar:
    """For people: a bar, numbers, and what runs."""

    def __init__(self) -> None:
        self._status: Any = None

    def update(self, status: Any) -> None:
        self._status = status

    def render(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        if self._status is not None:
            total = max(1, self._status.total)
            line = Text(self._status.line(), style="cyan", no_wrap=True, overflow="ellipsis")
            grid.add_row(ProgressBar(total=total, completed=self._status.done, width=BAR_WIDTH), line)
        return grid
