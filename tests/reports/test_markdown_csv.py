"""Reports as Markdown and CSV: the same words and numbers, and nothing that acts."""

from __future__ import annotations

import csv
import io
import re

import pytest
from report_rows import HOSTILE, few_rows, hostile_rows, row

from dnnplan.reports.csv_text import COLUMNS, csv_text, numbers_csv, rows_csv
from dnnplan.reports.html.document import Document, View
from dnnplan.reports.html.store_document import store_document
from dnnplan.reports.markdown import markdown


def test_markdown_has_sections_words_and_tables():
    text = markdown(store_document(few_rows(), name="few.sqlite"))
    assert text.startswith("# Runs of few.sqlite\n")
    for title in ("## Summary", "## Exact against heuristic", "### Performance profiles", "## All rows"):
        assert f"\n{title}\n" in text
    assert "| net-2 |" in text
    assert "+50 %" in text
    columns = {line.count(" | ") for line in text.splitlines() if line.startswith("| net-")}
    assert columns


def test_markdown_of_hostile_names_has_no_html_links_or_cells_of_theirs():
    text = markdown(store_document(hostile_rows(), name=HOSTILE))
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "\u202e" not in text
    tables = re.findall(r"^\|.*\|$", text, re.M)
    assert tables
    heads = [k for k, line in enumerate(tables) if re.fullmatch(r"\|[-:|]+\|", line)]
    assert heads
    for k in heads:
        width = len(re.findall(r"(?<!\\)\|", tables[k]))
        assert len(re.findall(r"(?<!\\)\|", tables[k - 1])) == width
        if k + 1 < len(tables):
            assert len(re.findall(r"(?<!\\)\|", tables[k + 1])) == width


def test_markdown_shows_names_as_they_are():
    """Entities are written once, signs of Markdown have a backslash, addresses are no links."""
    name = r"a<b> & *c* #1 \d [e](f) https://example.org/x www.example.org"
    document = Document(title=name, subtitle="", views=[View("all", [])])
    assert markdown(document).splitlines()[0] == (
        r"# a&lt;b&gt; &amp; \*c\* \#1 \\d \[e\](f) https:\/\/example.org/x www\.example.org"
    )


def test_csv_has_every_row_with_all_digits():
    third = row("third", "heft", 1 / 3, limits={"energy": 2.0}, problem="mapping", limit_memory=10**9)
    rows = [*few_rows(), third]
    read = list(csv.DictReader(io.StringIO(rows_csv(rows))))
    assert list(read[0]) == list(COLUMNS)
    assert len(read) == len(rows)
    assert float(read[-1]["value"]) == 1 / 3
    assert (read[-1]["problem"], read[-1]["limit_memory"]) == ("mapping", "1000000000")
    assert read[-1]["limits"] == '{"energy": 2.0}'
    assert read[-2]["target"] == "2.0"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\n=1"])
def test_csv_never_begins_a_formula(text):
    assert list(csv.reader(io.StringIO(csv_text(["a"], [[text]]))))[1] == [f"'{text}"]
    assert list(csv.reader(io.StringIO(csv_text(["a"], [[-1.5]]))))[1] == ["-1.5"]


def test_csv_of_a_document_is_its_first_chart():
    read = list(csv.reader(io.StringIO(numbers_csv(store_document(few_rows())))))
    assert read[0][:2] == ["method", "kind"]
    assert {line[0] for line in read[1:]} == {"cpsat", "heft"}
