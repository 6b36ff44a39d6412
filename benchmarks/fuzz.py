"""Fuzz every reader, in batches that are recorded as they end; a run that is stopped goes on where it was.

    python -m benchmarks.fuzz --inputs 1000000 --output benchmarks/results/fuzzing.md
    python -m benchmarks.fuzz --reader onnx --inputs 20000 --output benchmarks/results/fuzzing.md
    python -m benchmarks.fuzz --guided 10000 --output benchmarks/results/fuzzing.md      with atheris
    python -m benchmarks.fuzz --recheck --output benchmarks/results/fuzzing.md           are the findings mended?

The record is beside the page, a JSON line for each batch; inputs of findings are in the folder of work.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.page import page
from benchmarks.fuzzing.readers import READERS
from benchmarks.machine import describe_machine, machine_line

BATCH = 5000
LEAST = 10_000
"""Inputs of every reader, at least."""
BATCH_SECONDS = 3600.0


def main() -> int:
    """Run what is still missing, and write the page."""
    options = _options()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    record = options.output.with_suffix(".jsonl")
    names = (
        [options.reader]
        if options.reader
        else [n for n, r in READERS.items() if all(map(find_spec, r.packages))]
    )
    rows = _read(record)
    if options.recheck:
        _recheck(options.work)
    elif options.guided:
        for name in names:
            if (
                sum(row["inputs"] for row in rows if row["reader"] == name and row["engine"] == "atheris")
                < options.guided
            ):
                _add(record, rows, _guided(name, options.guided, options.work))
    elif options.inputs:
        batches = _missing(names, options.inputs, rows, options.least)
        for name, first, last in batches[: options.batches]:
            _add(record, rows, _batch(name, first, last, options.work))
            options.output.write_text(page(rows, machine_line(describe_machine()), _standing(options.work)))
    options.output.write_text(page(rows, machine_line(describe_machine()), _standing(options.work)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reader", choices=list(READERS))
    parser.add_argument("--inputs", type=int, default=0, help="mutated inputs of all readers together")
    parser.add_argument("--least", type=int, default=LEAST, help="mutated inputs of each reader, at least")
    parser.add_argument("--batches", type=int, help="stop after so many batches of 5,000")
    parser.add_argument("--guided", type=int, default=0, help="inputs of each reader under atheris")
    parser.add_argument("--recheck", action="store_true", help="feed the inputs of all findings again")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "dnnplan-fuzzing")
    return parser.parse_args()


def _missing(
    names: list[str], inputs: int, rows: list[dict[str, Any]], least: int
) -> list[tuple[str, int, int]]:
    """Batches that were not run, those of all readers in turn."""
    parts = sum(READERS[name].share for name in names)
    batches = []
    for name in names:
        wanted = max(least, int(inputs * READERS[name].share / parts))
        done = max(
            (row["last"] for row in rows if row["reader"] == name and row["engine"] == "mutation"), default=0
        )
        batches += [
            (turn, name, first, min(first + BATCH, wanted))
            for turn, first in enumerate(range(done, wanted, BATCH))
        ]
    return [batch[1:] for batch in sorted(batches, key=lambda batch: batch[0])]


def _batch(name: str, first: int, last: int, work: Path) -> dict[str, Any]:
    """One batch in a process of its own; if that dies, the input that killed it is a finding, and the rest is run."""
    from benchmarks.fuzzing import feeding

    begin = first
    row: dict[str, Any] = {"accepted": 0, "findings": [], "seconds": 0.0, "slowest": 0.0, "grown": 0}
    while begin < last:
        progress = work / f"{name}.progress"
        progress.write_bytes((begin).to_bytes(8, "little"))
        words = [name, "0", str(begin), str(last), str(work), str(progress)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.fuzzing.feeding", *words],
                capture_output=True,
                text=True,
                timeout=BATCH_SECONDS,
                check=False,
            )
            code, out, said = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            code, out, said = -9, "", "no end"
        lines = [line for line in out.splitlines() if line.startswith('{"accepted"')]
        if code == 0 and lines:
            found = json.loads(lines[-1])
            row = {
                "accepted": row["accepted"] + found["accepted"],
                "findings": row["findings"] + found["findings"],
                "seconds": row["seconds"] + found["seconds"],
                "slowest": max(row["slowest"], found["slowest"]),
                "grown": max(row["grown"], found["grown"]),
            }
            begin = last
        else:
            at = int.from_bytes(progress.read_bytes(), "little")
            row["findings"].append(
                {"number": at, "what": f"the process ended with {code}: {said[-300:]}", "sha": ""}
            )
            begin = at + 1
    seeds = feeding.read_seeds(work, name)
    for finding in row["findings"]:
        _keep(work, name, finding["what"], feeding.input_of(name, seeds, 0, finding["number"]))
    return {"reader": name, "engine": "mutation", "first": first, "last": last, "inputs": last - first, **row}


def _guided(name: str, runs: int, work: Path) -> dict[str, Any]:
    """One reader under atheris."""
    corpus = work / "corpora" / name
    corpus.mkdir(parents=True, exist_ok=True)
    result = work / f"{name}.guided.json"
    result.unlink(missing_ok=True)
    words = [name, str(runs), str(work), str(corpus), str(result)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzzing.guided", *words],
        capture_output=True,
        text=True,
        timeout=BATCH_SECONDS,
        check=False,
    )
    row: dict[str, Any] = {"inputs": 0, "accepted": 0, "seconds": 0, "findings": []}
    if result.is_file():
        row = json.loads(result.read_text())
    for finding in row["findings"]:
        _keep(work, name, finding["what"], bytes.fromhex(finding.pop("input")))
    if done.returncode:
        row["findings"].append({"what": f"atheris ended with {done.returncode}: {done.stderr[-300:]}"})
    cover = [int(n) for n in re.findall(r"cov: (\d+)", done.stderr)]
    edges = {"edges_of_seeds": cover[0], "edges": cover[-1]} if cover else {}
    return {"reader": name, "engine": "atheris", "first": 0, "last": row["inputs"], **row, **edges}


def _keep(work: Path, reader: str, what: str, data: bytes) -> None:
    """Keep one input of each kind of finding."""
    folder = work / "findings" / reader
    folder.mkdir(parents=True, exist_ok=True)
    kind = re.sub(r"[^A-Za-z0-9]+", "-", re.sub(r"\d+|'[^']*'|\([^)]*\)", "", what))[:120]
    (folder / kind).write_bytes(data)


def _standing(work: Path) -> list[str]:
    """Findings that were still there when they were fed the last time."""
    file = work / "standing.json"
    return json.loads(file.read_text()) if file.is_file() else []


def _recheck(work: Path) -> None:
    """Feed the inputs of findings again, and keep which are still there."""
    from benchmarks.fuzzing import feeding

    feeding.limit()
    standing = []
    for folder in sorted((work / "findings").glob("*")):
        reader = READERS[folder.name]
        with feeding.prepared(reader) as place:
            for path in sorted(folder.iterdir()):
                try:
                    feeding.feed(reader, path.read_bytes(), place)
                except feeding.Finding as finding:
                    standing.append(f"{folder.name}: {finding}")
                    print(standing[-1])
    (work / "standing.json").write_text(json.dumps(standing))


def _read(record: Path) -> list[dict[str, Any]]:
    if not record.is_file():
        return []
    return [json.loads(line) for line in record.read_text().splitlines()]


def _add(record: Path, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    rows.append(row)
    with record.open("a") as file:
        file.write(json.dumps(row) + "\n")
    kinds: Iterable[str] = sorted({finding["what"] for finding in row["findings"]})
    print(row["reader"], row["engine"], row["inputs"], "inputs,", row["accepted"], "accepted", flush=True)
    for kind in list(kinds)[:10]:
        print("  ", kind, flush=True)


if __name__ == "__main__":
    sys.exit(main())
