"""How long networks and their kernels take on each device: alone, and while the other devices work too."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dnnplan.costs.profile.trace import KernelTimes, read_trace
from dnnplan.deploy.calibrate.networks import Network
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.sessions import made_up, open_session, pinned, runtime_errors, short
from dnnplan.instances.errors import InputError

ROUNDS = 4
"""How often all phases are gone through, each time with sessions that are opened anew: what slows the machine for a
while does not fall on one phase alone, and a network may take a quarter longer in one session than in the next."""
LEAST, MOST = 2, 20
"""Runs in one phase of one round."""
MOST_EVENTS = 400_000
"""Events of one trace; the profiler keeps a million."""
WARM_UP = 2


@dataclass(frozen=True)
class Timing:
    """A network on a device under one condition.

    Attributes
    ----------
    whole
        (runs,) seconds of a run without profiling.
    kernels
        Times of each kernel, with profiling.
    """

    whole: np.ndarray
    kernels: tuple[KernelTimes, ...]

    @property
    def seconds(self) -> float:
        """Median of a run."""
        return float(np.median(self.whole))


@dataclass(frozen=True)
class Round:
    """A network on a device in one pair of sessions, with the other devices idle (`alone`) and busy (`together`).

    Attributes
    ----------
    in_turn
        Seconds of a run after one of another network, with the other devices idle: caches hold other numbers then.
    optimised
        The graph as the runtime optimised it.
    """

    alone: Timing
    together: Timing
    in_turn: float
    optimised: Path


@dataclass(frozen=True)
class Timings:
    """A network on a device, in several rounds of fresh sessions; seconds are means over the rounds."""

    network: str
    device: str
    rounds: tuple[Round, ...]

    @property
    def alone(self) -> float:
        """Seconds of a run with the other devices idle."""
        return float(np.mean([one.alone.seconds for one in self.rounds]))

    @property
    def together(self) -> float:
        """Seconds of a run while the other devices work."""
        return float(np.mean([one.together.seconds for one in self.rounds]))

    @property
    def in_turn(self) -> float:
        """Seconds of a run after one of another network, with the other devices idle."""
        return float(np.mean([one.in_turn for one in self.rounds]))


def time_networks(
    networks: Sequence[Network],
    places: Mapping[str, Seat],
    folder: Path,
    *,
    seconds: float = 20.0,
    between: Callable[[], object] = lambda: None,
) -> dict[tuple[str, str], Timings]:
    """Time every network on every device.

    Parameters
    ----------
    places
        The seat of each device.
    folder
        An empty folder for traces.
    seconds
        About how long all of it may take.
    between
        Called after each round but the last.

    Returns
    -------
    dict
        By network and device.
    """
    found: dict[tuple[str, str], list[Round]] = {}
    runs = None
    for number in range(ROUNDS):
        if number:
            between()
        trials = {
            device: [
                _Trial(network, device, seat, folder, (number, i, j)) for j, network in enumerate(networks)
            ]
            for i, (device, seat) in enumerate(places.items())
        }
        runs = runs or _runs_of_a_phase(list(trials.values()), seconds)
        _one_round(list(trials.values()), runs)
        for own in trials.values():
            for trial in own:
                found.setdefault((trial.network.name, trial.device), []).append(trial.round())
    return {(name, device): Timings(name, device, tuple(own)) for (name, device), own in found.items()}


def _runs_of_a_phase(trials: Sequence[Sequence[_Trial]], seconds: float) -> int:
    """Runs of each network in a phase, so that all rounds take about some seconds."""
    one_round = sum(3 * trial.estimate for own in trials for trial in own)
    one_round += max(sum(2 * trial.estimate for trial in own) for own in trials)
    most_kernels = max(trial.kernels for own in trials for trial in own)
    runs = int(np.clip(seconds / ROUNDS / one_round, LEAST, MOST))
    return max(1, min(runs, MOST_EVENTS // (2 * (most_kernels + 1))))


def _one_round(trials: Sequence[Sequence[_Trial]], runs: int) -> None:
    """All phases: each device alone, its networks in turn, and all devices at once."""
    for own in trials:
        with pinned(own[0].seat.cores[:1]):
            for trial in own:
                trial.block(runs, together=False)
            for trial in list(own) * (runs + 1):
                trial.run(profiled=False, condition="in turn")
    _Together(trials, runs).run()


@dataclass
class _Runs:
    """Runs of a session: which of them count for which condition."""

    seconds: list[float] = field(default_factory=list)
    condition: list[str] = field(default_factory=list)

    def mask(self, condition: str) -> np.ndarray:
        return np.array([one == condition for one in self.condition], dtype=bool)


class _Trial:
    """The two sessions of a network on a device: without a profile, and with one."""

    def __init__(
        self, network: Network, device: str, seat: Seat, folder: Path, at: tuple[int, int, int]
    ) -> None:
        self.network, self.device, self.seat = network, device, seat
        label, stem = f"network {network.name!r} on device {device!r}", "-".join(map(str, at))
        self.optimised = folder / f"{stem}.onnx"
        with pinned(seat.cores):
            self.plain = open_session(network.data, seat, label)
            self.traced = open_session(
                network.data,
                seat,
                label,
                optimised=self.optimised,
                enable_profiling=True,
                profile_file_prefix=str(folder / stem),
            )
        self.feeds = {
            value.name: made_up(value.name, value.type, value.shape, network.batch)
            for value in self.plain.get_inputs()
        }
        self.runs = {True: _Runs(), False: _Runs()}
        with pinned(seat.cores[:1]):
            for _ in range(WARM_UP):
                self.run(profiled=True, condition="")
                self.run(profiled=False, condition="")
        self.estimate = self.runs[False].seconds[-1]
        self.kernels = max(1, len(parse_nodes(self.optimised)))

    def run(self, *, profiled: bool, condition: str) -> None:
        session = self.traced if profiled else self.plain
        start = time.perf_counter()
        try:
            session.run(None, self.feeds)
        except runtime_errors() as error:
            name = self.network.name
            raise RunError(f"network {name!r} fails on device {self.device!r}: {short(error)}") from None
        self.runs[profiled].seconds.append(time.perf_counter() - start)
        self.runs[profiled].condition.append(condition)

    def block(self, runs: int, *, together: bool) -> None:
        """Runs of each session, the first of which only brings its numbers into the caches."""
        for profiled in (True, False):
            self.run(profiled=profiled, condition="")
            for _ in range(runs):
                self.run(profiled=profiled, condition="together" if together else "alone")

    def round(self) -> Round:
        """What was timed; the sessions are closed."""
        trace = Path(self.traced.end_profiling())
        whole, traced = self.runs[False], self.runs[True]
        in_turn = float(np.median(np.array(whole.seconds)[whole.mask("in turn")]))
        found = []
        for condition in ("alone", "together"):
            kernels = tuple(read_trace(trace, traced.mask(condition)))
            found.append(Timing(np.array(whole.seconds)[whole.mask(condition)], kernels))
        trace.unlink()
        del self.plain, self.traced
        return Round(found[0], found[1], in_turn, self.optimised)


def parse_nodes(path: Path) -> list[str]:
    """Names of the nodes of an optimised graph."""
    from dnnplan.instances.formats.onnx.safety import ReadLimits, load_model

    return [node.name for node in load_model(path, ReadLimits()).graph.node]


class _Together:
    """All devices at once, each starting with another network; who is done early goes on until all are."""

    def __init__(self, trials: Sequence[Sequence[_Trial]], runs: int) -> None:
        self.trials, self.runs = trials, runs
        self.ended = threading.Semaphore(0)
        self.done = threading.Event()
        self.errors: list[BaseException] = []

    def run(self) -> None:
        """Returns when every device has been through all of its networks; raises what any of them raised."""
        threads = [
            threading.Thread(target=self._work, args=(at,), daemon=True) for at in range(len(self.trials))
        ]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                self.ended.acquire()
                if self.errors:
                    break
        finally:
            self.done.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join()
        if self.errors:
            raise self.errors[0]

    def _work(self, at: int) -> None:
        own = self.trials[at]
        turn = at % len(own)
        try:
            with pinned(own[0].seat.cores[:1]):
                for trial in (*own[turn:], *own[:turn]):
                    if not self.done.is_set():
                        trial.block(self.runs, together=True)
                self.ended.release()
                self._go_on(own)
        except BaseException as error:
            self.errors.append(error)
            self.ended.release()

    def _go_on(self, own: Sequence[_Trial]) -> None:
        for trial in itertools.cycle(own):
            if self.done.is_set():
                return
            trial.run(profiled=False, condition="")


def check_seats(places: Mapping[str, Seat]) -> None:
    """Refuse devices that share cores: what they take alone is not what they take together.

    Raises
    ------
    InputError
        Two devices have a core in common.
    """
    taken: dict[int, str] = {}
    for device, seat in places.items():
        for core in seat.cores:
            if core in taken:
                raise InputError(
                    f"devices {taken[core]!r} and {device!r} share core {core}: nothing to calibrate"
                )
            taken[core] = device
