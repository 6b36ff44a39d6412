"""Profile tables on disk: a folder of Parquet files that only ever appear complete.

Each measurement becomes one file, written beside and renamed, so that a killed run loses the measurement that was
under way and nothing else. `compact` joins the files; if it is killed between writing and removing, rows are there
twice, and readers keep one of each key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnnplan.costs.profile.extras import arrow, parquet
from dnnplan.costs.profile.schema import ABSENT, COLUMNS, ProfileRow, as_record
from dnnplan.instances.errors import FormatError, InputError

MAX_BYTES = 2**30
MAX_ROWS = 5_000_000
MANY_PARTS = 50


class ProfileTable:
    """A table of measurements.

    Parameters
    ----------
    path
        A folder, made when the first rows are written; or, to read only, one Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def parts(self) -> list[Path]:
        """The files of the table, in the order of their names."""
        if self.path.is_file():
            return [self.path]
        return sorted(self.path.glob("*.parquet"))

    def keys(self) -> set[str]:
        """Keys of what has been measured."""
        return {key for part in self.parts() for key in _read(part, ["key"])["key"]}

    def append(self, rows: Sequence[ProfileRow]) -> None:
        """Add rows of one measurement; they are there completely or not at all.

        Raises
        ------
        InputError
            The path is a file.
        """
        if self.path.is_file():
            raise InputError("a single file cannot be appended to; name a folder", source=str(self.path))
        self.path.mkdir(parents=True, exist_ok=True)
        self._write(f"{_digest(rows[0].key)}.parquet", [as_record(row) for row in rows])

    def read(self) -> dict[str, list[Any]]:
        """Every column of the table, a list each.

        Raises
        ------
        InputError
            There is no table.
        FormatError
            A damaged file, or one of other columns.
        """
        parts = self.parts()
        if not parts:
            raise InputError("no table of measurements here", source=str(self.path))
        table: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        seen: set[str] = set()
        for part in parts:
            columns = _read(part, list(COLUMNS))
            keep = [at for at, key in enumerate(columns["key"]) if key not in seen]
            seen.update(columns["key"])
            for name, values in table.items():
                values.extend(columns[name][at] for at in keep)
            if len(table["key"]) > MAX_ROWS:
                raise FormatError(f"more than {MAX_ROWS} rows", source=str(self.path))
        return table

    def compact(self) -> None:
        """Join the files of the folder into one if there are many."""
        parts = self.parts()
        if len(parts) < MANY_PARTS or self.path.is_file():
            return
        columns = self.read()
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        name = f"all-{_digest(*sorted(set(columns['key'])))}.parquet"
        self._write(name, rows)
        for part in parts:
            if part.name != name:
                part.unlink()

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        for stale in self.path.glob(f"{name}.*.part"):
            stale.unlink(missing_ok=True)
        unfinished = self.path / f"{name}.{os.getpid()}.part"
        parquet().write_table(arrow().Table.from_pylist(rows, schema=_schema()), unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)


def _schema() -> Any:
    kinds = {str: arrow().string(), int: arrow().int64(), float: arrow().float64()}
    return arrow().schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def _read(part: Path, columns: list[str]) -> dict[str, list[Any]]:
    try:
        file = parquet().ParquetFile(part)
        unpacked = sum(
            file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups)
        )
        if unpacked > MAX_BYTES or file.metadata.num_rows > MAX_ROWS:
            raise FormatError(f"more than {MAX_BYTES} bytes or {MAX_ROWS} rows", source=str(part))
        there = set(file.schema_arrow.names)
        missing = sorted(set(columns) - there - set(ABSENT))
        if missing:
            raise FormatError(f"no column {', '.join(missing)}", source=str(part))
        stored = [name for name in columns if name in there]
        found: dict[str, list[Any]] = file.read(columns=stored).cast(_part_schema(stored)).to_pydict()
        absent = [name for name in columns if name not in there]
        found |= {name: [ABSENT[name]] * file.metadata.num_rows for name in absent}
    except (arrow().ArrowException, OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"not a table of measurements: {error}", source=str(part)) from None
    return found


def _part_schema(columns: list[str]) -> Any:
    whole = _schema()
    return arrow().schema([whole.field(name) for name in columns])


def _digest(*keys: str) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]
