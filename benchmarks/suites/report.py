"""The pages of `dnnplan report`: how soon a browser has them open, and how large their files are."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Measurement
from benchmarks.report_measurements import PAGES

SUMMARY = "reports: seconds until Chromium has a page of 1,000 rows open, and its size (needs Chromium and playwright)"
MODULE = "benchmarks.report_measurements"


def cases() -> Iterator[Measurement]:
    """Time and size of each page."""
    for page in PAGES:
        yield Measurement(name=f"open:{page}", module=MODULE, seconds=60.0)
        yield Measurement(name=f"size:{page}", module=MODULE, seconds=30.0)
