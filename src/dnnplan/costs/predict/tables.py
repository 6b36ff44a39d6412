"""Operators and networks with measured latencies, as columns, and a careful reader of gzip CSV files."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.errors import FormatError, InputError

FloatArray = NDArray[np.float64]
TextArray = NDArray[np.str_]

MAX_BYTES = 256 * 2**20
"""Bytes of a table after decompression."""
MAX_ROWS = 2_000_000
MAX_FIELD = 4096
"""Characters of one cell."""
CHUNK = 2**20


@dataclass(frozen=True)
class Operators:
    """Measured operators, one a row.

    Attributes
    ----------
    network, kind, kernel
        (n,) texts: the network an operator is in ("" none), its type, and the kernel that ran it ("" unknown).
    columns
        name -> (n,) numbers as published; NaN: the operator has no such property.
    latency
        (n,) seconds.
    """

    network: TextArray
    kind: TextArray
    kernel: TextArray
    columns: dict[str, FloatArray]
    latency: FloatArray

    def __len__(self) -> int:
        return len(self.latency)

    def take(self, rows: NDArray[Any]) -> Operators:
        """Some rows, by a mask or by indices."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Operators(self.network[rows], self.kind[rows], self.kernel[rows], columns, self.latency[rows])


@dataclass(frozen=True)
class EndToEnd:
    """Measured networks: (m,) names and (m,) seconds."""

    network: TextArray
    latency: FloatArray


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, plain or gzip, within limits of size.

    Raises
    ------
    FormatError
        Not gzip although called .gz, damaged, not UTF-8, too large, rows of unequal length, a column twice, no rows.
    """
    text = _text(path)
    old = csv.field_size_limit(MAX_FIELD)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise FormatError(f"column {twice[0]!r} is there twice", source=str(path))
        rows: list[dict[str, str]] = []
        for cells in reader:
            if len(cells) != len(header):
                raise FormatError(
                    f"line {reader.line_num}: {len(cells)} cells, expected {len(header)}", source=str(path)
                )
            if len(rows) == MAX_ROWS:
                raise FormatError(f"more than {MAX_ROWS} rows", source=str(path))
            rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise FormatError(f"not a CSV table: {error}", source=str(path)) from None
    finally:
        csv.field_size_limit(old)
    if not rows:
        raise FormatError("no rows", source=str(path))
    return rows


def _text(path: Path) -> str:
    """The text of a file, decompressed by its first two bytes, never more than `MAX_BYTES` of it."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if path.suffix == ".gz" and not packed:
            raise FormatError("called .gz but not gzip (a Git LFS pointer?)", source=str(path))
        parts, size = [], 0
        with gzip.open(raw) if packed else raw as file:
            try:
                while chunk := file.read(CHUNK):
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise FormatError(f"larger than {MAX_BYTES} bytes unpacked", source=str(path))
                    parts.append(chunk)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise FormatError(f"damaged gzip: {error}", source=str(path)) from None
    try:
        return b"".join(parts).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error.reason} at byte {error.start}", source=str(path)) from None


def need_columns(rows: list[dict[str, str]], names: tuple[str, ...], path: Path) -> None:
    """Every one of the columns is there."""
    missing = [name for name in names if name not in rows[0]]
    if missing:
        raise InputError(f"no column {', '.join(map(repr, missing))}", source=str(path))


def number(text: str, where: str, path: Path, *, above: float = -math.inf) -> float:
    """A finite number greater than `above`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > above):
        wanted = "a number" if above == -math.inf else f"a number above {above:g}"
        raise FormatError(f"{where}: {text!r}, expected {wanted}", source=str(path))
    return value
