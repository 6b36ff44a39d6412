"""Arrays of numbers from .npz files that may be damaged or hostile: no pickle, nothing in them runs."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.errors import FormatError

MOST_ARRAYS = 100_000
"""Members of a file."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What zipfile and numpy raise on damaged files."""


def read_npz(path: Path, most: int) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, which unpacked are at most `most` bytes.

    Raises
    ------
    FormatError
        Not such a file, damaged, too large, or with objects or anything but arrays in it. It has no `source`.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            size = sum(member.file_size for member in members)
            if size > most or len(members) > MOST_ARRAYS:
                raise FormatError(
                    f"{size} bytes and {len(members)} arrays unpacked, expected at most {most} bytes"
                )
            return {member.filename.removesuffix(".npy"): _array(packed, member) for member in members}
    except (FormatError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except DAMAGE as error:
        raise FormatError(f"not an .npz file of numbers: {str(error)[:300]}") from None


def _array(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with packed.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, kind = read(file)
        claimed = kind.itemsize
        for length in shape:
            claimed *= length
        # numpy would allocate what the header claims before it finds that there is less.
        if any(length < 0 for length in shape) or claimed > member.file_size:
            raise ValueError(f"an array of {claimed} bytes in {member.file_size} bytes")
        if kind.hasobject:
            raise ValueError("objects, which are never read")
    with packed.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return array
