"""`python -m benchmarks.report STORE...`: what was to be reached, what was, and all rows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.machine import machine_line
from benchmarks.requirements import judge
from benchmarks.requirements.verdict import NOT_RUN
from benchmarks.tables import markdown_table, summary_markdown, summary_tables
from dnnplan.instances import DnnplanError, InputError
from dnnplan.instances.files import write_text
from dnnplan.reports.runs import Row, Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, or write it to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("stores", nargs="+", metavar="STORE", help="file that a suite was run into")
    parser.add_argument("--output", metavar="FILE", help="Markdown file to write; replaced if it exists")
    parser.add_argument("--table", action="store_true", help="print the rows as tables for a terminal")
    asked = parser.parse_args(arguments)
    try:
        rows = [row for store in asked.stores for row in read_rows(store)]
        if asked.table:
            _print_tables(rows)
        elif asked.output is None:
            sys.stdout.write(report(rows))
        if asked.output is not None:
            Path(asked.output).parent.mkdir(parents=True, exist_ok=True)
            write_text(report(rows), asked.output, overwrite=True)
    except (DnnplanError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _print_tables(rows: Sequence[Row]) -> None:
    # Names are text: brackets in them are no markup.
    console = Console(highlight=False, markup=False)
    for table in summary_tables(rows):
        console.print(table)


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a store that exists.

    Raises
    ------
    InputError
        There is no such file, or it is not a store.
    """
    if not Path(path).is_file():
        raise InputError("no such store; run a suite first: make bench SUITE=selection", source=str(path))
    with Store(path, read_only=True) as store:
        return store.rows()


def report(rows: Sequence[Row]) -> str:
    """The whole report in Markdown."""
    if not rows:
        raise InputError("the store holds no rows; run a suite first: make bench SUITE=selection")
    verdicts = judge(rows)
    reached = sum(v.reached is True for v in verdicts)
    not_run = sum(v.found == NOT_RUN for v in verdicts)
    noisy = sum(v.reached is None for v in verdicts) - not_run
    words = {True: "yes", False: "**no**", None: "-"}
    table = markdown_table(
        ("to reach", "found", "reached"), [(v.requirement, v.found, words[v.reached]) for v in verdicts]
    )
    head = f"# Benchmark results\n\n{_provenance(rows)}\n## To reach\n\n"
    tail = f"\n{reached} of {len(verdicts)} reached"
    tail += f", {not_run} not run" if not_run else ""
    tail += f", {noisy} too noisy to judge.\n" if noisy else ".\n"
    return head + table + tail + "\n## All rows\n\n" + summary_markdown(rows)


def _provenance(rows: Sequence[Row]) -> str:
    """Machines, dates and versions; more than one of a kind is said, not hidden."""
    machines = dict.fromkeys(machine_line(row.machine) for row in rows)
    versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in row.versions.items()) for row in rows)
    times = sorted(row.started_at for row in rows if row.started_at)
    broken = sum(row.valid is False for row in rows)
    lines = [
        *(f"- Machine: {m}" for m in machines),
        *(f"- Versions: {v}" for v in versions),
        f"- Run: {times[0]} to {times[-1]} (UTC)" if times else "- Run: not dated",
        f"- Rows: {len(rows)}, of which `check` refused {broken}",
    ]
    return "".join(line + "\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
