"""Reading and writing folders of split plans; what is read may be hostile."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from dnnplan.deploy.manifest import MANIFEST, MANIFEST_VERSION, Manifest, SegmentEntry
from dnnplan.deploy.manifest_rules import manifest_problems
from dnnplan.instances.canonical import plain
from dnnplan.instances.errors import FormatError, Problem
from dnnplan.instances.files import read_bytes
from dnnplan.instances.formats.onnx.safety import all_tensors
from dnnplan.instances.json_text import parse_json, print_json
from dnnplan.instances.validation.structure import decode
from dnnplan.instances.wording import Report, at, show

MANIFEST_LIMIT = 64 * 2**20
"""Largest manifest that is read, bytes."""
FILE_LIMIT = 2**31
"""Largest ONNX file, bytes; protocol buffers end there."""
DATA_LIMIT = 2**40
"""Largest file of weights, bytes."""
_CHUNK = 1 << 20
__all__ = [
    "MANIFEST_LIMIT",
    "check_files",
    "check_weights",
    "dumps_manifest",
    "loads_manifest",
    "part_path",
    "read_manifest",
]


def read_manifest(folder: str | Path, *, files: bool = True) -> Manifest:
    """Read the manifest of a folder, and check it and the files that it names.

    Parameters
    ----------
    files
        Whether the parts are checked too (`check_files`).

    Raises
    ------
    FormatError
        Damaged, hostile or too large; lists every problem.
    OSError
        The folder cannot be read.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FormatError("is not a folder, expected what `dnnplan split` wrote", source=str(place))
    path = _inside(place, MANIFEST)
    if path is None:
        raise FormatError(
            f"has no {MANIFEST}, expected a folder that `dnnplan split` wrote", source=str(place)
        )
    data, _, name = read_bytes(path, MANIFEST_LIMIT)
    manifest = loads_manifest(data, source=name)
    if files:
        check_files(place, manifest)
    return manifest


def loads_manifest(data: bytes, *, source: str | None = None) -> Manifest:
    """Read a manifest from text; see `read_manifest`."""
    tree = parse_json(data, source)
    if not isinstance(tree, dict):
        raise FormatError(f"holds {show(tree)}, expected an object", source=source)
    version = tree.get("format_version")
    major = MANIFEST_VERSION.split(".")[0]
    if not isinstance(version, str) or version.split(".")[0] != major:
        problem = Problem("format_version", f'{show(version)}, expected "{MANIFEST_VERSION}"')
        raise FormatError(problems=[problem], source=source)
    manifest, problems = decode(tree, Manifest)
    if manifest is None:
        raise FormatError(problems=problems, source=source)
    report = Report()
    manifest_problems(manifest, report)
    if report.problems:
        raise FormatError(problems=report.problems, source=source)
    return manifest


def dumps_manifest(manifest: Manifest) -> str:
    """Text of a manifest; it starts with `format_version`.

    Raises
    ------
    FormatError
        It could not be read back.
    """
    report = Report()
    manifest_problems(manifest, report)
    if report.problems:
        raise FormatError(problems=report.problems, source="manifest")
    return print_json({"format_version": manifest.format_version, **plain(manifest)})


def check_files(folder: str | Path, manifest: Manifest) -> None:
    """Check that the files of all parts are there, inside the folder, and those that the manifest describes.

    Raises
    ------
    FormatError
        Lists every file that is missing, a link, of another size, or of another digest.
    """
    place, report = Path(folder), Report()
    done: set[str] = set()
    for index, segment in enumerate(manifest.segments):
        if segment.file in done:
            continue
        done.add(segment.file)
        path = at("segments", index)
        _check_file(place, segment.file, segment.bytes, segment.sha256, FILE_LIMIT, at(path, "file"), report)
        if segment.data is not None and segment.data_sha256 is not None:
            size, digest = segment.data_bytes, segment.data_sha256
            _check_file(place, segment.data, size, digest, DATA_LIMIT, at(path, "data"), report)
    if report.problems:
        raise FormatError(problems=report.problems, source=str(place))


def part_path(folder: str | Path, segment: SegmentEntry) -> Path:
    """The ONNX file of a segment.

    Raises
    ------
    FormatError
        It is not a regular file inside the folder.
    """
    path = _inside(Path(folder), segment.file)
    if path is None:
        raise FormatError(f"{segment.file}: no such file, or a link", source=str(folder))
    return path


def check_weights(model: Any, segment: SegmentEntry, path: Path) -> None:
    """Check that a part keeps its weights in itself or in its data file, so that it can have no other file read.

    Parameters
    ----------
    model
        The part, a ModelProto.
    path
        Its file, for messages.

    Raises
    ------
    FormatError
        A tensor whose numbers lie elsewhere.
    """
    expected = "in the part itself" if segment.data is None else f"in {segment.data!r}"
    for tensor in all_tensors(model):
        if tensor.external_data or tensor.data_location:
            places = [entry.value for entry in tensor.external_data if entry.key == "location"]
            if places != [segment.data]:
                found = ", ".join(map(show, places)) or "nowhere"
                raise FormatError(
                    f"tensor {show(tensor.name)} has its numbers in {found}, expected {expected} by the manifest",
                    source=str(path),
                )


def _inside(folder: Path, name: str) -> Path | None:
    """A regular file right in the folder, by its plain name; links are not followed."""
    path = folder / name
    try:
        status = path.lstat()
    except OSError:
        return None
    return path if stat.S_ISREG(status.st_mode) else None


def _check_file(
    folder: Path, name: str, size: int, digest: str, most: int, path: str, report: Report
) -> None:
    if size > most:
        report.add(path, f"{show(name)} of {size} bytes, expected at most {most}")
        return
    if _inside(folder, name) is None:
        report.add(path, f"{show(name)} is not in the folder, or is no regular file")
        return
    found = (folder / name).stat().st_size
    if found != size:
        report.add(path, f"{show(name)} has {found} bytes, expected {size}")
    elif _digest(folder / name, size) != digest:
        report.add(path, f"{show(name)} was changed: its SHA-256 is not that of the manifest")


def _digest(path: Path, size: int) -> str:
    """SHA-256 of a file of a known size; nothing beyond it is read, and links are not followed."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    found = hashlib.sha256()
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        left = size
        while left > 0 and (data := file.read(min(_CHUNK, left))):
            found.update(data)
            left -= len(data)
    return found.hexdigest()
