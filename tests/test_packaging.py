"""The package list, the links of the checkout, and the imports: what breaks silently in a mapped layout."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "src" / "dnnplan"
ROOMS = ("formulations", "instances", "solvers")
"""Rooms at the top level, linked into the package."""
BARE = {*ROOMS, "costs", "reports", "serving", "cli"}
"""Names that exist only inside the package."""
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def python_files(folder: Path) -> list[Path]:
    """Python files below a folder, not those behind links."""
    found = []
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__pycache__")))
        found += [Path(at) / f for f in sorted(files) if f.endswith(".py")]
    return found


def real_folder(package: str) -> Path:
    """The folder of a package according to `package-dir`, the longest prefix first."""
    mapped = SETTINGS["tool"]["setuptools"]["package-dir"]
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in mapped:
            return ROOT.joinpath(mapped[prefix], *parts[length:])
    raise AssertionError(f"package-dir does not map {package}")


def packages_in_tree() -> set[str]:
    homes = {"dnnplan": CORE} | {f"dnnplan.{room}": ROOT / room for room in ROOMS}
    return {
        ".".join([name, *file.parent.relative_to(home).parts])
        for name, home in homes.items()
        for file in python_files(home)
    }


def test_the_package_list_is_the_tree() -> None:
    listed = SETTINGS["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_in_tree()


def test_every_package_has_its_init_file() -> None:
    missing = [p for p in sorted(packages_in_tree()) if not (real_folder(p) / "__init__.py").is_file()]
    assert missing == []


def test_every_data_file_is_in_the_wheel() -> None:
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]
    missing = []
    for package in sorted(packages_in_tree()):
        folder = real_folder(package)
        for file in sorted(folder.rglob("*")):
            inner = file.relative_to(folder)
            nearest = all(not (folder / p / "__init__.py").exists() for p in inner.parents if p.parts)
            if not file.is_file() or file.is_symlink() or file.suffix == ".py" or not nearest:
                continue
            # numba and Python keep compiled code here.
            if "__pycache__" in inner.parts or not file.resolve().is_relative_to(folder.resolve()):
                continue
            wanted = patterns.get(package, []) + patterns.get("*", [])
            if not any(fnmatchcase(inner.as_posix(), pattern) for pattern in wanted):
                missing.append(f"{package}: {inner.as_posix()}")
    assert missing == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_links_of_the_checkout_resolve(room: str) -> None:
    link = CORE / room
    if not link.is_symlink():
        pytest.skip("this checkout was made without links")
    assert not os.path.isabs(os.readlink(link))
    assert link.resolve() == (ROOT / room).resolve()


def test_imports_are_absolute_and_go_through_the_package() -> None:
    offending = []
    for top in ("src", *ROOMS, "benchmarks", "tests"):
        for file in python_files(ROOT / top):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    names = ["" if node.level else node.module or ""]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    continue
                # A relative import has no name here.
                if any(name.split(".")[0] in {"", *BARE} for name in names):
                    offending.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert offending == []


def test_what_is_imported_is_declared() -> None:
    project = SETTINGS["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[\[<>=~! ]", d)[0].lower().replace("-", "_") for d in declared}
    names |= {"yaml"} if "pyyaml" in names else set()
    outside = set()
    for file in [f for top in ("src", *ROOMS) for f in python_files(ROOT / top)]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                outside |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                outside.add(node.module.split(".")[0])
    assert outside - set(sys.stdlib_module_names) - {"dnnplan"} - names == set()
