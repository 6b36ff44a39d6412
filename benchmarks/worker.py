"""The process that runs one job: reads it from standard input, answers in JSON on standard output.

A process of its own makes peak memory a property of the job, and a crash of a native library costs one row.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from benchmarks.case import Answer, Job, Measured
from dnnplan.instances import DnnplanError

BEGIN, SOLVED = b"begin\n", b"solved\n"
"""What a process waits for once it has read its job, and what it says before the plan is judged."""


def main() -> None:
    """Run the one job on standard input."""
    # Native solvers print to descriptor 1 as they like; the answer goes to a copy of it.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    serve(sys.stdin.buffer, os.fdopen(answer_to, "wb"))


def serve(question: BinaryIO, answer: BinaryIO) -> None:
    """Read the job, run it, and answer; end at once when nobody waits for the answer any more."""
    first_to_go()
    job = msgspec.json.decode(question.readline(), type=Job)
    if question.readline() != BEGIN:
        os._exit(1)
    threading.Thread(target=_end_with_parent, args=(question.fileno(),), daemon=True).start()

    def solved() -> None:
        answer.write(SOLVED)
        answer.flush()

    found = run_job(job, solved)
    with answer:
        answer.write(msgspec.json.encode(found))


def first_to_go() -> None:
    """Where memory runs out, the system is to end this process, not the one that keeps the store."""
    # Not Linux, or not allowed: the system chooses then.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def run_job(job: Job, solved: Callable[[], None] = lambda: None) -> Answer:
    """Solve or measure; whatever goes wrong becomes the answer's `error`.

    Parameters
    ----------
    solved
        Called when the search is over, before its plan is judged.
    """
    try:
        answer = _measure(job) if job.measure else _solve(job, solved)
    except DnnplanError as error:
        answer = Answer(error=f"{type(error).__name__}: {error}", ended="error")
    except Exception as error:
        import traceback

        # To the log of the run; the row only says what it was.
        traceback.print_exc()
        answer = Answer(error=f"{type(error).__name__}: {error}", ended="error")
    return msgspec.structs.replace(answer, peak_memory=peak_memory())


def _solve(job: Job, solved: Callable[[], None]) -> Answer:
    from dnnplan.costs.check import check
    from dnnplan.solvers import solve
    from dnnplan.solvers.facade import with_objective

    assert job.instance is not None
    began = time.perf_counter()
    result = solve(
        job.instance,
        job.solver,
        problem=job.problem or None,
        objective=job.objective or None,
        limits=job.limits or None,
        time_limit=job.time_limit,
        workers=job.workers,
        seed=job.seed,
    )
    seconds = time.perf_counter() - began
    solved()
    violations: tuple[str, ...] | None = None
    if result.plan is not None:
        # The plan as a file would hold it, so that the verdict is one on what is stored.
        plan = msgspec.json.decode(msgspec.json.encode(result.plan), type=type(result.plan))
        asked = with_objective(job.instance, job.objective or None, job.limits or None)
        # The plan is for the instance as it was given; it is judged by what was asked of it.
        plan = msgspec.structs.replace(plan, instance=asked.hash())
        measures = result.measures or None
        violations = tuple(str(v) for v in check(asked, plan, cost=result.cost, measures=measures))
    return Answer(result=result, violations=violations, seconds=seconds)


def _measure(job: Job) -> Answer:
    began = time.perf_counter()
    found: Measured = importlib.import_module(job.module).measure(job.measure)
    return Answer(**found._asdict(), seconds=time.perf_counter() - began)


def peak_memory() -> int | None:
    """Largest resident set of this process or of one it started, bytes; None: the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return max(_own_peak() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, children)


def _own_peak() -> int | None:
    """VmHWM: on Linux `ru_maxrss` also remembers the size of the parent at the time of the fork."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _end_with_parent(question: int) -> None:
    """The question ends when the runner is gone, however it went; nobody waits for the answer then."""
    while os.read(question, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
