"""Running a job in a process of its own, and getting an answer whatever becomes of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import BinaryIO

import msgspec

from benchmarks.case import Answer, Job
from benchmarks.children import OUTSIDE, ROOT, Child, prepare, start
from benchmarks.memory import out_of_memory_kills, tree_memory
from benchmarks.worker import BEGIN, SOLVED
from dnnplan.reports.runs.row import CRASHED, KILLED_MEMORY, KILLED_TIME, LOST
from dnnplan.reports.shown_text import visible
from dnnplan.reports.units import readable

__all__ = ["ROOT", "default_patience", "run_in_process"]

GRACE_SECONDS = 60.0
UNLIMITED_SECONDS = 3600.0
LOG_TAIL = 2000
WATCH_SECONDS = 0.05
"""How often memory is looked at."""
LET_GO_SECONDS = 5.0
"""How long the channel of a process that was killed is waited for; what escaped from it may hold it open."""


def default_patience(time_limit: float | None) -> float:
    """Seconds until a process is killed: twice its limit and a minute, since overruns are to be seen."""
    return UNLIMITED_SECONDS if time_limit is None else 2 * time_limit + GRACE_SECONDS


class _Outline(msgspec.Struct):
    """What is to be known of a job before it is handed on."""

    measure: str = ""
    time_limit: float | None = None


class Turn:
    """One job's place among so many that run at once, from its start until it is solved.

    Before it has the place, its process reads the job; after it has given it back, the plan is judged. The next job
    waits for neither.

    Parameters
    ----------
    free
        Numbers of the places that nobody has.
    """

    def __init__(self, free: SimpleQueue[int]) -> None:
        self._free, self._lock = free, threading.Lock()
        self._held: int | None = None
        self.last = 0

    def take(self) -> None:
        """Wait for a place."""
        self.last = self._held = self._free.get()

    def release(self) -> None:
        """Give it back, if that was not done before."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            self._free.put(held)


def run_in_process(
    job: Job | bytes,
    *,
    patience: float | None = None,
    memory: int | None = None,
    fresh: bool | None = None,
    turn: Turn | None = None,
) -> Answer:
    """Run a job in a process of its own.

    Parameters
    ----------
    job
        The job, or its JSON.
    patience
        Seconds until the process is killed; by default twice the time limit and a minute.
    memory
        Bytes that it and what it starts may hold together before it is killed; looked at twenty times a
        second, so that it may hold more for a moment.
    fresh
        A new interpreter, not a fork of one that has imported everything; by default for measurements.
    turn
        Its place among others; None: it need not wait.

    Returns
    -------
    Answer
        With `error` and `ended` set where the process died, was killed or did not answer.
    """
    text = job if isinstance(job, bytes) else msgspec.json.encode(job)
    outline = msgspec.json.decode(text, type=_Outline)
    patience = default_patience(outline.time_limit) if patience is None else patience
    kills_before = out_of_memory_kills()
    fresh = bool(outline.measure) if fresh is None else fresh
    child = start(fresh)
    with child.log as log:
        conversation = _Conversation(child, text, turn)
        if not fresh:
            prepare()
        try:
            conversation.begin()
            began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
            verdict = _watch(conversation, child, began + patience, memory)
        except BaseException:
            child.kill()
            conversation.end()
            raise
        answer = None if verdict else conversation.answer()
        if answer is not None:
            return msgspec.structs.replace(answer, started_at=started)
        code = conversation.end()
        seconds = time.monotonic() - began
        if verdict == KILLED_TIME:
            error = f"killed: no answer after {patience:g} s"
        elif verdict == KILLED_MEMORY:
            error = f"killed: it held more than {readable(float(memory or 0), 'bytes')}"
        else:
            verdict = _verdict(code, kills_before)
            error = f"{_ending(code)}: {_tail(log.fileno())}"
            if verdict == KILLED_MEMORY:
                error = "killed: the system ran out of memory"
        return Answer(
            error=error, ended=verdict, seconds=seconds, peak_memory=conversation.peak, started_at=started
        )


def _verdict(code: int | None, kills_before: int | None) -> str:
    """Why a process ended that nobody here has killed."""
    if code in OUTSIDE and kills_before is not None and out_of_memory_kills() != kills_before:
        return KILLED_MEMORY
    return LOST if code is None or code in OUTSIDE else CRASHED


class _Conversation:
    """Hands the job over and reads to the end of the answer, in a thread, so that others can watch meanwhile."""

    def __init__(self, child: Child, job: bytes, turn: Turn | None) -> None:
        self.output = b""
        self.peak: int | None = None
        self._child, self._turn, self._begun = child, turn, threading.Event()
        self._thread = threading.Thread(
            target=self._talk, args=(child.question, child.answer, job), daemon=True
        )
        self._thread.start()

    def begin(self) -> None:
        """Wait for its turn, and let the process begin."""
        if self._turn is not None:
            self._turn.take()
        self._begun.set()

    def over(self, seconds: float) -> bool:
        """Wait for so long at most; whether the answer has ended."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def answer(self) -> Answer | None:
        """What it said, if that is an answer; the process is let go then."""
        try:
            found = msgspec.json.decode(self.output, type=Answer)
        except msgspec.DecodeError:
            return None
        with suppress(OSError):
            self._child.question.close()
        self._child.release()
        self._child.answer.close()
        return found

    def end(self) -> int | None:
        """Wait for the process, and how it ended."""
        self._begun.set()
        self._thread.join(LET_GO_SECONDS)
        if self._thread.is_alive():
            self._end_turn()
            return self._child.wait()
        # `question` was open until now: the process ends itself once it is closed, as it is when this one is killed.
        with suppress(OSError):
            self._child.question.close()
        code = self._child.wait()
        self._child.answer.close()
        return code

    def _talk(self, question: BinaryIO, answer: BinaryIO, job: bytes) -> None:
        # What dies in the middle has no answer, or only a part of one.
        try:
            question.write(job + b"\n")
            question.flush()
            self._begun.wait()
            question.write(BEGIN)
            question.flush()
            first = answer.readline()
            if first == SOLVED:
                self._end_turn()
                first = b""
            self.output = first + answer.read()
        except (OSError, ValueError):
            pass
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.release()


def _watch(conversation: _Conversation, child: Child, deadline: float, memory: int | None) -> str:
    """Wait for the end of the answer; kill what takes too long or too much, and say which."""
    while True:
        left = deadline - time.monotonic()
        if conversation.over(left if memory is None else min(left, WATCH_SECONDS)):
            return ""
        if time.monotonic() >= deadline:
            child.kill()
            return KILLED_TIME
        if memory is not None:
            held = tree_memory(child.pid)
            conversation.peak = max(held, conversation.peak or 0)
            if held > memory:
                child.kill()
                return KILLED_MEMORY


def _ending(code: int | None) -> str:
    if code is None:
        return "the process is gone, and so is the one that started it"
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no answer"


def _tail(log: int) -> str:
    """The last line of the log; what cannot be seen is replaced."""
    end = os.lseek(log, 0, os.SEEK_END)
    os.lseek(log, max(0, end - LOG_TAIL), os.SEEK_SET)
    lines = os.read(log, LOG_TAIL).decode(errors="replace").strip().splitlines()
    return visible(lines[-1][:300]) if lines else "nothing in its log"
