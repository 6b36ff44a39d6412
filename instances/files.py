"""Reading and writing instances, platforms, plans and results as JSON or YAML.

Sizes are checked before anything is read, the version before anything is interpreted. Files are written
whole or not at all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import msgspec

from dnnplan.instances.atomic import write_text
from dnnplan.instances.canonical import plain
from dnnplan.instances.errors import FormatError, InputError, InstanceError, PlanError, Problem
from dnnplan.instances.instance import FORMAT_VERSION, Instance
from dnnplan.instances.json_text import parse_json, print_json
from dnnplan.instances.plan import PLAN_VERSION, Plan
from dnnplan.instances.platform import Platform
from dnnplan.instances.result import Result
from dnnplan.instances.validation import ensure_valid, note_valid, semantic_problems
from dnnplan.instances.validation.platforms import platform_problems
from dnnplan.instances.validation.structure import decode, record_problems
from dnnplan.instances.wording import Report, show

__all__ = [
    "HEAD_BYTES",
    "JSON_LIMIT",
    "YAML_LIMIT",
    "Source",
    "Syntax",
    "dumps",
    "loads_instance",
    "loads_plan",
    "read_bytes",
    "read_instance",
    "read_plan",
    "read_platform",
    "read_result",
    "write_instance",
    "write_plan",
    "write_platform",
    "write_text",
]

JSON_LIMIT = 256 * 2**20
"""Largest JSON file that is read, bytes."""
YAML_LIMIT = 16 * 2**20
"""Largest YAML file that is read, bytes; the parser is slow, and people do not write more."""
HEAD_BYTES = 4096
"""How much of a file its format is recognised from."""

Syntax = Literal["json", "yaml"]
Source = str | Path | IO[bytes]
R = TypeVar("R", bound=msgspec.Struct)
_YAML_SUFFIXES = (".yaml", ".yml")
_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")


def read_instance(source: Source, *, format: str | None = None, **options: Any) -> Instance:
    """Read and validate an instance of any registered format.

    Parameters
    ----------
    source
        A path, or a binary stream.
    format
        Name of the format; None: recognised from name and content.
    options
        Passed to the reader of the format.

    Raises
    ------
    FormatError
        Damaged, hostile, too large or of an unknown format.
    InstanceError
        Not a valid instance; lists every problem.
    OSError
        The file cannot be opened.
    """
    from dnnplan.instances.formats import read_with  # formats import this module

    return read_with(source, format, options)


def read_platform(source: Source) -> Platform:
    """Read a platform: a file of its own, or the `platform` section of an instance.

    A file of its own may leave `format_version` out; then it is of version 1.0.
    """
    data, syntax, name = read_bytes(source)
    tree = {"format_version": "1.0", **_parse(data, syntax, name)}
    newer = _check_version(tree, FORMAT_VERSION, name)
    if isinstance(tree.get("platform"), dict):
        instance = _decode_instance(tree, newer, name)
        assert instance.platform is not None
        return instance.platform
    members = {key: value for key, value in tree.items() if key != "format_version"}
    platform = _decode(members, Platform, InstanceError, newer, name)
    report = Report()
    platform_problems(platform, "", report)
    if report.problems:
        raise InstanceError(problems=report.problems, source=name)
    return platform


def read_plan(source: Source) -> Plan:
    """Read a plan. Whether it fits its instance is for `check` to say."""
    data, syntax, name = read_bytes(source)
    return loads_plan(data, syntax=syntax, source=name)


def read_result(source: Source) -> Result:
    """Read what `Result.to_json` wrote."""
    data, syntax, name = read_bytes(source)
    return _decode(_parse(data, syntax, name), Result, InputError, "", name)


def loads_instance(data: bytes | str, *, syntax: Syntax | None = None, source: str | None = None) -> Instance:
    """Read and validate a native instance from text; see `read_instance`."""
    tree = _parse(data, syntax, source)
    return _decode_instance(tree, _check_version(tree, FORMAT_VERSION, source), source)


def loads_plan(data: bytes | str, *, syntax: Syntax | None = None, source: str | None = None) -> Plan:
    """Read a plan from text; see `read_plan`."""
    tree = _parse(data, syntax, source)
    return _decode(tree, Plan, PlanError, _check_version(tree, PLAN_VERSION, source), source)


def dumps(record: Instance | Platform | Plan, *, syntax: Syntax = "json") -> str:
    """Text of an instance, platform or plan; it starts with `format_version`.

    Raises
    ------
    InstanceError
        The record holds something that could not be read back.
    """
    problems = record_problems(record)
    if problems:
        raise (PlanError if isinstance(record, Plan) else InstanceError)(problems=problems)
    version = FORMAT_VERSION if isinstance(record, Platform) else record.format_version
    tree = {"format_version": version, **plain(record)}
    if syntax == "json":
        return print_json(tree)
    from dnnplan.instances.yaml_text import print_yaml  # only who reads or writes YAML pays

    return print_yaml(tree)


def write_instance(instance: Instance, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a valid instance as JSON, or as YAML where the name ends in ``.yaml`` or ``.yml``.

    Raises
    ------
    InstanceError
        The instance is not valid.
    FileExistsError
        The file exists and `overwrite` is not set.
    """
    ensure_valid(instance)
    write_text(dumps(instance, syntax=_syntax_of_name(str(path)) or "json"), path, overwrite=overwrite)


def write_platform(platform: Platform, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a platform; see `write_instance`."""
    write_text(dumps(platform, syntax=_syntax_of_name(str(path)) or "json"), path, overwrite=overwrite)


def write_plan(plan: Plan, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a plan; see `write_instance`."""
    write_text(dumps(plan, syntax=_syntax_of_name(str(path)) or "json"), path, overwrite=overwrite)


def read_bytes(source: Source, limit: int | None = None) -> tuple[bytes, Syntax | None, str]:
    """Read a file or stream whole, unless it is larger than the limit of its syntax.

    Returns
    -------
    (content, syntax by the name or None, name for messages).
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            raise FormatError("is a folder, expected a file", source=str(path))
        syntax = _syntax_of_name(path.name)
        most = limit or (YAML_LIMIT if syntax == "yaml" else JSON_LIMIT)
        with path.open("rb") as stream:
            _refuse_size(os.fstat(stream.fileno()).st_size, most, str(path))
            # Devices and pipes have no size to check.
            data = stream.read(most + 1)
        name = str(path)
    else:
        name = str(getattr(source, "name", "stream"))
        syntax = _syntax_of_name(name)
        most = limit or (YAML_LIMIT if syntax == "yaml" else JSON_LIMIT)
        data = source.read(most + 1)
    _refuse_size(len(data), most, name)
    return data, syntax, name


def _refuse_size(size: int, most: int, name: str | None) -> None:
    if size > most:
        raise FormatError(f"larger than {most} bytes, the most that is read", source=name)


def _syntax_of_name(name: str) -> Syntax | None:
    lower = name.lower()
    if lower.endswith(".json"):
        return "json"
    return "yaml" if lower.endswith(_YAML_SUFFIXES) else None


def _parse(data: bytes | str, syntax: Syntax | None, name: str | None) -> dict[str, Any]:
    """Parse text into the members of its top-level object."""
    raw = data.encode() if isinstance(data, str) else data
    head = raw[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in raw[:HEAD_BYTES]:
        raise FormatError("not text: it holds zero bytes", source=name)
    if syntax == "json" and head and not head.startswith(b"{"):
        # Said before anything is parsed: 100 MB of something else should not be read to its end.
        raise FormatError(
            f"not JSON of an object: starts with {show(head[:12].decode('utf-8', 'replace'))}", source=name
        )
    if syntax == "json" or (syntax is None and head.startswith(b"{")):
        tree = parse_json(raw, name)
    else:
        _refuse_size(len(raw), YAML_LIMIT, name)
        from dnnplan.instances.yaml_text import parse_yaml  # only who reads YAML pays

        tree = parse_yaml(raw, name)
    if not isinstance(tree, dict):
        raise FormatError(f"holds {show(tree)}, expected an object", source=name)
    return tree


def _check_version(tree: dict[str, Any], supported: str, name: str | None) -> str:
    """Check `format_version`; the version of a newer MINOR is returned, an empty string otherwise."""
    if "format_version" not in tree:
        raise FormatError(
            problems=[Problem("format_version", f'missing, expected "{supported}"')], source=name
        )
    version = tree["format_version"]
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    major, minor = supported.split(".")
    if match is None or match[1] != major:
        expected = f'expected "{supported}" or another version {major}.x'
        raise FormatError(problems=[Problem("format_version", f"{show(version)}, {expected}")], source=name)
    return match[0] if int(match[2]) > int(minor) else ""


def _decode(data: Any, record: type[R], error: type[InputError], newer: str, name: str | None) -> R:
    """Turn data into a record or raise with every problem; `newer` is a version this code does not know."""
    decoded, problems = decode(data, record)
    if decoded is not None:
        return decoded
    if newer:
        note = (
            f'"{newer}" is newer than {FORMAT_VERSION}, the version known here; it may say more than this one'
        )
        problems = (Problem("format_version", note), *problems)
    raise error(problems=problems, source=name)


def _decode_instance(tree: dict[str, Any], newer: str, name: str | None) -> Instance:
    instance = _decode(tree, Instance, InstanceError, newer, name)
    problems = semantic_problems(instance)
    if problems:
        raise InstanceError(problems=problems, source=name)
    note_valid(instance)
    return instance
