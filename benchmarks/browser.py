"""Chromium without a screen, for tests and measurements of reports."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
READY = "html[data-complete]"
"""What the root of a report is once all of its charts are drawn."""


def find_chromium() -> str | None:
    """The program: what the environment variable DNNPLAN_CHROMIUM says, else one on the path."""
    return os.environ.get("DNNPLAN_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def missing() -> str | None:
    """What is not there, in words; None: pages can be opened."""
    if importlib.util.find_spec("playwright") is None:
        return "needs playwright: pip install playwright"
    if find_chromium() is None:
        return "needs Chromium: apt-get install chromium, or DNNPLAN_CHROMIUM=/path/to/chromium"
    return None


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of its own with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def open_report(context: Any, path: Path, *, timeout: float = 60.0) -> Any:
    """A page with a report whose charts are drawn; `timeout` in seconds."""
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector(READY, state="attached", timeout=timeout * 1000)
    return page
