"""One worker a device: a thread on the cores of the device, with a queue for what it is told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dnnplan.costs.profile.setting import pin

GO, STOP = "go", "stop"
"""Words of the main thread to workers; segments, which are told too, come as tuples."""


@dataclass(frozen=True)
class Action:
    """A step made ready: `run` executes its segment, `copies` fill this device's own buffers from those of others."""

    name: str
    waits: frozenset[str]
    copies: tuple[Callable[[], None], ...]
    run: Callable[[], None]
    tells: tuple[str, ...]
    earliest: float


@dataclass(frozen=True)
class Done:
    """What a worker says at the end of a pass: stamps of `time.perf_counter`, or the error that ended it.

    Attributes
    ----------
    stamps
        For each segment: all its inputs are there, its copies are done, it has ended.
    copied
        For each copy, in order: begin and end.
    """

    device: str
    stamps: list[tuple[float, float, float]]
    copied: list[tuple[float, float]]
    segment: str = ""
    error: BaseException | None = None


class Worker(threading.Thread):
    """Runs the segments of one device, pass after pass, until it is told to stop."""

    def __init__(
        self,
        device: str,
        cores: Sequence[int],
        actions: Sequence[Action],
        inboxes: Mapping[str, queue.SimpleQueue[Any]],
        report: queue.SimpleQueue[Done],
    ) -> None:
        super().__init__(name=f"dnnplan-{device}", daemon=True)
        self.device, self.cores = device, cores
        self.actions, self.inboxes, self.inbox, self.report = actions, inboxes, inboxes[device], report
        self.begin = 0.0
        self.current = ""
        self._stopped = False

    def run(self) -> None:
        """Wait for passes; ends when told to, or when a segment fails."""
        try:
            pin(list(self.cores[:1]))
        except Exception as error:  # whatever it is: a worker that says nothing is waited for
            self.report.put(Done(self.device, [], [], "", error))
            return
        arrived: set[str] = set()
        while not self._stopped:
            word = self.inbox.get()
            if word == STOP:
                return
            if word != GO:
                # Another worker has begun the pass earlier, and is done with a segment already.
                arrived.add(word[0])
                continue
            done = self._pass(arrived)
            arrived.clear()
            if not self._stopped:
                self.report.put(done)
            if done.error is not None:
                return

    def _pass(self, arrived: set[str]) -> Done:
        stamps: list[tuple[float, float, float]] = []
        copied: list[tuple[float, float]] = []
        clock, inboxes = time.perf_counter, self.inboxes
        try:
            for action in self.actions:
                self.current = action.name
                if not action.waits <= arrived and not self._wait(action.waits, arrived):
                    break
                if action.earliest and not self._sleep_until(self.begin + action.earliest, arrived):
                    break
                ready = now = clock()
                for copy in action.copies:
                    copy()
                    before, now = now, clock()
                    copied.append((before, now))
                action.run()
                end = clock()
                for device in action.tells:
                    inboxes[device].put((action.name,))
                stamps.append((ready, now, end))
            self.current = ""
            return Done(self.device, stamps, copied)
        except BaseException as error:
            return Done(self.device, stamps, copied, self.current, error)

    def _wait(self, waits: frozenset[str], arrived: set[str]) -> bool:
        """Take messages until all of `waits` have come; False if told to stop."""
        while not waits <= arrived:
            word = self.inbox.get()
            if word == STOP:
                self._stopped = True
                return False
            arrived.add(word[0])
        return True

    def _sleep_until(self, moment: float, arrived: set[str]) -> bool:
        """Take messages until a moment of `time.perf_counter`; False if told to stop."""
        while (left := moment - time.perf_counter()) > 0:
            try:
                word = self.inbox.get(timeout=min(left, threading.TIMEOUT_MAX))
            except queue.Empty:
                continue
            if word == STOP:
                self._stopped = True
                return False
            arrived.add(word[0])
        return True
