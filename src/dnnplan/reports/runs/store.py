"""Rows in SQLite: one transaction a row, so that whatever kills a run costs at most the row in progress."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from dnnplan.instances import FormatError, InputError
from dnnplan.reports.runs.row import Row

SCHEMA_VERSION = 2
OLDEST_VERSION = 1
"""Stores of this version on are read; one is brought up to date when it is opened for writing."""
APPLICATION_ID = 0x646E6E70
"""Tells a bench store from any other SQLite file: "dnnp" in ASCII."""
BUSY_SECONDS = 30.0
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file raises; names in messages of SQLite need not be UTF-8."""
LONGEST_CELL = 2**28
"""Bytes; a store may come from somebody else, and no honest row is longer."""

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
    row TEXT NOT NULL,
    primal_integral REAL,
    attempts INTEGER NOT NULL DEFAULT 1,
    worker TEXT NOT NULL DEFAULT '',
    limit_memory INTEGER
) STRICT;
CREATE INDEX rows_by_suite ON rows (suite, instance, solver);
"""
# What the first schema lacks; its rows are complete with the defaults.
_FROM_1_TO_2 = """
ALTER TABLE rows ADD COLUMN primal_integral REAL;
ALTER TABLE rows ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE rows ADD COLUMN worker TEXT NOT NULL DEFAULT '';
ALTER TABLE rows ADD COLUMN limit_memory INTEGER;
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
        """Write rows in one transaction; one with the same key is replaced, and those with the other keys go."""
        names = ["key", *_COLUMNS, "row"]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        marks = ", ".join("?" * len(names))
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                f"INSERT INTO rows ({', '.join(names)}) VALUES ({marks}) "
                f"ON CONFLICT (key) DO UPDATE SET {changes}",
                [_cells(row) for row in rows],
            )
            gone = set(instead_of) - {row.key for row in rows}
            self._connection.executemany("DELETE FROM rows WHERE key = ?", [(key,) for key in gone])
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
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
        """Check whose file this is, lay the tables out in a new one, and bring an older one up to date."""
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
            connection.execute("PRAGMA trusted_schema = OFF")
            if not read_only and _pragma(connection, "application_id") == 0 and not _tables(connection):
                _in_transaction(connection, _create)
            self._refuse(connection)
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                if _pragma(connection, "user_version") < SCHEMA_VERSION:
                    _in_transaction(connection, _update)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse(self, connection: sqlite3.Connection) -> None:
        source = str(self.path)
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise FormatError("an SQLite file, but not a bench store; name another file", source=source)
        found = _pragma(connection, "user_version")
        if not OLDEST_VERSION <= found <= SCHEMA_VERSION:
            age = "an older" if found < SCHEMA_VERSION else "a newer"
            raise FormatError(
                f"a bench store of {age} version, {found}; this program reads and writes version "
                f"{SCHEMA_VERSION}: name another file to start a new store, or use the program that wrote it",
                source=source,
            )
        # A view could compute for ever, and so could a column that is made up on reading.
        table = connection.execute("SELECT type FROM sqlite_master WHERE name = 'rows'").fetchone()
        made_up = [c[1] for c in connection.execute("PRAGMA table_xinfo(rows)") if c[6]]
        if table != ("table",) or made_up:
            raise FormatError("a bench store whose table of rows is not a plain table", source=source)


def _create(connection: sqlite3.Connection) -> None:
    if _tables(connection):
        return
    _run_script(connection, _SCHEMA)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _update(connection: sqlite3.Connection) -> None:
    if _pragma(connection, "user_version") == OLDEST_VERSION:
        _run_script(connection, _FROM_1_TO_2)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], None]) -> None:
    """Exclusive, so that `work` can look again: two programs may open the same file at once."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    # `executescript` would commit first.
    for statement in filter(str.strip, script.split(";")):
        connection.execute(statement)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT name FROM sqlite_master").fetchall()


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
