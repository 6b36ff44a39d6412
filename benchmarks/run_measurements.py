"""Measurements of running split plans: overhead of the runner, and predictions against what was measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Measured
from benchmarks.two_cores import (
    Planned,
    assumed_instance,
    calibrated,
    materialised,
    planned,
    written,
)
from dnnplan.costs.profile.setting import available_cores
from dnnplan.deploy.run import Executor, Seat
from dnnplan.deploy.run.api import checked_pass
from dnnplan.deploy.run.inputs import input_arrays
from dnnplan.deploy.run.priority import ahead_of_others
from dnnplan.deploy.run.report import halves_apart
from dnnplan.deploy.run.sessions import made_up, open_session, pinned
from dnnplan.instances import Plan

PAIRS = (
    ("squeezenet", "shufflenet"),
    ("inception-v1", "squeezenet"),
    ("resnet50", "densenet121"),
)
OVERHEAD = ("squeezenet", "resnet50", "squeezenet:parts")
"""Networks run whole as one part, and one of them as several parts on one device."""
PARTS = 8
MOST_OVERHEAD, OFF, POINTS, MOST_NOISE = 0.03, 0.10, 5.0, 0.03
TURNS, SESSIONS = 80, 5
"""Counted turns of everything; where plans are judged they are spread over so many sets of sessions, opened anew each
time: ShuffleNet takes a quarter longer in one session than in the next."""
SECONDS, SOLVING = 15.0, 15.0
WARM_UP = 5


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        return MEASUREMENTS[kind](rest, Path(folder))


def overhead(what: str, folder: Path) -> Measured:
    """What the runner adds to a network on one core, in percent of onnxruntime running it whole there."""
    name, _, parts = what.partition(":")
    files = materialised([name], folder / "models")
    instance = assumed_instance(files, devices=("core",))
    key = {f"{name}/0/{layer.name}": layer.name for layer in instance.models[0].layers}
    calls = {"all": tuple(key)}
    if parts:
        cuts = np.array_split(np.array(list(key), dtype=object), PARTS)
        calls = {f"part {at}": tuple(cut.tolist()) for at, cut in enumerate(cuts)}
    plan = Plan(
        instance=instance.hash(),
        placement=dict.fromkeys(key, "core"),
        calls=calls,
        order={"core": tuple(calls)},
    )
    one = written(instance, plan, files, folder / "parts")
    seat = Seat(tuple(available_cores()[:1]))
    place = Planned(instance, plan, one.folder, {"core": seat})
    with ahead_of_others(required=False) as first, running(place) as executor, pinned(seat.cores):
        alone = whole_runs(files, seat)
        medians, noise = in_turns({"whole": alone, "runner": lambda: wall(executor.run)}, "whole")
    value = 100 * (medians["runner"] / medians["whole"] - 1)
    note = f"{1e3 * medians['whole']:.3f} ms whole, {len(calls)} parts; A/A noise {100 * noise:.2f} %"
    note += before_others(first)
    if parts:
        return Measured(value, "%", None, None, note)
    return Measured(value, "%", 100 * MOST_OVERHEAD, value <= 100 * MOST_OVERHEAD, note)


def prediction(pair: str, folder: Path) -> Measured:
    """How far the predicted latency of a two-device plan is from the measured one, after calibration, in percent."""
    found = both(pair.split("+"), folder)
    off = 100 * abs(found["predicted"] / found["two"] - 1)
    sessions = f"{SESSIONS} sessions: {1e3 * found['least']:.2f} to {1e3 * found['most']:.2f}"
    note = (
        f"predicted {1e3 * found['predicted']:.2f} ms, measured {1e3 * found['two']:.2f} ms (medians of "
        f"{-(-TURNS // SESSIONS)} in each of {sessions}), "
        f"{found['parts']:.0f} parts, {found['moves']:.0f} transfers; the best core alone {1e3 * found['one']:.2f} ms, "
        f"{1e3 * found['predicted one']:.2f} when calibrated; A/A noise {100 * found['noise']:.2f} %, "
        f"outputs {'equal' if found['apart'] <= 1e-5 else 'DIFFER'}{before_others(bool(found['ahead']))}"
    )
    return Measured(off, "%", 100 * OFF, off <= 100 * OFF and found["apart"] <= 1e-5, note)


def gain(pair: str, folder: Path) -> Measured:
    """How far the gain over the best single core is from the predicted one, in points."""
    found = both(pair.split("+"), folder)
    real = 100 * (1 - found["two"] / found["one"])
    said = 100 * (1 - found["predicted"] / found["predicted one"])
    note = (
        f"gain {real:.1f} %, predicted {said:.1f} %; A/A noise {100 * found['noise']:.2f} %"
        f"{before_others(bool(found['ahead']))}"
    )
    value = abs(real - said)
    if found["noise"] >= MOST_NOISE:
        return Measured(value, "points", POINTS, None, f"{note}: too much to judge")
    return Measured(value, "points", POINTS, value <= POINTS, note)


def both(names: Sequence[str], folder: Path) -> dict[str, float]:
    """Plan, split, calibrate, plan again; then two cores and one core in turns, means over sessions of medians."""
    files = materialised(names, folder / "models")
    first = planned(assumed_instance(files), files, folder / "first", seconds=SOLVING / 3)
    found, second = calibrated(first, files, folder / "second", seconds=SECONDS, solving=SOLVING)
    sessions = [one_session(second, files) for _ in range(SESSIONS)]
    medians = {
        kind: float(np.mean([one["medians"][kind] for one in sessions])) for kind in sessions[0]["medians"]
    }
    two = [one["medians"]["two"] for one in sessions]
    manifest = second.folder.manifest
    return {
        "predicted": second.predicted,
        "predicted one": found.report.best_alone,
        "two": medians["two"],
        "one": min(value for kind, value in medians.items() if kind != "two"),
        "noise": float(np.mean([one["noise"] for one in sessions])),
        "least": min(two),
        "most": max(two),
        "apart": max(one["apart"] for one in sessions),
        "ahead": float(all(one["ahead"] for one in sessions)),
        "parts": float(len(manifest.segments)),
        "moves": float(len(manifest.transfers)),
    }


def one_session(plan: Planned, files: Mapping[str, Path]) -> dict[str, Any]:
    """Two cores and one core in turns, in sessions that are opened anew."""
    with ahead_of_others(required=False) as ahead, running(plan) as executor:
        kinds: dict[str, Callable[[], float]] = {
            f"one {seat.cores[0]}": on_seat(seat, whole_runs(files, seat)) for seat in plan.places.values()
        }
        kinds["two"] = lambda: executor.run().latency
        apart = checked_pass(executor, executor.reference)
        medians, noise = in_turns(kinds, "two", turns=-(-TURNS // SESSIONS))
    return {"medians": medians, "noise": noise, "apart": apart, "ahead": ahead}


def before_others(ahead: bool) -> str:
    """What a note says about other processes."""
    return "; ahead of other processes" if ahead else ""


@contextmanager
def running(plan: Planned) -> Iterator[Executor]:
    """Workers for the parts of a plan."""
    opened = plan.folder
    with Executor(opened.program, opened.files, plan.places, input_arrays(opened.manifest)) as executor:
        yield executor


def whole_runs(files: Mapping[str, Path], seat: Seat) -> Callable[[], float]:
    """A function that runs whole networks one after the other in the calling thread; returns seconds."""
    sessions: list[tuple[Any, dict[str, Any]]] = []
    with pinned(seat.cores):
        for name, path in files.items():
            session = open_session(path, seat, name)
            feeds = {
                value.name: made_up(value.name, value.type, value.shape) for value in session.get_inputs()
            }
            sessions.append((session, feeds))

    def run() -> float:
        return wall(lambda: [session.run(None, feeds) for session, feeds in sessions])

    return run


def on_seat(seat: Seat, run: Callable[[], float]) -> Callable[[], float]:
    """The same with the calling thread on the cores of a seat."""

    def there() -> float:
        with pinned(seat.cores):
            return run()

    return there


def wall(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(
    kinds: Mapping[str, Callable[[], float]], noisy: str, turns: int = TURNS
) -> tuple[dict[str, float], float]:
    """Medians of all kinds, run in turns, and the A/A noise of one: how far its odd and even turns are apart.

    Each turn runs twice and counts once: the first brings its numbers back into the caches that the other kinds have
    filled with theirs.
    """
    series: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(WARM_UP + turns):
        for kind, run in kinds.items():
            run()
            seconds = run()
            if turn >= WARM_UP:
                series[kind].append(seconds)
    return {kind: float(np.median(own)) for kind, own in series.items()}, halves_apart(series[noisy])


MEASUREMENTS: dict[str, Callable[[str, Path], Measured]] = {
    "overhead": overhead,
    "prediction": prediction,
    "gain": gain,
}
