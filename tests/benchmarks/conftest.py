"""What the tests of the harness share."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.case import Job


@pytest.fixture
def crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose `measure` is code."""
    (tmp_path / "crash_probe.py").write_text(
        "from benchmarks.case import Measured\n"
        "def measure(code):\n"
        "    names = {}\n"
        "    exec(code, names)\n"
        "    return Measured(names['value'], '', None, None, '')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return Job(measure="replaced by the test", module="crash_probe")
