"""The platforms that come with the package, and where each of their figures is from (docs/platforms.md)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files as resource_files
from pathlib import Path
from typing import Any

import msgspec

from dnnplan.instances.errors import InputError
from dnnplan.instances.files import read_platform
from dnnplan.instances.platform import Platform

KINDS = ("measured", "data sheet", "published", "derived", "assumed")
"""What a figure can be: measured by somebody, printed by the maker or in a paper or its code, computed from
such a figure, or assumed by us."""

FigureRow = tuple[str, float, str, str]


def platform_names() -> tuple[str, ...]:
    """Names of the bundled platforms, sorted.

    >>> "phone-soc" in platform_names()
    True
    """
    folder = resource_files("dnnplan.instances") / "platforms"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_platform(name_or_path: str | Path) -> Platform:
    """A platform by its bundled name, or from a file.

    Raises
    ------
    InputError
        Neither a bundled name nor a file; the message names the closest ones. Or the file is not a platform.

    Examples
    --------
    >>> [device.name for device in load_platform("phone-soc").devices]
    ['cpu', 'gpu', 'npu', 'dsp']
    """
    name = str(name_or_path)
    if isinstance(name_or_path, str) and name in platform_names():
        return _bundled(name)
    if Path(name).is_file():
        return read_platform(name)
    raise InputError(
        f"{name}: neither a file nor a bundled platform; {suggestion(name, platform_names())} "
        f"Bundled are: {', '.join(platform_names())}"
    )


@cache
def _bundled(name: str) -> Platform:
    with (resource_files("dnnplan.instances") / "platforms" / f"{name}.yaml").open("rb") as file:
        return read_platform(file)


def suggestion(name: str, names: Sequence[str]) -> str:
    """``did you mean a, b?``, or a remark that nothing is close."""
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.4)
    return f"did you mean {', '.join(close)}?" if close else "no name is close to it."


def figure_rows(platform: Platform) -> tuple[FigureRow, ...]:
    """(where, value, kind, source) of every number of a bundled platform, in the order of the file.

    The sources are under ``extensions.figures``; the first whose pattern fits counts.

    Raises
    ------
    InputError
        A figure has no source.
    """
    sources: list[dict[str, str]] = platform.extensions.get("figures", [])
    rows: list[FigureRow] = []
    for where, value in _numbers(platform):
        found = next((s for s in sources if fnmatchcase(where, s["where"])), None)
        if found is None:
            raise InputError(f"{platform.name}: {where}: {value:g} has no source under extensions.figures")
        rows.append((where, value, found["kind"], found["source"]))
    return tuple(rows)


def figures_markdown() -> str:
    """The tables of docs/platforms.md: every figure of every bundled platform, in base units."""
    parts = []
    for name in platform_names():
        platform = load_platform(name)
        lines = [
            f"## {name}",
            "",
            platform.source,
            "",
            "| figure | value | kind | source |",
            "|---|---|---|---|",
        ]
        lines += [f"| `{w}` | {v:g} | {kind} | {source} |" for w, v, kind, source in figure_rows(platform)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _numbers(platform: Platform) -> Iterator[tuple[str, float]]:
    """(dotted path, value) of all numbers; list entries are called by their names."""
    tree = msgspec.to_builtins(platform)
    for section in ("memories", "devices", "links"):
        seen: dict[str, int] = {}
        for entry in tree.get(section, []):
            name = entry["name"]
            seen[name] = seen.get(name, 0) + 1
            # Further links of one channel repeat its figures.
            if seen[name] == 1:
                yield from _leaves(f"{section}.{name}", entry)


def _leaves(path: str, node: Any) -> Iterator[tuple[str, float]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(f"{path}.{key}", value)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path, node
