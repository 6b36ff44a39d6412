"""Requests and events as JSON lines: reading, running several at once, cancelling (docs/embedding.md)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgspec

from dnnplan.instances.errors import DnnplanError, FormatError, InputError, Problem
from dnnplan.instances.json_text import parse_json
from dnnplan.instances.pipe_records import Id, PipeError, PipeEvent, PipeProgress, PipeRequest
from dnnplan.instances.validation.structure import decode
from dnnplan.solvers.cancellation import Cancellation
from dnnplan.solvers.search import Progress

MOST_BYTES = 16 * 2**20
"""Of a line; longer ones are an error, and passed over."""
MOST_WAITING = 100
"""Requests that wait for their turn; further ones are an error."""
MOST_UNREAD = 1_000
"""Events that nobody has read from which on progress is not written."""


@dataclass(frozen=True, kw_only=True)
class PipeLimits:
    """What a peer may ask for.

    Parameters
    ----------
    at_once
        Requests that run at the same time.
    waiting
        Requests that wait for their turn.
    line
        Bytes of a line.
    seconds
        Longest time limit of a request, and that of requests without one; None: theirs.
    workers
        Most threads of a request.
    """

    at_once: int = 1
    waiting: int = MOST_WAITING
    line: int = MOST_BYTES
    seconds: float | None = None
    workers: int = 1


class Outbox:
    """Events on their way out, written by one thread, so that nobody who reports waits for a slow reader."""

    def __init__(self, stream: BinaryIO, gone: Callable[[], None]) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stream, self._gone = stream, gone
        self._thread = threading.Thread(target=self._write, name="dnnplan-pipe", daemon=True)
        self._thread.start()

    def put(self, event: PipeEvent) -> None:
        """Write an event; one of progress only if the reader keeps up."""
        if event.event != "progress" or self._queue.qsize() < MOST_UNREAD:
            self._queue.put(_line(event))

    def close(self) -> None:
        """Wait until everything is written."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        open_ = True
        while (line := self._queue.get()) is not None:
            try:
                if open_:
                    self._stream.write(line)
                    self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more
                open_ = False
                self._gone()


def _line(event: PipeEvent) -> bytes:
    tree = msgspec.to_builtins(event)
    if event.result is not None and event.result.plan is not None:
        plan = event.result.plan
        # So that it can be cut out and read as a plan.
        tree["result"]["plan"] = {"format_version": plan.format_version, **tree["result"]["plan"]}
    return msgspec.json.encode(tree) + b"\n"


@dataclass(eq=False)
class _Asked:
    """A request that runs or waits, and its place in the queue."""

    request: PipeRequest
    cancel: Cancellation = field(default_factory=Cancellation)
    turn: Future[None] | None = None


class Server:
    """Reads requests until the end of its input, and runs some at a time."""

    def __init__(self, limits: PipeLimits, output: BinaryIO) -> None:
        self.limits = limits
        self.outbox = Outbox(output, self.cancel_all)
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="dnnplan-pipe")
        # What is cancelled while it waits is answered at once, whoever else runs.
        self._cancelled = ThreadPoolExecutor(1, thread_name_prefix="dnnplan-pipe-cancelled")
        self._known: dict[str | int, _Asked] = {}
        self._lock = threading.Lock()

    def serve(self, stream: BinaryIO) -> None:
        """Until the end of the stream; then what runs or waits is finished."""
        try:
            while line := self._next(stream):
                self._take(line)
        except KeyboardInterrupt:
            self.cancel_all()
            raise
        finally:
            self._pool.shutdown()
            self._cancelled.shutdown()
            self.outbox.close()

    def cancel_all(self) -> None:
        """Ask everything that runs or waits to end."""
        with self._lock:
            for asked in self._known.values():
                asked.cancel.set()

    def _next(self, stream: BinaryIO) -> bytes:
        """The next line that is not empty and not too long; nothing at the end."""
        while line := stream.readline(self.limits.line + 1):
            if len(line) > self.limits.line and not line.endswith(b"\n"):
                while (rest := stream.readline(self.limits.line)) and not rest.endswith(b"\n"):
                    pass
                self._fail(None, FormatError(f"a line of more than {self.limits.line} bytes"))
            elif line.strip():
                return line
        return b""

    def _take(self, line: bytes) -> None:
        """Begin what a line asks for, or say why not."""
        known: str | int | None = None
        try:
            tree = parse_json(line)
            known = _id_of(tree)
            request, problems = decode(tree, PipeRequest)
            if request is None:
                raise InputError(problems=problems)
            self._begin(request)
        except DnnplanError as error:
            self._fail(known, error)

    def _begin(self, request: PipeRequest) -> None:
        from dnnplan.solvers.versions import versions

        if request.method == "version":
            self.outbox.put(PipeEvent(id=request.id, event="result", versions=versions()))
            return
        with self._lock:
            running = self._known.get(request.id)
            if request.method == "cancel":
                if running is not None:
                    running.cancel.set()
                    if running.turn is not None and running.turn.cancel():
                        running.turn = self._cancelled.submit(self._run, running)
            elif running is not None:
                raise InputError(problems=[Problem("id", f"{request.id!r} is that of a request that runs")])
            elif len(self._known) >= self.limits.at_once + self.limits.waiting:
                busy = PipeError(kind="Busy", message=f"{len(self._known)} requests run or wait")
                self.outbox.put(PipeEvent(id=request.id, event="error", error=busy))
                return
            else:
                asked = self._known[request.id] = _Asked(request)
                asked.turn = self._pool.submit(self._run, asked)
        if request.method == "cancel":
            self.outbox.put(PipeEvent(id=request.id, event="result", cancelled=running is not None))

    def _run(self, asked: _Asked) -> None:
        from dnnplan.cli.pipe_methods import METHODS

        request = asked.request

        def tell(progress: Progress) -> None:
            said = PipeProgress(
                seconds=progress.seconds,
                value=progress.value,
                bound=progress.bound,
                gap=progress.gap,
                solver=progress.solver,
            )
            self.outbox.put(PipeEvent(id=request.id, event="progress", progress=said))

        try:
            done: dict[str, Any] = METHODS[request.method](request, self.limits, asked.cancel, tell)
            event = PipeEvent(id=request.id, event="result", **done)
        except Exception as error:
            event = _failed(request.id, error)
        with self._lock:
            del self._known[request.id]
        self.outbox.put(event)

    def _fail(self, known: str | int | None, error: Exception) -> None:
        self.outbox.put(_failed(known, error))


def _id_of(tree: Any) -> str | int | None:
    """The id of a request that may be wrong elsewhere; None where it has none that an event may have."""
    try:
        found: str | int = msgspec.convert(tree["id"] if isinstance(tree, dict) else None, Id)
    except (KeyError, msgspec.ValidationError):
        return None
    return found


def _failed(known: str | int | None, error: Exception) -> PipeEvent:
    kind = type(error).__name__ if isinstance(error, DnnplanError) else "InternalError"
    message = str(error) if isinstance(error, DnnplanError) else f"{type(error).__name__}: {error}"
    problems = error.problems if isinstance(error, InputError) else ()
    said = PipeError(kind=kind, message=message, problems=problems)
    return PipeEvent(id=known, event="error", error=said)
