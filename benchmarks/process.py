"""Running a job in a process of its own, and getting an answer whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from benchmarks.case import Answer, Job

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 60.0
"""What a process gets beyond twice its time limit before it is killed: overruns are to be seen."""
UNLIMITED_SECONDS = 3600.0
LOG_TAIL = 2000


def run_in_process(job: Job, *, patience: float | None = None) -> Answer:
    """Run a job in a fresh interpreter.

    Parameters
    ----------
    patience
        Seconds until the process is killed; by default twice the time limit and a minute.

    Returns
    -------
    Answer
        With `error` set where the process died, was killed or did not answer.
    """
    if patience is None:
        patience = UNLIMITED_SECONDS if job.time_limit is None else 2 * job.time_limit + GRACE_SECONDS
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=_environment(),
        )
        late = threading.Event()
        timer = threading.Timer(patience, _kill, (process, late))
        timer.start()
        try:
            output = _converse(process, job)
        finally:
            timer.cancel()
            if process.poll() is None:
                process.kill()
            process.wait()
        if late.is_set():
            return Answer(error=f"killed: no answer after {patience:g} s", seconds=patience)
        try:
            return msgspec.json.decode(output, type=Answer)
        except msgspec.DecodeError:
            return Answer(error=f"{_ending(process.returncode)}: {_tail(log.fileno())}")


def _converse(process: subprocess.Popen[bytes], job: Job) -> bytes:
    """Hand the job over and read to the end of the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as question, process.stdout as answer:
        try:
            question.write(msgspec.json.encode(job) + b"\n")
            question.flush()
        except BrokenPipeError:
            return b""
        # `question` stays open: the process ends itself once it is closed, as it is when this one is killed.
        return answer.read()


def _kill(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _environment() -> dict[str, str]:
    """The environment and import path of this process, with the root of the checkout in front."""
    path = [str(ROOT), *(os.path.abspath(entry) for entry in sys.path if entry)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def _ending(code: int) -> str:
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the process ended with code {code} and no answer"


def _tail(log: int) -> str:
    """The last line of the log, without control characters."""
    end = os.lseek(log, 0, os.SEEK_END)
    os.lseek(log, max(0, end - LOG_TAIL), os.SEEK_SET)
    lines = os.read(log, LOG_TAIL).decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing in its log"
