"""The store keeps every row once, and refuses files that are not its own."""

from __future__ import annotations

import errno
import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dnnplan.instances import Cost, FormatError, InputError, Plan
from dnnplan.reports.runs import SCHEMA_VERSION, Row, Store


def make_row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "suite": "probe",
        "instance": "tiny/hand",
        "instance_hash": "ab" * 32,
        "layers": 6,
        "devices": 2,
        "solver": "heft",
        "time_limit": 2.0,
        "limits": {"energy": 0.5, "calls_per_device": 2.0},
        "seed": 3,
        "versions": {"dnnplan": "0.1.0", "code": "123456789abc"},
        "machine": {"cpu": "Z80", "cores": 1, "memory_gib": 0, "os": "CP/M 2", "python": "CPython 3.11.9"},
        "status": "feasible",
        "stop_reason": "exhausted",
        "value": 0.013,
        "unit": "s",
        "bound": 0.012,
        "bound_name": "critical path",
        "gap": 1 / 13,
        "seconds": 0.25,
        "peak_memory": 2**27,
        "valid": True,
        "started_at": "2026-11-20T10:00:00+00:00",
        "history": ((0.1, 0.014, None), (0.2, 0.013, 0.012)),
        "cost": Cost(
            latency=0.013,
            energy=0.1,
            edp=0.0013,
            traffic=10.0,
            max_load=0.01,
            weighted_completion=0.013,
            tardiness=0.0,
        ),
        "plan": Plan(placement={"hand/0/stem": "npu"}, order={"npu": ("hand/0/stem",)}),
    }
    return Row(**(values | changes))


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    rows = [
        make_row(),
        make_row(seed=4, plan=None, cost=None, value=None, bound=None, gap=None, valid=None),
        make_row(kind="measure", instance="heft-1000x8", solver="", target=0.01, reached=False),
    ]
    with Store(tmp_path / "new" / "store.sqlite") as store:
        for row in rows:
            store.add(row)
    with Store(tmp_path / "new" / "store.sqlite") as store:
        assert store.rows() == rows
        assert store.find(rows[1].key) == rows[1]
        assert store.find("0" * 64) is None


def test_columns_can_be_queried(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.add(make_row())
    connection = sqlite3.connect(tmp_path / "s.sqlite")
    found = connection.execute(
        "SELECT solver, value, valid, json_extract(limits, '$.energy'), json_extract(machine, '$.cpu') "
        "FROM rows"
    ).fetchall()
    connection.close()
    assert found == [("heft", 0.013, 1, 0.5, "Z80")]


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "other"},
        {"instance_hash": "cd" * 32},
        {"solver": "auto"},
        {"objective": "energy"},
        {"limits": {"energy": 0.25}},
        {"time_limit": None},
        {"seed": 4},
        {"workers": 2},
        {"limit_memory": 2**30},
        {"versions": {"dnnplan": "0.1.0", "code": "another"}},
        {"machine": {"cpu": "6502", "cores": 1, "memory_gib": 0, "python": "CPython 3.11.9"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_rows_that_differ_in_what_was_run_are_different_rows(changes: dict[str, Any], tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.add(make_row())
        store.add(make_row(**changes))
        assert len(store.rows()) == 2


def test_the_same_run_again_replaces_its_row(tmp_path: Path) -> None:
    again = make_row(value=0.012, seconds=9.0, started_at="2026-11-21T10:00:00+00:00")
    with Store(tmp_path / "s.sqlite") as store:
        store.add(make_row())
        store.add(again)
        assert store.rows() == [again]


def test_a_full_disk_is_an_os_error_and_costs_only_what_was_being_written(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.add(make_row(seed=1))
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(OSError, match=r"rows cannot be written.*full.*s\.sqlite") as caught:
            store.add(make_row(seed=2), make_row(seed=3, message="x" * 100_000))
        assert caught.value.errno == errno.ENOSPC
        assert [row.seed for row in store.rows()] == [1]
        store._connection.execute("PRAGMA max_page_count = 1000000")
        store.add(make_row(seed=4))
        assert [row.seed for row in store.rows()] == [1, 4]
        assert store.problems() == []


def test_key_does_not_depend_on_the_order_of_limits_or_versions() -> None:
    row = make_row()
    other = make_row(limits=dict(reversed(row.limits.items())), versions=dict(reversed(row.versions.items())))
    assert row.key == other.key


def test_suites_are_told_apart(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        for suite in ("b", "a", "b"):
            store.add(make_row(suite=suite, seed=len(store.rows())))
        assert store.suites() == ("b", "a")
        assert [row.seed for row in store.rows("b")] == [0, 2]


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (SCHEMA_VERSION + 1, "newer")])
def test_other_schema_versions_are_refused_and_left_alone(version: int, word: str, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.add(make_row())
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(FormatError, match=rf"{word} version, {version};.*version {SCHEMA_VERSION}"):
        Store(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (1,)
    connection.close()


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, and long enough to be looked at\n" * 40)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE rows (id INTEGER)")
    connection.close()
    for path, message in ((text, "not a bench store"), (foreign, "but not a bench store")):
        before = path.read_bytes()
        with pytest.raises(FormatError, match=message):
            Store(path)
        assert path.read_bytes() == before


def test_a_row_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.add(make_row())
        with pytest.raises(sqlite3.IntegrityError):
            store.add(msgspec.structs.replace(make_row(seed=9), status=None))
    with Store(path) as store:
        assert [row.seed for row in store.rows()] == [3]


def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as one, Store(path) as two:
        one.add(make_row(seed=1))
        two.add(make_row(seed=2))
        assert [row.seed for row in one.rows()] == [1, 2] == [row.seed for row in two.rows()]


FIRST_SCHEMA = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, suite TEXT NOT NULL, kind TEXT NOT NULL,
    instance TEXT NOT NULL, instance_hash TEXT NOT NULL, solver TEXT NOT NULL, objective TEXT NOT NULL,
    limits TEXT NOT NULL, time_limit REAL, seed INTEGER NOT NULL, status TEXT NOT NULL,
    stop_reason TEXT NOT NULL, value REAL, unit TEXT, bound REAL, bound_name TEXT, gap REAL,
    seconds REAL NOT NULL, peak_memory INTEGER, valid INTEGER, target REAL, reached INTEGER,
    versions TEXT NOT NULL, machine TEXT NOT NULL, started_at TEXT NOT NULL, row TEXT NOT NULL
) STRICT;
PRAGMA application_id = 0x646E6E70;
PRAGMA user_version = 1;
"""
# A row and its key as the first schema wrote them.
FIRST_ROW = {
    "suite": "probe", "kind": "solve", "instance": "tiny/hand", "instance_hash": "ab", "layers": 6,
    "devices": 2, "solver": "heft", "objective": "", "limits": {}, "time_limit": 5.0, "seed": 0, "workers": 2,
    "versions": {"dnnplan": "0.1.0"}, "machine": {"cpu": "Z80", "cores": 1, "python": "CPython 3.11.9"},
    "status": "feasible", "stop_reason": "exhausted", "value": 0.013, "unit": "s", "bound": None,
    "bound_name": None, "gap": None, "seconds": 0.1, "peak_memory": 1, "valid": True, "violations": [],
    "message": "", "started_at": "2026-11-20T10:00:00+00:00", "cost": None, "history": [[0.1, 0.013, None]],
    "plan": None, "target": None, "reached": None,
}  # fmt: skip
FIRST_KEY = "7d96fab02e349c5ca66a2808ba037e4b16e2ecd0e14d77941d3e4f78a938e40f"


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A store of the first schema with one row."""
    path = tmp_path / "first.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(FIRST_SCHEMA)
    cells = {
        k: json.dumps(v, separators=(",", ":"), sort_keys=True) if isinstance(v, dict) else v
        for k, v in FIRST_ROW.items()
    }
    left_out = {"layers", "devices", "workers", "violations", "message", "cost", "history", "plan"}
    names = [name for name in cells if name not in left_out]
    connection.execute(
        f"INSERT INTO rows (key, {', '.join(names)}, row) VALUES ({', '.join('?' * (len(names) + 2))})",
        [FIRST_KEY, *(cells[name] for name in names), json.dumps(FIRST_ROW)],
    )
    connection.commit()
    connection.close()
    return path


def test_a_store_of_the_first_schema_is_brought_up_to_date(first_store: Path) -> None:
    with Store(first_store) as store:
        (row,) = store.rows()
        assert (row.key, row.value, row.attempts, row.worker) == (FIRST_KEY, 0.013, 1, "")
        assert store.find(FIRST_KEY) == row
        store.add(make_row(worker="local-1", limit_memory=2**30))
    with Store(first_store) as store:
        assert len(store.rows()) == 2
        assert store.problems() == []
    connection = sqlite3.connect(first_store)
    assert connection.execute("SELECT worker, limit_memory FROM rows").fetchall() == [
        ("", None),
        ("local-1", 2**30),
    ]
    connection.close()


def test_reading_only_leaves_a_store_as_it_is(first_store: Path) -> None:
    before = first_store.read_bytes()
    first_store.parent.chmod(0o500)
    try:
        with Store(first_store, read_only=True) as store:
            assert [row.key for row in store.rows()] == [FIRST_KEY]
            assert store.problems() == []
    finally:
        first_store.parent.chmod(0o700)
    assert first_store.read_bytes() == before
    with pytest.raises(InputError, match="no such store"):
        Store(first_store.with_name("nonesuch.sqlite"), read_only=True)
    assert not first_store.with_name("nonesuch.sqlite").exists()


def test_rows_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as writer, Store(path, read_only=True) as reader:
        writer.add(make_row())
        assert len(reader.rows()) == 1


def test_a_store_that_computes_its_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE rows")
    connection.execute(
        "CREATE VIEW rows AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS id, '' AS row FROM n"
    )
    connection.commit()
    connection.close()
    for read_only in (False, True):
        with pytest.raises(FormatError, match="not a plain table"):
            Store(path, read_only=read_only)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"suite": 3}', '{"no": "field"}', "[" * 100_000])
def test_a_damaged_row_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.add(make_row())
    connection = sqlite3.connect(path)
    connection.execute("UPDATE rows SET row = ?", (text,))
    connection.commit()
    connection.close()
    with Store(path) as store, pytest.raises(FormatError, match="row 1 cannot be read"):
        store.rows()


def test_problems_names_rows_that_differ_from_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.add(make_row(), make_row(seed=4))
        assert store.problems() == []
    connection = sqlite3.connect(path)
    connection.execute("UPDATE rows SET value = 0.5 WHERE seed = 4")
    connection.commit()
    connection.close()
    with Store(path) as store:
        assert store.problems() == [f"row {make_row(seed=4).key[:12]}: column value holds 0.5, the row 0.013"]


def test_several_rows_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.add(make_row(), msgspec.structs.replace(make_row(seed=9), status=None))
        assert store.rows() == []
        store.add(make_row())
        assert len(store.rows()) == 1
