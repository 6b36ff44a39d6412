"""The formats that instances are read from: one file and one line each.

A format is a module with two functions: ``detect(path, head) -> bool`` says whether a file is of this format
from its name and its first bytes, ``read(path, **options) -> Instance`` reads it. With a third one,
``write(instance, path, *, overwrite=False)``, instances are written too, as far as the format can express them:
it raises `UnsupportedError` with the name of the feature that it cannot. Modules are imported when
they are asked, and packages they need when they read. Other distributions add formats through entry points of
the group ``dnnplan.formats``, whose value is such a module. One that is broken recognises no file, and is an error for
who names it.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from dnnplan.instances import plugins
from dnnplan.instances.errors import FormatError, PluginError, UnsupportedError
from dnnplan.instances.files import HEAD_BYTES, Source, loads_instance, read_bytes
from dnnplan.instances.instance import Instance
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.wording import unknown

log = logging.getLogger("dnnplan")

# In the order in which they are asked; `native` is last, since it takes any JSON or YAML.
FORMATS: dict[str, str] = {
    "onnx": "dnnplan.instances.formats.onnx_format",
    "dnn-partitioning": "dnnplan.instances.formats.dnn_partitioning",
    "saga": "dnnplan.instances.formats.saga",
    "auckland": "dnnplan.instances.formats.auckland",
    "hetero-dag": "dnnplan.instances.formats.hetero_dag",
    "hax-conn": "dnnplan.instances.formats.hax_conn",
    "tsplib": "dnnplan.instances.formats.tsplib",
    "antler": "dnnplan.instances.formats.antler",
    "tag": "dnnplan.instances.formats.tag",
    "affinity": "dnnplan.instances.formats.affinity",
    "standley": "dnnplan.instances.formats.standley",
    "ssp": "dnnplan.instances.formats.ssp",
    "fjsp": "dnnplan.instances.formats.fjsp",
    "native": "dnnplan.instances.formats.native",
}


def format_names() -> tuple[str, ...]:
    """Names of all formats, those of other distributions included."""
    return (*(name for name in FORMATS if name != "native"), *_plugins(), "native")


def detect_format(path: Path, head: bytes) -> str:
    """Name of the format of a file, from its name and its first bytes.

    Raises
    ------
    FormatError
        No format recognises it.
    """
    for name in format_names():
        if _detects(name, path, head):
            return name
    raise FormatError(f"format not recognised, expected one of {', '.join(format_names())}", source=str(path))


def read_with(source: Source, name: str | None, options: dict[str, Any]) -> Instance:
    """Read an instance from a path or stream in the named or recognised format; see `read_instance`."""
    if name is not None and name not in format_names():
        raise UnsupportedError(unknown("format", name, format_names()))
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            raise FormatError("is a folder, expected a file", source=str(path))
        if path.is_file():
            return _read_path(path, name or detect_format(path, _head_of(path)), options)
        # A pipe can be read only once.
        with path.open("rb") as stream:
            return read_with(stream, name, options)
    data, syntax, label = read_bytes(source)
    name = name or detect_format(Path(label), data[:HEAD_BYTES])
    if name == "native":
        return loads_instance(data, syntax=syntax, source=label)
    with tempfile.TemporaryDirectory() as folder:  # many formats take the name of an instance from the file
        copy = Path(folder) / (Path(label).name or "stream")
        copy.write_bytes(data)
        return _read_path(copy, name, options)


def writable_formats() -> tuple[str, ...]:
    """Names of the formats that instances can be written in."""
    return tuple(row.name for row in describe_formats() if row.written)


class FormatRow(NamedTuple):
    """A format: whether instances can be written in it, the options of its reader, and what it is."""

    name: str
    written: bool
    options: tuple[str, ...]
    what: str


def describe_formats() -> tuple[FormatRow, ...]:
    """All formats that can be used, in the order in which they are asked."""
    usable = [name for name in format_names() if name in FORMATS or _is_usable(name)]
    return tuple(_describe(name) for name in usable)


def format_complaints() -> tuple[str, ...]:
    """What is wrong with formats of other distributions, for people who list them."""
    return plugins.complaints(plugins.FORMATS, FORMATS, _loaded)


def _describe(name: str) -> FormatRow:
    module = _module(name)
    parameters = inspect.signature(module.read).parameters
    options = [p for p, kind in parameters.items() if p != "path" and kind.kind is not kind.VAR_KEYWORD]
    what = (module.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    return FormatRow(name, hasattr(module, "write"), tuple(options), what.rstrip("."))


def write_with(instance: Instance, path: Path, name: str, *, overwrite: bool = False) -> None:
    """Write a valid instance in the named format.

    Raises
    ------
    UnsupportedError
        The format is unknown, is only read, or cannot express a feature of the instance; the message names it.
    InstanceError
        The instance is not valid.
    FileExistsError
        The file exists and `overwrite` is not set.
    """
    if name not in format_names():
        raise UnsupportedError(unknown("format", name, format_names()))
    write = getattr(_module(name), "write", None)
    if write is None:
        known = ", ".join(writable_formats())
        raise UnsupportedError(f"format '{name}' is only read; written are {known}")
    ensure_valid(instance)
    write(instance, path, overwrite=overwrite)


def _read_path(path: Path, name: str, options: dict[str, Any]) -> Instance:
    instance: Instance = _module(name).read(path, **options)
    if name != "native":  # which has just been validated
        ensure_valid(instance, source=str(path))
    return instance


def _head_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _plugins() -> dict[str, plugins.Plugin]:
    """Formats of other distributions; the built-in ones cannot be replaced."""
    return plugins.plugins(plugins.FORMATS, FORMATS)


def _module(name: str) -> ModuleType:
    if name in FORMATS:
        return importlib.import_module(FORMATS[name])
    return _loaded(_plugins()[name])


def _loaded(plugin: plugins.Plugin) -> ModuleType:
    """The module of a plug-in, with what a format has to have."""
    module: ModuleType = plugin.load()
    for needed in ("detect", "read"):
        if not callable(getattr(module, needed, None)):
            raise plugin.error(f"has no function `{needed}`")
    return module


def _is_usable(name: str) -> bool:
    try:
        _module(name)
    except PluginError:
        return False
    return True


def _detects(name: str, path: Path, head: bytes) -> bool:
    """Whether a format says that a file is its own; one of others that fails does not."""
    if name in FORMATS:
        return bool(_module(name).detect(path, head))
    try:
        return bool(_module(name).detect(path, head))
    except Exception as error:
        log.warning("the format %s recognises no files: %s", _plugins()[name], error)
        return False
