"""A Gantt chart in text: devices and links as rows, networks as letters, colour where there is any."""

from __future__ import annotations

from itertools import groupby

from rich.text import Text

from dnnplan.reports.schedule import Row, Schedule
from dnnplan.reports.units import nice_ticks, number, readable, scale_for

# Okabe and Ito (2008): told apart with every kind of colour vision. Black letters read well on all of them.
COLOURS = ("#56b4e9", "#e69f00", "#00c08b", "#f0e442", "#cc79a7", "#ff8040", "#a0a0ff", "#c8c8c8")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
IDLE = "."
WIDTH = 80
_LONGEST_NAME = 20
_SHARE = 6


def gantt_text(schedule: Schedule, *, width: int = WIDTH) -> Text:
    """Draw a plan in `width` columns.

    A cell shows the network that has most of its time: a capital letter where the row is busy for at least
    half of it, a small one where it is busy for less, a dot where it is idle.

    Examples
    --------
    >>> from dnnplan.reports.schedule import Schedule
    >>> gantt_text(Schedule(name="", rows=(), networks=(), latency=0.0)).plain
    'nothing to draw: the plan has no calls'
    """
    rows = schedule.drawn_rows
    if schedule.latency <= 0 or not any(row.bars for row in rows):
        return Text("nothing to draw: the plan has no calls")
    names = [_clip(row.name) for row in rows]
    margin = max(map(len, names)) + 1
    columns = max(10, width - margin - _SHARE - 1)
    text = Text(no_wrap=True, overflow="crop")
    for row, name in zip(rows, names, strict=True):
        text.append(name.ljust(margin), style="bold" if row.kind == "device" else "dim")
        _append_cells(text, cells(row, schedule.latency, columns))
        text.append(f" {row.share * 100:4.0f}%\n")
    if hidden := len(schedule.used_rows) - len(rows):
        text.append(f"... and {hidden} links that are less busy\n", style="dim")
    text.append(" " * margin + _axis(schedule.latency, columns) + "\n")
    text.append_text(_legend(schedule, width))
    return text


def cells(row: Row, latency: float, columns: int) -> list[tuple[int, float]]:
    """For each column the network that has most of its time (-1: idle), and the part of it that is busy."""
    busy: list[dict[int, float]] = [{} for _ in range(columns)]
    scale = columns / latency
    for bar in row.bars:
        first, last = bar.start * scale, bar.end * scale
        for column in range(int(first), min(columns, int(last) + 1)):
            part = min(last, column + 1) - max(first, column)
            if part > 0:
                busy[column][bar.network] = busy[column].get(bar.network, 0.0) + part
    return [
        (max(parts, key=lambda n: (parts[n], -n)), min(1.0, sum(parts.values()))) if parts else (-1, 0.0)
        for parts in busy
    ]


def network_letter(network: int) -> str:
    """Letter of a network; they repeat after Z."""
    return LETTERS[network % len(LETTERS)]


def _append_cells(text: Text, row: list[tuple[int, float]]) -> None:
    for (symbol, style), run in groupby(row, key=_look):
        text.append(symbol * len(list(run)), style=style)


def _look(cell: tuple[int, float]) -> tuple[str, str]:
    """Symbol and style of a cell."""
    network, share = cell
    if network < 0:
        return IDLE, "dim"
    letter, colour = network_letter(network), COLOURS[network % len(COLOURS)]
    return (letter, f"black on {colour}") if share >= 0.5 else (letter.lower(), colour)


def _axis(latency: float, columns: int) -> str:
    """Round moments under the rows, the unit after the last one."""
    size, unit = scale_for(latency, "s")
    line = [" "] * columns
    free = 0
    for tick in nice_ticks(latency, max(1, columns // 10)):
        label = "|" + number(tick / size)
        at = min(columns - 1, round(tick / latency * columns))
        if at >= free and at + len(label) + 1 + len(unit) <= columns:
            line[at : at + len(label)] = label
            free = at + len(label) + 1
    end = len("".join(line).rstrip())
    return ("".join(line)[:end] + f" {unit}").rstrip()


def _legend(schedule: Schedule, width: int) -> Text:
    text = Text()
    used = 0
    for network, name in enumerate(schedule.networks):
        entry = f"{network_letter(network)} {_clip(name, 30)}  "
        if used and used + len(entry) > width:
            text.append("\n")
            used = 0
        text.append(entry[0], style=f"black on {COLOURS[network % len(COLOURS)]}")
        text.append(entry[1:])
        used += len(entry)
    note = f"{IDLE} idle, {readable(schedule.latency, 's')} in all"
    text.append("\n" if used and used + len(note) > width else "")
    text.append(note, style="dim")
    return text


def _clip(name: str, longest: int = _LONGEST_NAME) -> str:
    printable = "".join(c if c.isprintable() else "?" for c in name)
    if len(printable) <= longest:
        return printable
    tail = (longest - 2) // 2  # names of links differ at their ends
    return f"{printable[: longest - 2 - tail]}..{printable[-tail:]}"
