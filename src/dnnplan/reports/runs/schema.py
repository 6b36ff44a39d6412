"""The tables of a bench store: made in a new file, brought up to date in an older one, refused in any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from dnnplan.instances import FormatError

SCHEMA_VERSION = 2
OLDEST_VERSION = 1
"""Stores of this version on are read; one is brought up to date when it is opened for writing."""
APPLICATION_ID = 0x646E6E70
"""Tells a bench store from any other SQLite file: "dnnp" in ASCII."""

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


def open_tables(connection: sqlite3.Connection, source: str, *, read_only: bool) -> None:
    """Check whose file this is, lay the tables out in a new one, and bring an older one up to date.

    Raises
    ------
    FormatError
        It is not a bench store, or one of another version.
    """
    if not read_only and _pragma(connection, "application_id") == 0 and not _tables(connection):
        _in_transaction(connection, _create)
    _refuse(connection, source)
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if _pragma(connection, "user_version") < SCHEMA_VERSION:
            _in_transaction(connection, _update)


def _refuse(connection: sqlite3.Connection, source: str) -> None:
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
