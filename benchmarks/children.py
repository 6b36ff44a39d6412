"""Processes for one job each: a fresh interpreter, or a fork of one that has imported everything."""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from benchmarks.zygote import MESSAGE, kill_group, kill_tree

ROOT = Path(__file__).resolve().parent.parent
CAN_FORK = sys.platform == "linux"
"""Elsewhere libraries of the system may not survive a fork, and each solve is a fresh interpreter."""
_LOST: int | None = None


class Child(Protocol):
    """A process that waits for a job.

    Parameters
    ----------
    question, answer
        Where the job goes in, and the answer comes out; the process ends once `question` is closed.
    log
        All that it prints.
    """

    pid: int
    question: BinaryIO
    answer: BinaryIO
    log: BinaryIO

    def kill(self) -> None:
        """End it and what it started; harmless when it has ended."""

    def wait(self) -> int | None:
        """Wait for its end: the exit code, less than 0 for a signal; None: nobody knows any more."""

    def release(self) -> None:
        """It has answered and is about to end: do what has to be done, and do not wait longer than needed."""


class Fresh:
    """An interpreter of its own, which imports for itself."""

    def __init__(self) -> None:
        self.log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.question: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self.answer: BinaryIO = self._process.stdout  # type: ignore[assignment]

    def kill(self) -> None:
        # Its number is its own until `wait`: nothing is collected before.
        kill_tree(self.pid) if hasattr(os, "killpg") else self._process.kill()

    def wait(self) -> int | None:
        if hasattr(os, "waitid"):
            # Looked at and left, so that its number, and the group of that number, are still its own.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            kill_group(self.pid)
        return self._process.wait()

    def release(self) -> None:
        self.wait()


class Forked:
    """A fork of the zygote."""

    def __init__(self, zygote: ZygoteHandle) -> None:
        self._zygote = zygote
        self.log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the child
        ours, theirs = socket.socketpair()
        told, tell = os.pipe()
        self._state = os.fdopen(told, "rb")
        try:
            zygote.send(b"F".ljust(MESSAGE, b"."), (theirs.fileno(), self.log.fileno(), tell))
        finally:
            theirs.close()
            os.close(tell)
        self.question: BinaryIO = ours.makefile("wb")
        self.answer: BinaryIO = ours.makefile("rb")
        ours.close()
        self.pid = int(self._state.readline() or 0)
        if not self.pid:
            zygote.bury()
            raise BrokenPipeError("the process that forks is gone")

    def kill(self) -> None:
        # By its parent, which knows whether the number is still the child's.
        with suppress(OSError):
            self._zygote.send(b"K" + str(self.pid).encode().rjust(MESSAGE - 1, b"0"), ())

    def wait(self) -> int | None:
        with self._state as state:
            status = state.readline()
        if not status:
            # Only a zygote that is dying says nothing; nothing more is to be asked of it.
            self._zygote.bury()
            return _LOST
        return os.waitstatus_to_exitcode(int(status))

    def release(self) -> None:
        # The zygote collects it, and kills what it may have left.
        self._state.close()

    def alive(self) -> bool:
        """Before its job: whether nothing has been said of its end, and its side of the channel is open."""
        return not select.select([self._state, self.answer], [], [], 0)[0]

    def abandon(self) -> None:
        """End it without a job."""
        self._state.close()
        for stream in (self.question, self.answer, self.log):
            with suppress(OSError):
                stream.close()


class ZygoteHandle:
    """The zygote from outside; several threads may use it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.zygote", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=environment(),
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self.process.poll() is None

    def bury(self) -> None:
        """Wait until the system knows that it is dead."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)

    def send(self, message: bytes, descriptors: tuple[int, ...]) -> None:
        with self._lock:
            socket.send_fds(self._control, [message], descriptors)

    def close(self) -> None:
        """End it, and with it all children that still run."""
        self._control.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Current:
    """The zygote of this process: made when first needed, made again when it has died or after a fork.

    One child is forked in advance, while others solve: the next job need not wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: ZygoteHandle | None = None
        self._spare: Forked | None = None
        self._owner = 0
        self._stopped = False

    def zygote(self) -> ZygoteHandle:
        with self._lock:
            if self._stopped:
                raise ChildProcessError("no more processes are started")
            if self._handle is None or self._owner != os.getpid() or not self._handle.alive():
                self._handle, self._owner, self._spare = ZygoteHandle(), os.getpid(), None
            return self._handle

    def child(self) -> Forked:
        """The one that is there, or a new one."""
        zygote = self.zygote()
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.alive():
            return spare
        return Forked(zygote)

    def prepare(self) -> None:
        """Fork one in advance, unless there is one."""
        if self._spare is None and self._owner == os.getpid():
            # The next job finds out what went wrong.
            with suppress(OSError):
                made = Forked(self.zygote())
                with self._lock:
                    self._spare, other = made, self._spare
                if other is not None:
                    # Another thread was as quick.
                    other.abandon()

    def close(self, *, stop: bool) -> None:
        with self._lock:
            self._stopped = stop
            if self._spare is not None and self._owner == os.getpid():
                self._spare.abandon()
            if self._handle is not None and self._owner == os.getpid():
                self._handle.close()
            self._handle = self._spare = None


_CURRENT = _Current()
atexit.register(_CURRENT.close, stop=True)


def start(fresh: bool) -> Child:
    """A process that waits for a job: a fresh one, or where the system can fork one that is warm."""
    if fresh or not CAN_FORK:
        return Fresh()
    try:
        return _CURRENT.child()
    except OSError:
        # What forks died since it was looked at; the next one is new.
        return _CURRENT.child()


def prepare() -> None:
    """Get ready for the next job while one runs."""
    if CAN_FORK:
        _CURRENT.prepare()


def warm_up() -> None:
    """Begin with the imports now, not with the first job."""
    if CAN_FORK:
        _CURRENT.zygote()


def end_all(*, stop: bool = False) -> None:
    """Kill all forked children of this process, and what forks them; `stop`: start no others until called without."""
    _CURRENT.close(stop=stop)


def environment() -> dict[str, str]:
    """The environment and import path of this process, with the root of the checkout in front."""
    path = [str(ROOT), *(os.path.abspath(entry) for entry in sys.path if entry)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


OUTSIDE = tuple(
    -getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)
"""Exit codes of a process that somebody else has ended."""
