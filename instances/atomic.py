"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def write_text(text: str, path: str | Path, *, overwrite: bool = False) -> None:
    """Write UTF-8 text to a temporary file in the same folder, then rename it.

    Raises
    ------
    FileExistsError
        The file exists and `overwrite` is not set.
    OSError
        The file cannot be written; nothing is left behind.
    """
    target = Path(path)
    if not overwrite and target.exists():
        raise FileExistsError(f"{target} exists; it is not overwritten unless asked")
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}-{threading.get_ident()}.tmp")
    # Mode "x" rather than a temporary file of the standard library: those only their owner can read.
    with temporary.open("x", encoding="utf-8", newline="\n") as stream:
        try:
            stream.write(text)
            stream.close()
            if overwrite:
                os.replace(temporary, target)
            else:
                _rename_to_new(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            raise


def _rename_to_new(temporary: Path, target: Path) -> None:
    """Rename, but fail where somebody else has made the target in the meantime."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.replace(temporary, target)
    else:
        temporary.unlink()
