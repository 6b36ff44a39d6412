"""Arrivals in one word, as the command line has them: ``poisson:0.7``, ``gamma:0.7,4``, ``mmpp:0.7,8,50``, a file."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from msgspec.structs import replace

from dnnplan.costs.serving.problem import ServingProblem
from dnnplan.instances.errors import InputError
from dnnplan.instances.files import read_bytes
from dnnplan.instances.json_text import decode_utf8
from dnnplan.instances.sections import Arrivals
from dnnplan.instances.wording import show
from dnnplan.serving.arrivals import mean_rate

MOST_LOAD, MOST_CV, LEAST_STAY = 1000.0, 100.0, 1.0
"""Beyond these, nearly all samples come at once, or states change faster than samples come."""
BURST, STAY = 4.0, 100.0
"""Default of mmpp: how many times the low rate the high one is, and the stay in a state in mean service times."""
COLUMNS = ("time", "times", "offset_s", "arrival", "arrival_s", "timestamp")
"""What a column of times in seconds may be called; without a header the first column is taken."""
USAGE = "expected poisson:LOAD, gamma:LOAD,CV, mmpp:LOAD[,RATIO[,STAY]], periodic:LOAD[,JITTER] or a file, FILE[@LOAD]"


def arrivals_of(text: str, problem: ServingProblem, capacity: float) -> list[Arrivals]:
    """One process for each stream of a problem.

    Parameters
    ----------
    text
        ``poisson:LOAD``; ``gamma:LOAD,CV``, the coefficient of variation of the times between arrivals;
        ``mmpp:LOAD,RATIO,STAY``, two rates of which one is RATIO times the other, each for a mean stay of STAY times
        the mean service time, 1/capacity; ``periodic:LOAD,JITTER``, JITTER in periods; or a CSV file of times in
        seconds, with ``@LOAD`` scaled to a load.
    capacity
        Samples a second at load 1.

    Returns
    -------
    list of Arrivals
        Streams keep their shares of the samples; where they have no rates, shares are equal.

    Raises
    ------
    InputError
        Not one of these, numbers out of range, or a file that is empty, not sorted or not of numbers.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in ("poisson", "gamma", "mmpp", "periodic"):
        numbers = _numbers(text, rest)
        return [_process(kind, text, numbers, share * capacity) for share in shares(problem)]
    if len(problem.streams) > 1:
        raise InputError(
            f"arrivals: {show(text)}: a trace is of one stream, the problem has {len(problem.streams)}"
        )
    name, at, load = text.rpartition("@")
    if not at:
        name, load = text, ""
    if kind in ("poisson", "gamma", "mmpp", "periodic") or (colon and not _is_there(name)):
        raise InputError(f"arrivals: {show(text)}, {USAGE}")
    trace = _named_trace(name, text)
    return [trace if not load else scaled(trace, _numbers(text, load)[0] * capacity)]


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _named_trace(name: str, text: str) -> Arrivals:
    try:
        return read_trace(Path(name))
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{reason}; {USAGE}", source=show(name).strip("'\"")) from None


def shares(problem: ServingProblem) -> list[float]:
    """The part of all samples that each stream sends, adding up to 1."""
    rates = [mean_rate(stream.arrivals) or 0.0 for stream in problem.streams]
    total = sum(rates)
    if total <= 0 or min(rates) <= 0:
        return [1 / len(rates)] * len(rates)
    return [rate / total for rate in rates]


def scaled(arrivals: Arrivals, rate: float) -> Arrivals:
    """A process with another mean rate: time runs faster or slower.

    Raises
    ------
    InputError
        A trace in which no time passes, or a process without a rate.
    """
    known = mean_rate(arrivals)
    if known is None or known <= 0:
        raise InputError("arrivals: no rate to scale, expected at least two times that differ")
    factor = rate / known
    if arrivals.kind == "trace":
        start = arrivals.times[0]
        return replace(arrivals, times=tuple((time - start) / factor for time in arrivals.times))
    return replace(arrivals, rate=rate, jitter=arrivals.jitter / factor)


def _numbers(text: str, rest: str) -> list[float]:
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        raise InputError(f"arrivals: {show(text)}, {USAGE}") from None
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise InputError(f"arrivals: {show(text)}, expected finite numbers of at least 0")
    if not 0 < numbers[0] <= MOST_LOAD:
        raise InputError(
            f"arrivals: {show(text)}: load {numbers[0]:g}, expected more than 0, at most {MOST_LOAD:g}"
        )
    return numbers


def _process(kind: str, text: str, numbers: list[float], unit: float) -> Arrivals:
    """A process at a load, where load 1 are `unit` samples a second."""
    load, *more = numbers
    rate = load * unit
    most = {"poisson": 0, "gamma": 1, "mmpp": 2, "periodic": 1}[kind]
    if len(more) > most or (kind == "gamma" and not more):
        raise InputError(f"arrivals: {show(text)}, {USAGE}")
    if kind == "gamma":
        if not 0 < more[0] <= MOST_CV:
            what = f"coefficient of variation {more[0]:g}, expected more than 0, at most {MOST_CV:g}"
            raise InputError(f"arrivals: {show(text)}: {what}")
        return Arrivals(kind="gamma", rate=rate, cv=more[0])
    if kind == "mmpp":
        ratio, stay = more[0] if more else BURST, (more[1] if len(more) > 1 else STAY)
        if ratio < 1 or stay < LEAST_STAY:
            what = f"ratio {ratio:g} and stay {stay:g}, expected at least 1 and {LEAST_STAY:g}"
            raise InputError(f"arrivals: {show(text)}: {what}")
        low = 2 * rate / (1 + ratio)
        return Arrivals(kind="mmpp", rates=(low, ratio * low), dwell=(stay / unit, stay / unit))
    if kind == "periodic":
        return Arrivals(kind="periodic", rate=rate, jitter=(more[0] if more else 0.0) / rate)
    return Arrivals(kind="poisson", rate=rate)


def read_trace(path: Path) -> Arrivals:
    """Times in seconds from a CSV file, with or without a header.

    Raises
    ------
    InputError
        No times, a cell that is no number of at least 0, or times that go back; the message has the line.
    """
    data, _, label = read_bytes(path)
    rows = csv.reader(io.StringIO(decode_utf8(data, label), newline=""), strict=True)
    column = 0
    times: list[float] = []
    try:
        for row in rows:
            if not row or (not times and rows.line_num == 1 and _is_header(row)):
                names = [name.strip().lower() for name in row]
                column = next((names.index(name) for name in COLUMNS if name in names), 0)
                continue
            times.append(_time(row, column, times, rows.line_num, label))
    except csv.Error as error:
        raise InputError(f"line {rows.line_num} is not CSV: {error}", source=label) from None
    if not times:
        raise InputError("an empty trace, expected times in seconds", source=label)
    return Arrivals(kind="trace", times=tuple(times))


def _is_header(row: list[str]) -> bool:
    try:
        float(row[0])
    except ValueError:
        return True
    return False


def _time(row: list[str], column: int, before: list[float], line: int, label: str | None) -> float:
    try:
        time = float(row[column])
    except (ValueError, IndexError):
        time = math.nan
    if not 0 <= time < math.inf:
        cell = row[column] if column < len(row) else ""
        raise InputError(f"line {line}: {show(cell)}, expected a time in seconds", source=label)
    if before and time < before[-1]:
        raise InputError(
            f"line {line}: {time:g} s after {before[-1]:g} s, expected times in order", source=label
        )
    return time
