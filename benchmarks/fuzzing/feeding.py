"""Feeding a reader with mutated inputs within limits of time and memory, in a process of its own.

Input number k of a run is made from the seed of the run and k alone, so whatever ends the process, the parent knows the
number that was under way and makes the input again.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import mmap
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.readers import READERS, Reader
from dnnplan.instances.errors import DnnplanError, MissingDependencyError

INPUT_SECONDS = 5.0
"""CPU time that one input may take before it is a hang."""
ADDRESS_SPACE = 6 * 2**30
"""Bytes of address space of the process."""
GROWTH = 768 * 2**20
"""Bytes that the largest resident memory may grow over all inputs of a run."""
LONGEST_MESSAGE = 100_000
"""Characters of the message of an error."""
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class TooLong(BaseException):
    """An input that takes more than its time; no reader may catch it."""


class Finding(Exception):
    """What a reader must not do."""


def input_of(reader: str, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """Input `number` of a run."""
    numbers = random.Random(f"{reader}/{seed}/{number}")
    return READERS[reader].mutate(numbers, numbers.choice(seeds), seeds)


def read_seeds(folder: Path, reader: str) -> list[bytes]:
    """Seeds that are kept in a folder; made when they are asked for the first time."""
    place = folder / reader
    if not place.is_dir():
        part = Path(tempfile.mkdtemp(dir=folder))
        for at, data in enumerate(READERS[reader].seeds()):
            (part / f"{at:03d}").write_bytes(data)
        if not any(part.iterdir()):
            raise ValueError(f"{reader}: no seeds")
        part.rename(place)
    return [path.read_bytes() for path in sorted(place.iterdir())]


@contextmanager
def prepared(reader: Reader) -> Iterator[Path]:
    """A folder for a reader, with what it needs."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        if reader.prepare is not None:
            reader.prepare(Path(name))
        yield Path(name)


def feed(reader: Reader, data: bytes, folder: Path) -> bool:
    """Whether the reader accepts an input.

    Raises
    ------
    Finding
        It does anything but that or refusing the input with a typed error of bounded length.
    """
    try:
        reader.feed(data, folder)
    except MissingDependencyError:
        raise
    except DnnplanError as error:
        if len(str(error)) > LONGEST_MESSAGE:
            raise Finding(f"a message of {len(str(error))} characters from {type(error).__name__}") from None
        return False
    except TooLong:
        raise Finding(f"more than {INPUT_SECONDS} s of CPU time: {_where()}") from None
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {str(error)[:200]} at {_where()}") from error
    return True


def _where() -> str:
    """The last lines of the library in the traceback."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    own = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames if "fuzzing" not in f.filename]
    ours = [f for f in own if not f.startswith("<")]
    return " < ".join(reversed(ours[-3:]))


def limit() -> None:
    """Limit memory and the time of one input, for this process."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def end(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGVTALRM, end)


def peak() -> int:
    """Largest resident memory so far, bytes."""
    # Not `ru_maxrss`: on Linux that of a new process begins with that of its parent.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status")


def run(name: str, seed: int, first: int, last: int, folder: Path, progress: Path) -> dict[str, Any]:
    """Feed inputs `first` to `last` - 1 and count what happens; findings are kept, and do not end the run."""
    seeds, reader = read_seeds(folder, name), READERS[name]
    warnings.simplefilter("ignore")
    with progress.open("r+b") as file, mmap.mmap(file.fileno(), 8) as counter, prepared(reader) as place:
        for data in seeds:
            feed(reader, data, place)
        limit()
        base, began, slowest = peak(), time.process_time(), 0.0
        accepted, findings = 0, list[dict[str, Any]]()
        for number in range(first, last):
            counter[:] = number.to_bytes(8, "little")
            data = input_of(name, seeds, seed, number)
            start = time.process_time()
            # The handler runs between byte codes; what hangs in native code is ended by the other timer.
            faulthandler.dump_traceback_later(INPUT_SECONDS * 24, exit=True)
            signal.setitimer(signal.ITIMER_VIRTUAL, INPUT_SECONDS)
            try:
                accepted += feed(reader, data, place)
            except Finding as finding:
                findings.append(
                    {"number": number, "what": str(finding), "sha": hashlib.sha256(data).hexdigest()[:12]}
                )
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            slowest = max(slowest, time.process_time() - start)
        faulthandler.cancel_dump_traceback_later()
        grown = peak() - base
    if grown > GROWTH:
        findings.append({"number": first, "what": f"memory grew by {grown} bytes in this run", "sha": ""})
    return {
        "accepted": accepted,
        "findings": findings,
        "seconds": time.process_time() - began,
        "slowest": slowest,
        "grown": grown,
    }


def main() -> None:
    """READER SEED FIRST LAST SEEDS PROGRESS: run, and print what `run` returns."""
    name, seed, first, last, folder, progress = sys.argv[1:]
    # What readers print or log is of no interest here.
    out = os.fdopen(os.dup(1), "w")
    print(
        json.dumps(run(name, int(seed), int(first), int(last), Path(folder), Path(progress))),
        file=out,
        flush=True,
    )


if __name__ == "__main__":
    main()
