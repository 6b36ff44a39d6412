"""Bill of materials, lock file and licences say what is installed, and nothing about this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.audit import closure, is_strong_copyleft, licence_of, lock, sbom

ROOT = Path(__file__).resolve().parents[2]


def test_no_strong_copyleft_at_run_time() -> None:
    packages = closure(("onnx", "report"))
    assert {"ortools", "numpy"} <= {package.metadata["Name"] for package in packages}
    assert [p.metadata["Name"] for p in packages if is_strong_copyleft(licence_of(p))] == []


@pytest.mark.parametrize(
    ("licence", "strong"),
    [
        ("MIT", False),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0", True),
        ("LGPL-2.1-only", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
    ],
)
def test_copyleft(licence: str, strong: bool) -> None:
    assert is_strong_copyleft(licence) is strong


def test_the_bill_of_materials_is_cyclonedx_and_the_same_twice() -> None:
    packages = closure(())
    tree = json.loads(sbom(packages))
    assert (tree["bomFormat"], tree["specVersion"]) == ("CycloneDX", "1.6")
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@[0-9][^/]*", part["purl"]) for part in tree["components"])
    assert sbom(packages) == sbom(closure(()))
    kept = json.loads((ROOT / "sbom.json").read_text())
    assert {part["name"] for part in tree["components"]} <= {part["name"] for part in kept["components"]}


def test_the_lock_has_versions_and_nothing_else() -> None:
    rows = [line for line in lock(closure(())).splitlines() if not line.startswith("#")]
    kept = [
        line for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if not line.startswith("#")
    ]
    for row in (*rows, *kept):
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9A-Za-z.]*", row), row
    names = {row.partition("==")[0] for row in kept}
    assert {row.partition("==")[0] for row in rows} <= names
    assert {"pytest", "hypothesis", "ortools"} <= names
    assert "torch" not in names
