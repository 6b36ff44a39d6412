"""`load`: an instance from whatever names it - bundled name, file, several network files, standard input."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dnnplan.instances import formats
from dnnplan.instances.arguments import refuse, require_several
from dnnplan.instances.catalogue import bundled_names, combine, load_bundled, load_platform, platform_names
from dnnplan.instances.errors import InputError, MissingDependencyError, UnsupportedError
from dnnplan.instances.files import HEAD_BYTES, read_bytes, read_instance
from dnnplan.instances.instance import Instance
from dnnplan.instances.platform import Platform
from dnnplan.instances.validation import ensure_valid

STANDARD_INPUT = "-"
_FILE_SUFFIXES = (".json", ".yaml", ".yml", ".onnx")
_ONNX_OPTIONS = {"dims", "fuse", "residual", "coarsen"}
_OWN_SECTIONS = ("tasks", "precedences", "ordering", "sharing", "costs", "workload", "limits", "objective")


def load(
    source: str | Path | Sequence[str | Path],
    *,
    platform: str | Path | Platform | None = None,
    dims: Mapping[str, int] | None = None,
    format: str | None = None,
    select: str | None = None,
    **options: Any,
) -> Instance:
    """Load one instance.

    Parameters
    ----------
    source
        A file, a bundled name (``tiny/hand``, ``phone/resnet50``), the name of a light ONNX network
        (``resnet50``), or ``-`` for standard input. Several networks are planned together.
    platform
        A bundled platform or a file; needed for networks, and replaces the platform of an instance.
    dims
        Numbers for symbolic dimensions of ONNX files, e.g. ``{"batch": 1}``.
    format
        Name of the format of files; None: recognised.
    select
        One part of a format that holds several.
    options
        Further options of the reader of the format (ONNX: ``fuse``, ``coarsen``).

    Raises
    ------
    InputError
        Damaged, invalid, not found, or several instances; networks without a platform.
    UnsupportedError
        An option that the format does not have.
    OSError
        A file cannot be opened.

    Examples
    --------
    >>> load("tiny/hand").name
    'tiny/hand'
    """
    if isinstance(source, str | Path):
        sources = [source]
    else:
        sources = list(require_several(source, "source", "a name, a file, or several"))
    instances = load_all(sources, platform=platform, dims=dims, format=format, select=select, **options)
    if len(instances) > 1:
        names = ", ".join(str(s) for s in sources)
        raise InputError(
            f"{names}: {len(instances)} instances, expected one; `compare` takes several, and networks "
            "without a platform are planned together with --platform"
        )
    return instances[0]


def load_all(
    sources: Sequence[str | Path],
    *,
    platform: str | Path | Platform | None = None,
    dims: Mapping[str, int] | None = None,
    format: str | None = None,
    select: str | None = None,
    **options: Any,
) -> list[Instance]:
    """Load instances; all networks without a platform become one of them, at the place of the first.

    Parameters and errors are those of `load`.
    """
    if not sources:
        raise InputError("no instance given, expected a file, a bundled name, or - for standard input")
    if dims is not None and not isinstance(dims, Mapping):
        refuse("dims", dims, "numbers by name of a dimension, e.g. {'batch': 1}, or None")
    asked = _asked(dims, select, options)
    where = platform if isinstance(platform, Platform) or platform is None else load_platform(platform)
    loaded = [(str(source), _read(source, format, asked)) for source in sources]
    # Streams of samples may have all their costs in tables.
    bare = [
        i
        for i, (_, instance) in enumerate(loaded)
        if instance.platform is None and instance.models and instance.workload is None
    ]
    instances: list[Instance] = []
    for i, (_, instance) in enumerate(loaded):
        if i not in bare:
            instances.append(_moved(instance, where) if where is not None else instance)
        elif i == bare[0]:
            instances.append(_planned_together([loaded[j] for j in bare], where))
    return instances


def load_part(
    source: str | Path,
    *,
    dims: Mapping[str, int] | None = None,
    format: str | None = None,
    select: str | None = None,
    **options: Any,
) -> Instance:
    """Load one source as it is: networks stay without a platform. Parameters and errors are those of `load`.

    Examples
    --------
    >>> load_part("tiny/hand").platform.name
    'hand'
    """
    return _read(source, format, _asked(dims, select, options))


def _asked(dims: Mapping[str, int] | None, select: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """The options that somebody gave."""
    asked = {key: value for key, value in options.items() if value is not None}
    asked |= {"dims": dict(dims)} if dims else {}
    return asked | ({"select": select} if select is not None else {})


def _planned_together(networks: list[tuple[str, Instance]], platform: Platform | None) -> Instance:
    names = ", ".join(name for name, _ in networks)
    if platform is None:
        raise InputError(
            f"{names}: no platform to run on; name one with --platform: "
            f"{', '.join(platform_names())}, or a file"
        )
    if len(networks) == 1:
        return _moved(networks[0][1], platform)
    plain = Instance()
    for name, instance in networks:
        own = [s for s in _OWN_SECTIONS if getattr(instance, s) != getattr(plain, s)]
        if own:
            raise InputError(f"{name}: has the section {own[0]}; only plain networks can be planned together")
    return combine([model for _, instance in networks for model in instance.models], platform)


def _moved(instance: Instance, platform: Platform) -> Instance:
    """The instance on another platform."""
    moved = replace(instance, platform=platform)
    ensure_valid(moved, source=f"{instance.name or 'instance'} on platform {platform.name}")
    return moved


def _read(source: str | Path, format: str | None, options: dict[str, Any]) -> Instance:
    if str(source) == STANDARD_INPUT:
        return _read_standard_input(format, options)
    path = Path(source)
    if path.exists():
        return _read_file(path, format, options)
    light = _light_networks()
    if str(source) in light:
        instance = _read_file(light[str(source)], "onnx", options)
        return replace(instance, models=(replace(instance.models[0], name=str(source)),), name=str(source))
    if path.suffix.lower() in _FILE_SUFFIXES or path.is_absolute():
        raise InputError(f"{source}: no such file")
    if options:
        raise UnsupportedError(f"{source}: bundled instances take no option '{next(iter(options))}'")
    return _bundled(str(source))


def _read_standard_input(format: str | None, options: dict[str, Any]) -> Instance:
    data, _, _ = read_bytes(sys.stdin.buffer)
    name = format or formats.detect_format(Path("standard input"), data[:HEAD_BYTES])
    return read_instance(_Named(data), format=name, **_accepted(name, options, _Named.name))


def _read_file(path: Path, format: str | None, options: dict[str, Any]) -> Instance:
    name = format
    if options and name is None and path.is_file():
        with path.open("rb") as file:
            name = formats.detect_format(path, file.read(HEAD_BYTES))
    return read_instance(path, format=name, **_accepted(name, options, str(path)))


class _Named(BytesIO):
    """Bytes with a name for messages."""

    name = "standard input"


def _bundled(name: str) -> Instance:
    if "/" in name:
        return load_bundled(name)
    known = (*bundled_names(), *_light_networks())
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise InputError(
        f"{name}: neither a file nor a bundled instance{hint or ';'} `dnnplan instances` lists them"
    )


def _light_networks() -> dict[str, Path]:
    """The networks that come with the package onnx; none where it is not installed."""
    from dnnplan.instances.formats.onnx.bundled import light_network_paths

    try:
        return light_network_paths()
    except MissingDependencyError:
        return {}


def _accepted(name: str | None, options: dict[str, Any], source: str) -> dict[str, Any]:
    """The options, if the reader of the format takes all of them."""
    if not options or name is None or name not in formats.format_names():
        return options
    known = set(inspect.signature(formats._module(name).read).parameters) - {"path", "options"}
    known |= _ONNX_OPTIONS if name == "onnx" else set()
    for option in options:
        if option == "select" and option not in known:
            raise UnsupportedError(
                f"{source}: format '{name}' holds one instance, there is no part to select"
            )
        if option not in known:
            raise UnsupportedError(f"{source}: format '{name}' has no option '{option}'")
    return options
