"""A process that has imported everything and forks one child a job, so that a row does not wait for imports.

Each child is a process of its own: what it holds, breaks or prints is its own, and nothing of an earlier row is in it.
Imported modules are there before; compiled kernels are loaded by each child for itself.

On the control socket come messages of eight bytes: ``F.......`` with three descriptors (the child's end of a socket for
question and answer, a log, a pipe for its state), or ``K`` and the number of a child to kill. Into the pipe go the
child's number and, once it has ended, its wait status. When the control socket ends, all children are killed.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import sys
from contextlib import suppress

MESSAGE = 8
_PR_SET_PDEATHSIG = 1
_LIBRARIES = ("numpy", "scipy.sparse", "numba", "ortools.sat.python.cp_model", "highspy", "pulp")


def main() -> None:
    """Serve the control socket whose descriptor is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C goes to the whole group; this process ends when the one that started it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _preload()
    Zygote(control).serve()


class Zygote:
    """The loop: one thread, since a process with several cannot be forked safely."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._states: dict[int, int] = {}
        self._woken, wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(wake, False)
        self._wake = wake
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def serve(self) -> None:
        """Fork and collect until nobody asks any more."""
        events = selectors.DefaultSelector()
        events.register(self._control, selectors.EVENT_READ)
        events.register(self._woken, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is not self._control:
                    with suppress(BlockingIOError):
                        os.read(self._woken, 4096)
                elif not self._obey(events):
                    for child in self._states:
                        kill_tree(child)
                    return
            self._collect()

    def _obey(self, events: selectors.BaseSelector) -> bool:
        """Do what the next message says; False where there is none and never will be."""
        message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE, 3)
        if len(message) < MESSAGE:
            return False
        if message[:1] == b"K":
            child = int(message[1:])
            if child in self._states:
                kill_tree(child)
            return True
        channel, log, state = descriptors
        child = os.fork()
        if child == 0:
            self._become_child(events, channel, log, state)
        os.close(channel)
        os.close(log)
        self._states[child] = state
        _say(state, child)
        return True

    def _become_child(self, events: selectors.BaseSelector, channel: int, log: int, state: int) -> None:
        """Never returns."""
        try:
            # First of all: with its parent dead nobody would tell how it ended.
            end_with_parent()
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            events.close()
            self._control.close()
            for descriptor in (self._woken, self._wake, state, *self._states.values()):
                os.close(descriptor)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.set_inheritable(channel, False)
            from benchmarks.worker import serve

            serve(os.fdopen(channel, "rb", closefd=False), os.fdopen(channel, "wb"))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)

    def _collect(self) -> None:
        """Tell how each child that has ended did so; what it started ends with it."""
        for child in list(self._states):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # Before its number is free for others.
            kill_group(child)
            _, status = os.waitpid(child, 0)
            state = self._states.pop(child)
            _say(state, status)
            os.close(state)


def end_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the end of the question does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_group(child: int) -> None:
    """Kill a child and what it started, unless that left its session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def kill_tree(child: int) -> None:
    """Kill a child that runs and all it started, in whatever session; what has lost its parent is not found."""
    started, waiting = [], [child]
    while waiting:
        found = children_of(waiting.pop())
        started += found
        waiting += found
    kill_group(child)
    for process in started:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def children_of(process: int) -> list[int]:
    """Processes that a process has started and that still run, from ``/proc``; none on other systems than Linux."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with suppress(OSError), open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _say(state: int, number: int) -> None:
    # The one who asked may be gone.
    with suppress(BrokenPipeError):
        os.write(state, f"{number}\n".encode())


def _preload() -> None:
    """Import what solvers import when they are used; what cannot be imported is left to the one who needs it."""
    from dnnplan.solvers import kernels
    from dnnplan.solvers.registry import PROBLEMS

    ours = {entry.partition(":")[0] for solvers in PROBLEMS.values() for entry in solvers.values()}
    compiled = {f"{kernels.__name__}.{module.name}" for module in pkgutil.iter_modules(kernels.__path__)}
    for name in (
        *_LIBRARIES,
        *sorted(ours | compiled),
        *_FORMULATIONS,
        "dnnplan.costs.check",
        "benchmarks.worker",
    ):
        with suppress(Exception):
            importlib.import_module(name)
    _rehearse()
    # What is frozen stays out of the collector, whose marks would copy pages that all children share.
    gc.collect()
    gc.freeze()


def _rehearse() -> None:
    """One tiny job from question to answer: what readers and checks make once is then made for all children."""
    import msgspec

    from benchmarks.case import Job
    from benchmarks.worker import run_job
    from dnnplan.instances.catalogue import load_bundled

    job = msgspec.json.encode(Job(instance=load_bundled("tiny/hand"), solver="single_device", time_limit=5.0))
    msgspec.json.encode(run_job(msgspec.json.decode(job, type=Job)))


_FORMULATIONS = tuple(
    f"dnnplan.formulations.{problem}.{back_end}"
    for problem in ("mapping", "grouping", "grouping.selection", "ordering", "joint", "whole", "serving")
    for back_end in ("cpsat", "milp")
)

if __name__ == "__main__":
    main()
