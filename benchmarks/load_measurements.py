"""Limits under load: memory of readers on large inputs, and time limits of solvers on a busy machine.

    python -m benchmarks.load_measurements --output benchmarks/results/limits-under-load.md

Recorded, not tested: both depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dnnplan
from benchmarks.fuzzing.feeding import peak
from benchmarks.machine import describe_machine, machine_line
from dnnplan.instances.errors import DnnplanError
from dnnplan.instances.files import dumps
from dnnplan.instances.generators import generate

MIB = 2**20
BUSY = 4
"""Processes that keep the processors busy."""
SOLVED = (
    ("layered", 20, "cpsat"),
    ("layered", 60, "auto"),
    ("layered", 60, "milp"),
    ("layered", 60, "anneal"),
)


def valid_json(path: Path) -> None:
    """An instance of 20,000 layers."""
    path.write_text(dumps(generate("chain", 20_000, devices=4)))


def numbers_json(path: Path) -> None:
    """16 MiB of small numbers in an unknown member."""
    path.write_text('{"format_version": "1.0", "x": [' + "1," * (8 * MIB) + "1]}")


def objects_json(path: Path) -> None:
    """8 MiB of empty objects."""
    path.write_text('{"format_version": "1.0", "models": [' + "{}," * (8 * MIB // 3) + "{}]}")


def deep_json(path: Path) -> None:
    """A million brackets."""
    path.write_text('{"format_version": "1.0", "x": ' + "[" * MIB + "]" * MIB + "}")


def large_json(path: Path) -> None:
    """300 MiB, of which nothing is kept on the disk."""
    with path.open("wb") as file:
        file.truncate(300 * MIB)


def list_yaml(path: Path) -> None:
    """1 MiB of YAML list."""
    path.write_text('format_version: "1.0"\nx:\n' + "- 1\n" * (MIB // 4))


def packed_npz(path: Path) -> None:
    """A gibibyte of zeros in a megabyte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("x.npy", "w") as member:
        for _ in range(1024):
            member.write(bytes(MIB))


FILES: dict[str, Callable[[Path], None]] = {
    "valid.json": valid_json,
    "numbers.json": numbers_json,
    "objects.json": objects_json,
    "deep.json": deep_json,
    "large.json": large_json,
    "list.yaml": list_yaml,
    "bomb.npz": packed_npz,
}


def read(path: Path) -> str:
    """What becomes of a file, in a word."""
    from dnnplan.costs.predict.files import load_model
    from dnnplan.instances.files import read_instance

    try:
        load_model(path) if path.suffix == ".npz" else read_instance(path, format="native")
    except DnnplanError as error:
        return type(error).__name__
    return "read"


def measured(path: Path) -> dict[str, float | str]:
    """Outcome, seconds and memory in MiB above that of the imports, in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.load_measurements", "--read", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    found: dict[str, float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def read_here(path: Path) -> None:
    """Print what `measured` returns."""
    dnnplan.load("tiny/hand")
    before, began = peak(), time.perf_counter()
    outcome = read(path)
    grown = (peak() - before) / MIB
    print(json.dumps({"outcome": outcome, "seconds": time.perf_counter() - began, "grown": grown}))


@contextmanager
def busy() -> Iterator[None]:
    """Keep the processors busy meanwhile."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_spin, daemon=True) for _ in range(BUSY)]
    for one in others:
        one.start()
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.join()


def _spin() -> None:
    while True:
        sum(range(10_000))


def overruns(limit: float) -> list[float]:
    """Seconds over the limit of each solver of `SOLVED`."""
    found = []
    for family, layers, solver in SOLVED:
        instance = generate(family, layers, devices=4, seed=1)
        began = time.perf_counter()
        dnnplan.solve(instance, solver, time_limit=limit, workers=1)
        found.append(time.perf_counter() - began - limit)
    return found


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path)
    parser.add_argument("--read", type=Path)
    options = parser.parse_args()
    if options.read is not None:
        read_here(options.read)
        return 0
    lines = [
        "# Limits under load",
        "",
        f"{machine_line(describe_machine())}. `python -m benchmarks.load_measurements`",
        "",
    ]
    lines += [
        "## Memory of readers",
        "",
        "| file | MiB | outcome | s | memory, MiB | times the file |",
        "|---|---:|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, make in FILES.items():
            path = Path(folder) / name
            make(path)
            size, row = path.stat().st_size / MIB, measured(path)
            grown = float(row["grown"])
            what = (make.__doc__ or "").rstrip(".")
            lines.append(
                f"| {what} | {size:.1f} | {row['outcome']} | {row['seconds']:.2f} | {grown:.0f} | {grown / size:.1f} |"
            )
            path.unlink()
    overruns(0.5)  # compiled and loaded
    lines += ["", "Memory is what the process grew by while it read."]
    lines += ["", f"## Time limits, alone and beside {BUSY} busy processes", ""]
    lines += ["| solver | limit, s | over it alone, s | under load, s |", "|---|---:|---:|---:|"]
    for limit in (1.0, 3.0):
        alone = overruns(limit)
        with busy():
            loaded = overruns(limit)
        lines += [
            f"| {solver}, {layers} layers | {limit:g} | {a:.2f} | {b:.2f} |"
            for (_, layers, solver), a, b in zip(SOLVED, alone, loaded, strict=True)
        ]
    lines += ["", "Below 0: the search ended before its limit, with a proof or because it had no more to do."]
    options.output.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
