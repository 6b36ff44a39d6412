"""Where the command line prints: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

PIPE_WIDTH = 160
"""Columns of tables that are not printed on a terminal."""
_live: dict[str, Console] = {}


def console() -> Console:
    """The console of stdout; plain text in a pipe."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False)


def chart_width(out: Console) -> int:
    """Columns for a chart: 80, or what a terminal has up to 120."""
    return min(out.width, 120) if out.is_terminal else 80


def error_console() -> Console:
    """The console of stderr; the one of the live display while there is one."""
    return _live.get("console") or Console(file=sys.stderr, highlight=False)


def set_live(live: Console | None) -> None:
    """Name the console that a live display uses, so that messages appear above it."""
    if live is None:
        _live.clear()
    else:
        _live["console"] = live


def print_json(tree: Any) -> None:
    """Print one JSON value on stdout, and nothing else."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(tree, ensure_ascii=not unicode, indent=1) + "\n")
    sys.stdout.flush()


def note(message: str) -> None:
    """Tell people something that is not the result."""
    error_console().print(message, markup=False, highlight=False, soft_wrap=True, style="dim")
