"""Executing a program again and again: sessions and buffers once, then passes."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dnnplan.costs.profile.extras import onnxruntime
from dnnplan.deploy.run.cores import Seat
from dnnplan.deploy.run.errors import RunError
from dnnplan.deploy.run.guard import Guarded, require_timeout, terminate
from dnnplan.deploy.run.program import Program, Step
from dnnplan.deploy.run.sessions import DTYPES, Array, open_session, pinned, runtime_errors, short
from dnnplan.deploy.run.workers import GO, STOP, Action, Done, Worker
from dnnplan.instances.errors import UnsupportedError

ALIGNMENT = 64
NAMES = frozenset(np.dtype(kind).name for kind in DTYPES.values())
"""Types of values that workers can pass on."""
GRACE = 5.0
"""Seconds that workers get to end after they were told to stop."""
POISON = 0xA5
"""Byte that buffers are filled with before a pass that is checked: what is left of it was never computed."""


@dataclass(frozen=True)
class Pass:
    """The times of one pass, seconds from its begin.

    Attributes
    ----------
    latency
        From the moment at which the workers are told to begin to the end of the last segment.
    stamps
        For each segment: all its inputs are there, its copies are done, it has ended.
    copied
        Begin and end of the copy of each (value, device).
    """

    latency: float
    stamps: dict[str, tuple[float, float, float]]
    copied: dict[tuple[str, str], tuple[float, float]]


def begins(program: Program, one: Pass) -> dict[str, float]:
    """When each segment could begin: its device is free, and what it waits for has ended; seconds.

    Cost models count from there: waking up and copying are part of the segment that they are for.
    """
    found = {}
    for steps in program.steps.values():
        free = 0.0
        for step in steps:
            told = max((one.stamps[name][2] for name in step.waits), default=0.0)
            found[step.name] = min(max(free, told, step.earliest), one.stamps[step.name][0])
            free = one.stamps[step.name][2]
    return found


class Executor:
    """Workers, sessions and buffers of a program; use it as a context manager.

    Parameters
    ----------
    files
        The ONNX file of each segment.
    inputs
        Arrays by value, for the inputs of all models.
    timeout
        Seconds after which a pass is given up.
    shared
        Whether devices have cores in common.

    Raises
    ------
    InputError
        A sub-model or a provider that the runtime does not take, or a timeout that threads do not.
    RunError
        A segment fails on these inputs.
    """

    def __init__(
        self,
        program: Program,
        files: Mapping[str, Path],
        seats: Mapping[str, Seat],
        inputs: Mapping[str, Array],
        *,
        timeout: float = 60.0,
        shared: bool = False,
    ) -> None:
        require_timeout(timeout)
        self.program, self.seats, self.timeout = program, seats, timeout
        self.sessions: dict[str, Any] = {}
        self._doing = ""
        term = onnxruntime().RunOptions()
        prepared = Guarded(lambda: self._prepare(files, inputs, term, shared), lambda: terminate([term]))
        self.reference = prepared.wait(timeout, lambda: self._doing)
        self.buffers = {device: self._buffers(steps) for device, steps in program.steps.items()}
        self._report: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._terms: dict[str, Any] = {}
        self._workers: list[Worker] = []
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self) -> Pass:
        """One pass: all segments once.

        Raises
        ------
        RunError
            A segment failed, or the pass took longer than `timeout`; all workers have been stopped.
        """
        if not self._workers:
            raise RunError("the workers have been stopped")
        begin = time.perf_counter()
        for worker in self._workers:
            worker.begin = begin
            worker.inbox.put(GO)
        done: list[Done] = []
        try:
            while len(done) < len(self._workers):
                found = self._report.get(timeout=max(0.0, begin + self.timeout - time.perf_counter()))
                if found.error is not None:
                    self._fail(found)
                done.append(found)
        except queue.Empty:
            # Said before workers are stopped: then they are nowhere.
            late = [(worker.device, worker.current) for worker in self._workers if worker.current]
            self.close()
            where = "; ".join(f"device {device!r} is in segment {segment!r}" for device, segment in late)
            raise RunError(
                f"a pass took longer than {self.timeout:g} s: {where or 'no segment is running'}",
                segment=late[0][1] if late else "",
                device=late[0][0] if late else "",
            ) from None
        except BaseException:
            self.close()
            raise
        return self._pass(begin, done)

    def outputs(self) -> dict[str, Array]:
        """The outputs of the models as the last pass left them, by value."""
        home = self.program.home
        return {value: self.buffers[home[value] or ""][value].copy() for value in self._computed_outputs()}

    def poison(self) -> None:
        """Overwrite everything that a pass computes or copies."""
        for device, own in self.buffers.items():
            for value, array in own.items():
                if self.program.home[value] is not None or (device, value) in self._copied:
                    array.reshape(-1).view(np.uint8)[:] = POISON if array.dtype != np.bool_ else 0

    def close(self) -> None:
        """Stop all workers, also those in the middle of a segment."""
        terminate(list(self._terms.values()))
        for worker in self._workers:
            worker.inbox.put(STOP)
        end = time.perf_counter() + GRACE
        for worker in self._workers:
            worker.join(max(0.0, end - time.perf_counter()))
        self._workers = []

    # -- making ready ---------------------------------------------------------------------------------------

    def _prepare(
        self, files: Mapping[str, Path], inputs: Mapping[str, Array], term: Any, shared: bool
    ) -> dict[str, Array]:
        """Open all sessions; all values of one plain run of the segments, one after the other, inputs included."""
        for device, steps in self.program.steps.items():
            with pinned(self.seats[device].cores):
                for step in steps:
                    if term.terminate:
                        raise RunError("given up")  # whoever waited for it knows
                    self._doing = f"opening segment {step.name!r} of device {device!r}"
                    label = f"segment {step.name!r} of device {device!r}"
                    self.sessions[step.name] = open_session(
                        files[step.name], self.seats[device], label, alone=not shared
                    )
        return self._run_serially(inputs, term)

    def _run_serially(self, inputs: Mapping[str, Array], term: Any) -> dict[str, Array]:
        values = dict(inputs)
        for step in self.program.serial:
            name = step.name
            self._doing = f"segment {name!r} of device {step.device!r}"
            feeds = {inner: values[value] for inner, value in step.inputs}
            try:
                with pinned(self.seats[step.device].cores):
                    found = self.sessions[name].run([inner for inner, _ in step.outputs], feeds, term)
            except runtime_errors() as error:
                raise RunError(
                    f"segment {name!r} of device {step.device!r} fails: {short(error)}",
                    segment=name,
                    device=step.device,
                ) from None
            for (inner, value), array in zip(step.outputs, found, strict=True):
                # By name: the runtime's int64 is another type of numpy's than np.int64.
                if not isinstance(array, np.ndarray) or array.dtype.name not in NAMES:
                    raise UnsupportedError(f"segment {name!r}: output {inner!r} is not a tensor of numbers")
                values[value] = array
        return values

    def _buffers(self, steps: Iterable[Step]) -> dict[str, Array]:
        """The device's own array for each value that it reads or makes; inputs are filled in."""
        own: dict[str, Array] = {}
        for step in steps:
            for _, value in (*step.inputs, *step.outputs):
                if value not in own:
                    own[value] = aligned(self.reference[value])
        return own

    def _start(self) -> None:
        inboxes: dict[str, queue.SimpleQueue[Any]] = {
            device: queue.SimpleQueue() for device, steps in self.program.steps.items() if steps
        }
        self._copied = {
            (device, value)
            for device, steps in self.program.steps.items()
            for step in steps
            for value in step.copies
        }
        for device in inboxes:
            self._terms[device] = onnxruntime().RunOptions()
            actions = [self._action(step) for step in self.program.steps[device]]
            cores = self.seats[device].cores
            self._workers.append(Worker(device, cores, actions, inboxes, self._report))
        for worker in self._workers:
            worker.start()

    def _action(self, step: Step) -> Action:
        own, session = self.buffers[step.device], self.sessions[step.name]
        binding = session.io_binding()
        value_of = onnxruntime().OrtValue.ortvalue_from_numpy
        for inner, value in step.inputs:
            binding.bind_ortvalue_input(inner, value_of(own[value]))
        for inner, value in step.outputs:
            binding.bind_ortvalue_output(inner, value_of(own[value]))
        copies: list[Callable[[], None]] = []
        for value in step.copies:
            source = self.buffers[self.program.home[value] or ""][value]
            copies.append(partial(np.copyto, own[value], source))
        return Action(
            name=step.name,
            waits=step.waits,
            copies=tuple(copies),
            run=partial(session.run_with_iobinding, binding, self._terms[step.device]),
            tells=step.tells,
            earliest=step.earliest,
        )

    # -- what came of a pass --------------------------------------------------------------------------------

    def _computed_outputs(self) -> list[str]:
        return [value for value in self.program.outputs if self.program.home[value] is not None]

    def _fail(self, done: Done) -> None:
        self.close()
        error = done.error
        assert error is not None
        where = (
            f"segment {done.segment!r} of device {done.device!r}"
            if done.segment
            else f"device {done.device!r}"
        )
        raise RunError(f"{where} fails: {short(error)}", segment=done.segment, device=done.device) from error

    def _pass(self, begin: float, done: Iterable[Done]) -> Pass:
        stamps: dict[str, tuple[float, float, float]] = {}
        copied: dict[tuple[str, str], tuple[float, float]] = {}
        for one in done:
            steps = self.program.steps[one.device]
            for step, (ready, compute, end) in zip(steps, one.stamps, strict=True):
                stamps[step.name] = (ready - begin, compute - begin, end - begin)
            keys = [(value, one.device) for step in steps for value in step.copies]
            for key, (start, end) in zip(keys, one.copied, strict=True):
                copied[key] = (start - begin, end - begin)
        latency = max((end for _, _, end in stamps.values()), default=0.0)
        return Pass(latency, stamps, copied)


def aligned(array: Array) -> Array:
    """A contiguous copy that starts at a cache line."""
    raw = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    shift = -raw.ctypes.data % ALIGNMENT
    copy = raw[shift : shift + array.nbytes].view(array.dtype).reshape(array.shape)
    np.copyto(copy, array)
    return copy
