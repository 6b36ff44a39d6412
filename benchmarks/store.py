"""Rows in SQLite: one transaction a row, so that whatever kills a run costs at most the row in progress."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from benchmarks.row import Row
from dnnplan.instances import FormatError

SCHEMA_VERSION = 1
APPLICATION_ID = 0x646E6E70
"""Tells a bench store from any other SQLite file: "dnnp" in ASCII."""
BUSY_SECONDS = 30.0

# Columns hold what people query; `row` holds all of it.
_SCHEMA = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    suite TEXT NOT NULL,
    kind TEXT NOT NULL,
    instance TEXT NOT NULL,
    instance_hash TEXT NOT NULL,
    solver TEXT NOT NULL,
    objective TEXT NOT NULL,
    limits TEXT NOT NULL,
    time_limit REAL,
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    stop_reason TEXT NOT NULL,
    value REAL,
    unit TEXT,
    bound REAL,
    bound_name TEXT,
    gap REAL,
    seconds REAL NOT NULL,
    peak_memory INTEGER,
    valid INTEGER,
    target REAL,
    reached INTEGER,
    versions TEXT NOT NULL,
    machine TEXT NOT NULL,
    started_at TEXT NOT NULL,
    row TEXT NOT NULL
) STRICT;
CREATE INDEX rows_by_suite ON rows (suite, instance, solver);
"""
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
)


class Store:
    """A file of rows.

    Parameters
    ----------
    path
        Made if it does not exist.

    Raises
    ------
    FormatError
        The file is not a bench store, or one of another schema version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise FormatError(f"not a bench store: {error}", source=str(path)) from error
        except FormatError:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the write-ahead log is folded back into it."""
        self._connection.close()

    def add(self, row: Row) -> None:
        """Write a row in a transaction of its own; one with the same key is replaced."""
        names = ["key", *_COLUMNS, "row"]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        marks = ", ".join("?" * len(names))
        self._connection.execute(
            f"INSERT INTO rows ({', '.join(names)}) VALUES ({marks}) "
            f"ON CONFLICT (key) DO UPDATE SET {changes}",
            [row.key, *(_cell(row, name) for name in _COLUMNS), msgspec.json.encode(row).decode()],
        )

    def find(self, key: str) -> Row | None:
        """The row with that key."""
        found = self._connection.execute("SELECT row FROM rows WHERE key = ?", (key,)).fetchone()
        return None if found is None else msgspec.json.decode(found[0], type=Row)

    def rows(self, suite: str | None = None) -> list[Row]:
        """All rows, or those of one suite, in the order in which they were written."""
        return list(self._select(suite))

    def suites(self) -> tuple[str, ...]:
        """Names of the suites that have rows."""
        found = self._connection.execute("SELECT suite FROM rows GROUP BY suite ORDER BY min(id)").fetchall()
        return tuple(name for (name,) in found)

    def _select(self, suite: str | None) -> Iterator[Row]:
        condition, values = ("", ()) if suite is None else (" WHERE suite = ?", (suite,))
        for (text,) in self._connection.execute(f"SELECT row FROM rows{condition} ORDER BY id", values):
            yield msgspec.json.decode(text, type=Row)

    def _open(self) -> None:
        """Check whose file this is, and lay the tables out in a new one."""
        if self._pragma("application_id") == 0 and not self._tables():
            self._create()
        if self._pragma("application_id") != APPLICATION_ID:
            raise FormatError(
                "an SQLite file, but not a bench store; name another file", source=str(self.path)
            )
        found = self._pragma("user_version")
        if found != SCHEMA_VERSION:
            age = "an older" if found < SCHEMA_VERSION else "a newer"
            raise FormatError(
                f"a bench store of {age} version, {found}; this program reads and writes version "
                f"{SCHEMA_VERSION}: name another file to start a new store, or use the program that wrote it",
                source=str(self.path),
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    def _create(self) -> None:
        # Exclusive, and asked again inside: two runs may open the same new file.
        self._connection.execute("BEGIN EXCLUSIVE")
        try:
            if not self._tables():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _tables(self) -> list[Any]:
        return self._connection.execute("SELECT name FROM sqlite_master").fetchall()


def _cell(row: Row, name: str) -> Any:
    value = getattr(row, name)
    return msgspec.json.encode(value, order="deterministic").decode() if name in _AS_JSON else value
