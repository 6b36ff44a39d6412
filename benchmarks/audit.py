"""What is installed with dnnplan: licences, a bill of materials (CycloneDX), and the lock file for development.

    python -m benchmarks.audit                               licences of what a user gets; fails on strong copyleft
    python -m benchmarks.audit --sbom docs/sbom.json
    python -m benchmarks.audit --lock requirements-dev.lock

Everything is read from the metadata of installed packages, so it needs no network. Known vulnerabilities do: see `make
audit`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

USED = ("all",)
"""Extras that a user may install; `nn` (torch) and `cluster` are left to their own projects."""
DEVELOPED = ("all", "cluster", "dev", "docs")
LEFT_OUT = ("torch", "triton", "atheris")
"""Not in the lock: large, or of one platform only."""
STRONG = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
WEAK = re.compile(r"\b(LGPL|GNU Lesser|GCC Runtime Library Exception|GCC-exception)", re.IGNORECASE)


def closure(extras: Iterable[str]) -> list[Distribution]:
    """Installed packages that dnnplan needs with some extras, by name; dnnplan itself is not among them."""
    found: dict[str, Distribution] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    waiting = [("dnnplan", frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in done:
            continue
        done.add((name, wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            print(f"not installed, so not looked at: {name}", file=sys.stderr)
            continue
        found[name] = package
        waiting += _needed(package, wanted)
    found.pop("dnnplan", None)
    return [found[name] for name in sorted(found)]


def _needed(package: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    environment = {key: str(value) for key, value in default_environment().items()}
    for text in package.requires or ():
        need = Requirement(text)
        if need.marker is None or any(
            need.marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            yield canonicalize_name(need.name), frozenset(need.extras)


def licence_of(package: Distribution) -> str:
    """What the metadata say, shortest first; "" if nothing."""
    about = package.metadata
    expression = (about.get_all("License-Expression") or [""])[0]
    if expression:
        return str(expression)
    classes = [c.rsplit(" :: ", 1)[-1] for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    classes = [c for c in classes if c != "OSI Approved"]
    if classes:
        return ", ".join(classes)
    first = str((about.get_all("License") or [""])[0]).strip().splitlines()
    return first[0][:80] if first else ""


def is_strong_copyleft(licence: str) -> bool:
    """Whether a licence asks of all that is combined with the package to be under it.

    >>> [is_strong_copyleft(text) for text in ("MIT", "GPL-3.0-only", "LGPL-2.1", "GPL-3.0 WITH GCC-exception-3.1")]
    [False, True, False, False]
    """
    parts = re.split(r"\s+(?:AND|OR)\s+|,", licence)
    return any(STRONG.search(part) and not WEAK.search(part) for part in parts)


def sbom(packages: Iterable[Distribution]) -> str:
    """A bill of materials in CycloneDX 1.6; the same packages give the same text."""
    own = distribution("dnnplan")
    parts = [
        {
            "type": "library",
            "bom-ref": purl(package),
            "name": package.metadata["Name"],
            "version": package.version,
            "purl": purl(package),
            "licenses": [{"license": {"name": licence_of(package) or "unknown"}}],
        }
        for package in packages
    ]
    tree = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": purl(own),
                "name": "dnnplan",
                "version": own.version,
                "purl": purl(own),
            }
        },
        "components": parts,
    }
    return json.dumps(tree, indent=1) + "\n"


def purl(package: Distribution) -> str:
    """The address of a package in bills of materials."""
    return f"pkg:pypi/{canonicalize_name(package.metadata['Name'])}@{package.version}"


def lock(packages: Iterable[Distribution]) -> str:
    """Exact versions, a line each."""
    head = (
        f"# Versions that the tests ran with (Python {sys.version_info[0]}.{sys.version_info[1]}): make lock\n"
        + ("# Use: pip install -c requirements-dev.lock -e '.[all,cluster,dev]'\n")
    )
    rows = [(canonicalize_name(package.metadata["Name"]), package.version) for package in packages]
    kept = [row for row in rows if row[0] not in LEFT_OUT and not row[0].startswith("nvidia-")]
    return head + "".join(f"{name}=={version.partition('+')[0]}\n" for name, version in kept)


def main() -> int:
    """Print licences, or write a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sbom", type=Path)
    parser.add_argument("--lock", type=Path)
    options = parser.parse_args()
    if options.lock is not None:
        options.lock.write_text(lock(closure(DEVELOPED)))
    if options.sbom is not None:
        options.sbom.write_text(sbom(closure(USED)))
    if options.lock is not None or options.sbom is not None:
        return 0
    bad = 0
    for package in closure(USED):
        licence = licence_of(package)
        wrong = (
            "  <- strong copyleft" if is_strong_copyleft(licence) else "  <- unknown" if not licence else ""
        )
        bad += bool(wrong)
        print(f"{package.metadata['Name']:24} {package.version:14} {licence or '?'}{wrong}")
    print(f"{bad} to look at")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
