"""`make bench-all`: every suite into its store, then every page and picture of results.

What is there is not run again, so that it can be stopped and started at any time; `--list` says what it does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import growth, report, serving_page
from benchmarks.runner import run_suite
from benchmarks.status import duration
from benchmarks.suites import SUITES, suite_seconds
from dnnplan.instances import DnnplanError

RESULTS = Path("benchmarks/results")
PAGES: dict[str, tuple[str, ...]] = {
    "selection": ("selection",),
    "mapping": (
        "real-networks", "energy", "memory", "device-placement", "h2h", "saga", "auckland", "hetero-dag", "fjsp",
        "hax-conn", "rates", "scale",
    ),
    "tasks": ("antler", "fronts", "sharing-scale", "conditional", "choosing", "tasks", "sop", "ssp", "sop-long"),
    "predictors": ("predictors", "this-machine"),
    "serving": ("serving",),
}  # fmt: skip
"""Suites that share a page; every other one has a page of its own."""
FIRST = ("smoke", "harness", "speed", "limits", "selection")
"""What finds trouble soon comes first; what takes hours, last."""
LAST = ("sop", "fjsp", "h2h", "joint", "sop-long")


def order() -> list[str]:
    """All suites in the order in which they are run."""
    between = [name for name in SUITES if name not in (*FIRST, *LAST)]
    return [name for name in (*FIRST, *between, *LAST) if name in SUITES]


def pages() -> dict[str, tuple[str, ...]]:
    """All pages, each with its suites."""
    grouped = {name for suites in PAGES.values() for name in suites}
    return PAGES | {name: (name,) for name in SUITES if name not in grouped}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all that is missing, write all pages; 1 if rows failed or a page could not be written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the suites and how long they may take")
    parser.add_argument("--pages", action="store_true", help="only write pages, from the stores there are")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stores and pages")
    asked = parser.parse_args(arguments)
    if asked.list:
        for name in order():
            sys.stdout.write(f"{name:<18} at most {duration(suite_seconds(name))}\n")
        return 0
    failed = []
    if not asked.pages:
        failed += [name for name in order() if not _run(name, asked.results)]
        if growth.main(["--output", "docs/images/growth.svg"]):
            failed.append("growth.svg")
    failed += _write_pages(asked.results)
    if failed:
        sys.stderr.write(f"not all is well: {', '.join(failed)}\n")
    return 1 if failed else 0


def _run(name: str, results: Path) -> bool:
    """Whether all rows of a suite are good; one that fails does not keep the others from running."""
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    try:
        rows = run_suite(name, results / f"{name}.sqlite", on_row=lambda row: _say(row.instance, row.solver))
    except DnnplanError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return False
    return all(row.status != "error" for row in rows)


def _say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def _write_pages(results: Path) -> list[str]:
    """What could not be written."""
    failed = []
    for page, suites in pages().items():
        stores = [str(path) for name in suites if (path := results / f"{name}.sqlite").is_file()]
        # Suites of published data have no rows where the data are not.
        if stores and report.main([*stores, "--output", str(results / f"{page}.md")]):
            failed.append(f"{page}.md")
    grid = results / "serving.sqlite"
    if grid.is_file() and serving_page.main([str(grid), "--output", "docs/images/serving-grid.png"]):
        failed.append("serving-grid.png")
    return failed


if __name__ == "__main__":
    sys.exit(main())
