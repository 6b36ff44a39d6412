"""The page of a record of fuzzing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """# Fuzzing of the readers

Everything that reads files or text of others is fed with damaged inputs: by seeded mutations of valid ones (bytes,
trees, lines, fields of protocol buffers, members of archives), and under [atheris](https://github.com/google/atheris),
which keeps inputs that reach new code. An input must be accepted, or refused with a `DnnplanError` whose message is at
most 100,000 characters long. Each batch of 5,000 runs in a process with 6 GiB of address space; an input may take 5 s
of processor time, and resident memory may grow by 768 MiB in a batch. Anything else is a finding.

Short trials before this record found, and regression tests in `tests/fuzz` now hold: damaged `.npz` files (errors of
zipfile, of numpy's tokeniser, members that are no arrays, headers that claim more than the file holds), predictors that
are not UTF-8, stores whose schema is not UTF-8, fronts without values or with whole numbers of hundreds of digits,
optimised graphs whose shapes contradict each other, words for arrivals that are no path. The record begins after most
of these were mended, so it lists only what came later.

Made with `python -m benchmarks.fuzz`; see `SECURITY.md` for what follows from it.
"""


def page(rows: Sequence[Mapping[str, Any]], machine: str, standing: Sequence[str]) -> str:
    """Markdown: a line for each reader, and what was found."""
    names = list(dict.fromkeys(row["reader"] for row in rows))
    total = sum(row["inputs"] for row in rows)
    kinds: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for what in {_kind(finding["what"]) for finding in row["findings"]}:
            kinds[row["reader"], what] += 1
    lines = [HEAD, f"**{total:,} inputs** for {len(names)} readers on {machine}", ""]
    lines += [
        f"Kinds of findings while the readers were mended: {len(kinds)}. Still there after it: **{len(standing)}**.",
        "",
    ]
    lines += [
        "| reader | mutated | under atheris | accepted | CPU s | slowest input, s | memory grew by, MiB "
        "| edges: seeds, reached |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in sorted(names):
        own = [row for row in rows if row["reader"] == name]
        lines.append(_line(name, own))
    if kinds:
        lines += ["", "## What was found", "", "| reader | what |", "|---|---|"]
        lines += [f"| {name} | `{what.replace('|', ' ')}` |" for name, what in sorted(kinds)]
    if standing:
        lines += ["", "## Still there", "", *(f"- {text}" for text in standing)]
    return "\n".join(lines) + "\n"


def _line(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    inputs = {
        engine: sum(row["inputs"] for row in rows if row["engine"] == engine)
        for engine in ("mutation", "atheris")
    }
    accepted = sum(row["accepted"] for row in rows) / max(1, sum(inputs.values()))
    seconds = sum(row["seconds"] for row in rows)
    slowest = max((row.get("slowest", 0.0) for row in rows), default=0.0)
    measured = [row["grown"] / 2**20 for row in rows if "grown" in row]
    grown = f"{max(measured):.0f}" if measured else ""
    edges = next((f"{row['edges_of_seeds']}, {row['edges']}" for row in rows if "edges" in row), "")
    return (
        f"| {name} | {inputs['mutation']:,} | {inputs['atheris']:,} | {accepted:.0%} | {seconds:.0f} | {slowest:.2f} "
        f"| {grown} | {edges} |"
    )


def _kind(what: str) -> str:
    """A finding without what changes from input to input."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", what.split(" at ")[0].split(": {")[0])
    where = what.rsplit(" at ", 1)[-1] if " at " in what else ""
    return re.sub(r"\d{2,}", "N", text)[:110] + (f" at {re.sub(r':[0-9]+', '', where)}" if where else "")
