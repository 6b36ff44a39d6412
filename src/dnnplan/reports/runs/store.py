"""Rows in SQLite: one transaction a row, so that whatever kills a run costs at most the row in progress."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from dnnplan.instances import FormatError, InputError
from dnnplan.reports.runs.row import Row
from dnnplan.reports.runs.schema import open_tables

BUSY_SECONDS = 30.0
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file raises; names in messages of SQLite need not be UTF-8."""
LONGEST_CELL = 2**28
"""Bytes; a store may come from somebody else, and no honest row is longer."""

_AS_JSON = ("limits", "versions", "machine")
_COLUMNS = (
    "suite",
    "kind",
    "instance",
    "instance_hash",
    "solver",
    "objective",
    "limits",
    "time_limit",
    "seed",
    "status",
    "stop_reason",
    "value",
    "unit",
    "bound",
    "bound_name",
    "gap",
    "seconds",
    "peak_memory",
    "valid",
    "target",
    "reached",
    "versions",
    "machine",
    "started_at",
    "primal_integral",
    "attempts",
    "worker",
    "limit_memory",
)


class Store:
    """A file of rows.

    Parameters
    ----------
    path
        Made if it does not exist; a store of the first schema is brought up to date.
    read_only
        Open what exists and leave it as it is, whatever its schema. The folder need not be writable.

    Raises
    ------
    InputError
        `read_only`, and there is no such file.
    FormatError
        The file is not a bench store, or one of another schema version. Methods raise it for a store that
        is damaged. A store may come from anybody: nothing in it is run.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, Store(f"{folder}/rows.sqlite") as store:
    ...     store.add(Row(suite="s", instance="i", status="feasible", stop_reason="exhausted", value=2.0))
    ...     [row.value for row in store.rows()]
    [2.0]
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        if read_only:
            if not self.path.is_file():
                raise InputError("no such store; run a suite first: dnnplan bench", source=str(path))
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._connect(read_only)
        except DAMAGE as error:
            raise FormatError(f"not a bench store: {error}", source=str(path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the write-ahead log is folded back into it."""
        self._connection.close()

    def add(self, *rows: Row, instead_of: Iterable[str] = ()) -> None:
        """Write rows in one transaction; one with the same key is replaced, and those with the other keys go.

        Raises
        ------
        OSError
            The disk is full, or the file cannot be written: none of the rows is there.
        """
        names = ["key", *_COLUMNS, "row"]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        marks = ", ".join("?" * len(names))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                f"INSERT INTO rows ({', '.join(names)}) VALUES ({marks}) "
                f"ON CONFLICT (key) DO UPDATE SET {changes}",
                [_cells(row) for row in rows],
            )
            gone = set(instead_of) - {row.key for row in rows}
            self._connection.executemany("DELETE FROM rows WHERE key = ?", [(key,) for key in gone])
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:  # a full disk may have ended it
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                code = errno.ENOSPC if error.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
                raise OSError(code, f"rows cannot be written: {error}", str(self.path)) from error
            raise

    def find(self, key: str) -> Row | None:
        """The row with that key."""
        return next(self._select(" WHERE key = ?", key), None)

    def rows(self, suite: str | None = None) -> list[Row]:
        """All rows, or those of one suite, in the order in which they were first written."""
        return list(self._select() if suite is None else self._select(" WHERE suite = ?", suite))

    def suites(self) -> tuple[str, ...]:
        """Names of the suites that have rows."""
        return tuple(dict.fromkeys(row.suite for row in self._select()))

    def problems(self) -> list[str]:
        """What is wrong with the file: damaged pages, and rows that differ from their columns or key.

        A store that was written by this library and survived whatever killed the writer has none.
        """
        try:
            found = [text for (text,) in self._connection.execute("PRAGMA integrity_check") if text != "ok"]
            known = {c[1] for c in self._connection.execute("PRAGMA table_xinfo(rows)")}
            names = [name for name in ("key", *_COLUMNS) if name in known]
            listed = self._connection.execute(f"SELECT {', '.join(names)} FROM rows ORDER BY id").fetchall()
        except DAMAGE as error:
            return [str(error)]
        for row, cells in zip(self._select(), listed, strict=True):
            expected = dict(zip(("key", *_COLUMNS), _cells(row), strict=False))
            found += [
                f"row {row.key[:12]}: column {name} holds {cell!r}, the row {expected[name]!r}"
                for name, cell in zip(names, cells, strict=True)
                if cell != expected[name]
            ]
        return found

    def _select(self, condition: str = "", *values: str) -> Iterator[Row]:
        try:
            for number, text in self._connection.execute(
                f"SELECT id, row FROM rows{condition} ORDER BY id", values
            ):
                yield _decoded(text, number, self.path)
        except DAMAGE as error:
            raise FormatError(f"a damaged bench store: {error}", source=str(self.path)) from error

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if not read_only:
            return self._opened(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None), False)
        address = self.path.resolve().as_uri() + "?mode=ro"
        try:
            return self._opened(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS), True)
        except sqlite3.OperationalError:
            # A log cannot be set up beside the file, so nobody is writing to it either.
            return self._opened(sqlite3.connect(address + "&immutable=1", uri=True), True)

    def _opened(self, connection: sqlite3.Connection, read_only: bool) -> sqlite3.Connection:
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
            connection.execute("PRAGMA trusted_schema = OFF")
            open_tables(connection, str(self.path), read_only=read_only)
        except BaseException:
            connection.close()
            raise
        return connection


def _decoded(text: Any, number: int, path: Path) -> Row:
    try:
        return msgspec.json.decode(text, type=Row)
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as error:
        raise FormatError(f"row {number} cannot be read: {error}", source=str(path)) from error


def _cells(row: Row) -> list[Any]:
    return [row.key, *(_cell(row, name) for name in _COLUMNS), msgspec.json.encode(row).decode()]


def _cell(row: Row, name: str) -> Any:
    value = getattr(row, name)
    return msgspec.json.encode(value, order="deterministic").decode() if name in _AS_JSON else value
