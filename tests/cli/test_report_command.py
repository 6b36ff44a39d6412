"""`dnnplan report`: stores, plans and fronts; HTML, Markdown and CSV; and what is refused."""

from __future__ import annotations

import csv
import json
import sqlite3

import pytest

from benchmarks.synthetic_rows import synthetic_rows
from dnnplan.reports.html import page as pages
from dnnplan.reports.runs import Store


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(pages, "plotly_source", lambda: "/* stands for Plotly */")


@pytest.fixture
def store(tmp_path):
    """A store of 60 rows."""
    path = tmp_path / "rows.sqlite"
    with Store(path) as opened:
        opened.add(*synthetic_rows(60, seeds=2))
    return path


def test_store_to_html(run, store, tmp_path):
    found = run("report", str(store), "--output", "report.html")
    assert found.exit_code == 0, found.output
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "Runs of rows.sqlite" in text
    assert text.count("<figure") >= 7


def test_the_suffix_or_an_option_says_what_is_written(run, store, tmp_path):
    assert run("report", str(store), "-o", "a.md").exit_code == 0
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("# Runs of rows.sqlite")
    assert run("report", str(store), "-o", "a.csv", "--suite", "suite-1").exit_code == 0
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["suite"] for row in rows} == {"suite-1"}
    assert run("report", str(store), "-o", "plain.txt", "--to", "md").exit_code == 0


def test_several_stores_are_one_report(run, store, tmp_path):
    other = tmp_path / "other.sqlite"
    with Store(other) as opened:
        opened.add(*synthetic_rows(20, seeds=2, seed=9))
    assert run("report", str(store), str(other), "-o", "both.csv").exit_code == 0
    assert len((tmp_path / "both.csv").read_text(encoding="utf-8").splitlines()) == 1 + 60 + 20


def test_a_store_is_only_read(run, store):
    before = store.read_bytes()
    assert run("report", str(store), "-o", "a.html").exit_code == 0
    assert store.read_bytes() == before


def test_plan_with_and_without_its_instance(run, hand_plan, tmp_path):
    missing = run("report", hand_plan, "-o", "plan.html")
    assert missing.exit_code == 2
    assert "--instance" in missing.stderr
    assert run("report", hand_plan, "--instance", "tiny/hand", "-o", "plan.html").exit_code == 0
    assert "Where and when: Gantt chart" in (tmp_path / "plan.html").read_text(encoding="utf-8")


def test_result_of_solve_and_its_numbers(run, tmp_path):
    solved = run("solve", "tiny/hand", "--solver", "heft", "--time-limit", "5", "--json")
    (tmp_path / "result.json").write_text(solved.stdout, encoding="utf-8")
    assert run("report", "result.json", "-o", "plan.html").exit_code == 0
    text = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "Plan of tiny/hand" in text
    assert run("report", "result.json", "-o", "plan.csv").exit_code == 0
    with (tmp_path / "plan.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    latency = json.loads(solved.stdout)["cost"]["latency"]
    assert max(float(row["end"]) for row in rows) == pytest.approx(latency)


def test_front(run, tmp_path):
    tree = {
        "front": [{"values": {"latency": 1.0, "energy": 2.0}, "status": "optimal"}],
        "objectives": ["latency", "energy"],
        "chosen": None,
    }
    (tmp_path / "front.json").write_text(json.dumps(tree), encoding="utf-8")
    assert run("report", "front.json", "-o", "front.md").exit_code == 0
    assert "Trade-off of latency and energy" in (tmp_path / "front.md").read_text(encoding="utf-8")


def _sqlite(path):
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE t (a)")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.sqlite", "-o", "a.html"], "no such file"),
        (["none.json", "-o", "a.html"], "none.json"),
        (["rows.sqlite", "-o", "a.pdf"], "expected a name that ends in .html, .md or .csv"),
        (["rows.sqlite", "-o", "no/where/a.html"], "no folder"),
        (["rows.sqlite", "-o", "there.html"], "--force"),
        (["rows.sqlite", "-o", "a.html", "--suite", "none"], "expected one of suite-0"),
        (["other.sqlite", "-o", "a.html"], "not a bench store"),
        (["cut.sqlite", "-o", "a.html"], "cut.sqlite"),
        (["empty.sqlite", "-o", "a.html"], "no rows to report"),
        (["nothing.json", "-o", "a.html"], "nothing.json"),
        (["front.json", "-o", "a.html"], "without points"),
        (["rows.sqlite", "nothing.json", "-o", "a.html"], "several stores or one plan"),
    ],
)
def test_what_cannot_be_reported(run, store, tmp_path, arguments, said):
    (tmp_path / "there.html").write_text("here", encoding="utf-8")
    (tmp_path / "nothing.json").write_text("{}", encoding="utf-8")
    (tmp_path / "front.json").write_text('{"front": []}', encoding="utf-8")
    (tmp_path / "cut.sqlite").write_bytes(store.read_bytes()[:3000])
    _sqlite(tmp_path / "other.sqlite")
    with Store(tmp_path / "empty.sqlite"):
        pass
    found = run("report", *arguments)
    assert found.exit_code == 2, found.output
    assert said in " ".join(found.stderr.split())
    assert not (tmp_path / "a.html").exists()
    assert (tmp_path / "there.html").read_text(encoding="utf-8") == "here"


def test_without_plotly_the_message_says_what_to_install(run, store, monkeypatch, tmp_path):
    import sys

    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    found = run("report", str(store), "-o", "a.html")
    assert found.exit_code == 2
    assert "dnnplan[report]" in found.stderr
    assert run("report", str(store), "-o", "a.md").exit_code == 0
