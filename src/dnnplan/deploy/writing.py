"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnnplan.instances.errors import InputError

WRITTEN = ".written-by-dnnplan"
"""File with the names of all others in the folder, a line each: what may be replaced."""
MOST_BYTES = 10_000_000
"""Bytes of that file; a larger one was not written here."""


@contextmanager
def whole_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, beside `target`; it becomes `target` at the end, or disappears after an error.

    Parameters
    ----------
    overwrite
        Replace a folder that has nothing but files that were written here.

    Raises
    ------
    InputError
        `target` is a file, has files and `overwrite` is not set, or has other files.
    """
    require_free_folder(target, overwrite=overwrite)
    beside = f".{target.name[:100]}.{os.getpid()}-{threading.get_ident()}"
    temporary = target.with_name(f"{beside}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        names = sorted(entry.name for entry in temporary.iterdir())
        (temporary / WRITTEN).write_text("\n".join(names), encoding="utf-8")
        require_free_folder(target, overwrite=overwrite)
        if target.exists() and any(target.iterdir()):
            old = target.with_name(f"{beside}.old")
            os.rename(target, old)
            try:
                os.rename(temporary, target)
            except OSError:
                os.rename(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.rename(temporary, target)  # over an empty folder too
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_free_folder(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that cannot be written."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is no folder, expected one to write into")
    if not target.name:
        raise InputError(f"{target}: expected the name of a folder to write")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}")
    names = [entry.name for entry in target.iterdir()] if target.exists() else []
    if names and not overwrite:
        raise InputError(f"{target}: is not empty; --force replaces what an earlier call wrote")
    ours = _written(target) if names else set()
    other = sorted(name for name in names if name not in ours or not (target / name).is_file())
    if other:
        raise InputError(
            f"{target}: has {other[0]!r}, which this command did not write; it is not replaced, choose another folder"
        )


def _written(folder: Path) -> set[str]:
    """Names of the files that were written into a folder here, with that of their list; none where there is no list."""
    path = folder / WRITTEN
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
        return set()
    return {WRITTEN, *path.read_text(encoding="utf-8", errors="replace").split("\n")}


def plain_name(text: str) -> str:
    """A name as part of a file name: letters, digits, ".", "-" and "_"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:60] or "_"
