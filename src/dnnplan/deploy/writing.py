"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnnplan.instances.errors import InputError

_OURS = re.compile(r"manifest\.json|instance\.json|plan\.json|annotations\.json|.*\.(onnx|weights|csv)")
"""Names of the files that may be replaced."""


@contextmanager
def whole_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, beside `target`; it becomes `target` at the end, or disappears after an error.

    Parameters
    ----------
    overwrite
        Replace a folder that has nothing but files of the kinds that are written here.

    Raises
    ------
    InputError
        `target` is a file, has files and `overwrite` is not set, or has files of other kinds.
    """
    require_free_folder(target, overwrite=overwrite)
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        require_free_folder(target, overwrite=overwrite)
        if target.exists() and any(target.iterdir()):
            old = target.with_name(f".{target.name[:100]}.{os.getpid()}.old")
            os.rename(target, old)
            os.rename(temporary, target)
            shutil.rmtree(old)
        else:
            os.rename(temporary, target)  # over an empty folder too
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_free_folder(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that cannot be written."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is no folder, expected one to write into")
    if not target.name or not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}")
    names = [entry.name for entry in target.iterdir()] if target.exists() else []
    if names and not overwrite:
        raise InputError(f"{target}: is not empty; --force replaces what an earlier call wrote")
    other = [name for name in names if not _OURS.fullmatch(name) or not (target / name).is_file()]
    if other:
        raise InputError(
            f"{target}: has {other[0]!r}, which this command did not write; it is not replaced, choose another folder"
        )


def plain_name(text: str) -> str:
    """A name as part of a file name: letters, digits, ".", "-" and "_"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:60] or "_"
