"""Measurements of reports: until a browser has drawn a page, from an empty cache, and the size of its file."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.browser import chromium, missing, open_report
from benchmarks.case import Measured
from benchmarks.synthetic_rows import synthetic_rows
from dnnplan.instances import MissingDependencyError
from dnnplan.reports.html.document import Document
from dnnplan.reports.html.page import page
from dnnplan.reports.html.plan_document import plan_document
from dnnplan.reports.html.store_document import store_document

SECONDS, BYTES = 2.0, 10_000_000.0
REPEATS = 5


def rows_page() -> Document:
    """A store of 1,000 rows in four suites."""
    return store_document(synthetic_rows(1000), name="1,000 rows")


def plan_page() -> Document:
    """A plan of 10,000 layers on 16 devices."""
    from dnnplan.instances.catalogue import load_bundled
    from dnnplan.solvers import solve

    instance = load_bundled("layered/10000x16-ccr1")
    result = solve(instance, "heft", time_limit=60)
    assert result.plan is not None
    return plan_document(instance, result.plan, result)


PAGES: dict[str, Callable[[], Document]] = {"1000-rows": rows_page, "10000-layers": plan_page}


def measure(name: str) -> Measured:
    """``open:PAGE`` or ``size:PAGE``."""
    what, _, which = name.partition(":")
    text = page(PAGES[which]())
    return opening(text) if what == "open" else size(text)


def size(text: str) -> Measured:
    """Bytes of the file."""
    found = float(len(text.encode()))
    return Measured(found, "bytes", BYTES, found <= BYTES, "everything included, Plotly too")


def opening(text: str) -> Measured:
    """Seconds from navigation until all charts of the page are drawn: the median of several, each in a new context.

    Raises
    ------
    MissingDependencyError
        There is no browser, or nothing to drive it.
    """
    lacking = missing()
    if lacking is not None:
        raise MissingDependencyError(lacking)
    seen, complete = [], []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        for _ in range(REPEATS + 1):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            opened = open_report(context, path)
            times = opened.evaluate(
                "() => [+document.documentElement.dataset.ready, +document.documentElement.dataset.complete]"
            )
            seen.append(times[0] / 1000)
            complete.append(times[1] / 1000)
            context.close()
        version = browser.version
    # The first page warms the browser up, not the page: contexts share no cache.
    found = statistics.median(complete[1:])
    note = (
        f"all charts drawn, median of {REPEATS}; what is in the window after {statistics.median(seen[1:]):.2f} s; "
        f"at most {max(complete[1:]):.2f} s; first page of a new browser {complete[0]:.2f} s; Chromium {version}"
    )
    return Measured(found, "s", SECONDS, found <= SECONDS, note)
