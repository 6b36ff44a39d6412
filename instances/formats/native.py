"""The format of this project: JSON or YAML, as documented in docs/instance-format.md."""

from __future__ import annotations

from pathlib import Path

from dnnplan.instances.files import loads_instance, read_bytes, write_instance
from dnnplan.instances.instance import Instance

_SUFFIXES = (".json", ".yaml", ".yml")


def detect(path: Path, head: bytes) -> bool:
    """Whether this could be a native file: it says so, or its name or first character does."""
    return b"format_version" in head or path.suffix.lower() in _SUFFIXES or head.lstrip()[:1] == b"{"


def read(path: Path) -> Instance:
    """Read and validate a native instance; see `dnnplan.instances.files.read_instance`."""
    data, syntax, name = read_bytes(path)
    return loads_instance(data, syntax=syntax, source=name)


def write(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write a native file; see `dnnplan.instances.files.write_instance`."""
    write_instance(instance, path, overwrite=overwrite)
