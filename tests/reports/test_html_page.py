"""The page as a file: all is escaped, nothing is fetched, only its own scripts run, numbers are those of rows."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from report_rows import HOSTILE, few_rows, hostile_rows, optimal, row

from dnnplan.instances import InputError, Plan
from dnnplan.reports.html import page as pages
from dnnplan.reports.html.document import Cell, Column, Document, Section, Table, View, Words
from dnnplan.reports.html.markup import LARGE, json_block, tag
from dnnplan.reports.html.store_document import store_document
from dnnplan.reports.shown_text import shown

PLOTLY = "/* stands for Plotly */"


class Reading(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text: list[str] = []
        self._inside = ""

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        self._inside = name if name in self.raw else ""
        if self._inside:
            self.raw[name].append("")

    def handle_endtag(self, name):
        self._inside = ""

    def handle_data(self, text):
        if self._inside:
            self.raw[self._inside][-1] += text
        else:
            self.text.append(text)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Plotly is large and has tests of its own; in the browser it is there."""
    monkeypatch.setattr(pages, "plotly_source", lambda: PLOTLY)


def read(text: str) -> Reading:
    reading = Reading()
    reading.feed(text)
    return reading


def figures(text: str) -> list[dict]:
    """The data of all figures."""
    found = []
    for attributes, content in re.findall(
        r'<script type="[^"]*"([^>]*)class="spec">(.*?)</script>', text, re.S
    ):
        packed = "data-packed" in attributes
        found.append(json.loads(gzip.decompress(base64.b64decode(content)) if packed else content))
    return found


@pytest.mark.parametrize("rows", [few_rows, hostile_rows])
def test_only_our_scripts_run_and_nothing_is_fetched(rows):
    found = read(pages.page(store_document(rows(), name=HOSTILE)))
    policy = next(a["content"] for n, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")
    running = [
        text
        for text, (_, attributes) in zip(
            found.raw["script"], [e for e in found.elements if e[0] == "script"], strict=True
        )
        if "type" not in attributes
    ]
    assert running[0] == PLOTLY
    assert len(running) == 2
    for text in (*running, *found.raw["style"]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy
    for _, attributes in found.elements:
        assert not any(
            name.startswith("on") or name in ("src", "srcset", "action", "style") for name in attributes
        )
        assert attributes.get("href", "#").startswith(("#", "data:,"))


def test_hostile_names_are_text():
    text = pages.page(store_document(hostile_rows(), name=HOSTILE))
    found = read(text)
    assert {name for name, _ in found.elements}.isdisjoint(
        ("img", "iframe", "object", "embed", "base", "form", "a b")
    )
    assert "alert('x')" in "".join(found.text)
    assert "<img" not in text.split("<main", 1)[1].rsplit("</main>", 1)[0]
    assert "\u202e" not in "".join(found.text)
    assert "x" * 200 not in "".join(found.text)
    for figure in figures(text):
        for variant in figure["variants"]:
            for trace in variant["traces"]:
                # Plotly reads tags in names and texts.
                for label in (trace.get("name", ""), *(trace.get("text") or [])):
                    assert not re.search(r"<(?!br>)", str(label)), label


def test_ids_are_unique_and_references_lead_somewhere():
    found = read(pages.page(store_document(few_rows(), name="a store")))
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in found.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


def test_every_figure_has_title_caption_label_and_numbers():
    document = store_document(few_rows(), name="a store")
    text = pages.page(document)
    found = figures(text)
    assert {figure["key"] for figure in found} == {
        "means", "pairs", "profiles", "cactus", "gap-over-time", "runs", "scaling",
    }  # fmt: skip
    assert text.count("<figcaption>") == text.count('role="application"') == len(found)
    for figure in found:
        for variant in figure["variants"]:
            assert variant["table"]["rows"]
            assert all(len(row) == len(variant["table"]["columns"]) for row in variant["table"]["rows"])


def test_charts_hold_the_numbers_of_the_rows():
    found = {figure["key"]: figure["variants"] for figure in figures(pages.page(store_document(few_rows())))}
    pairs = found["pairs"][0]["traces"][0]
    assert pairs["y"] == pytest.approx([50.0, 20.0, 0.0])
    profile = {trace["name"]: trace for trace in found["profiles"][0]["traces"]}
    assert profile["heft"]["x"][:3] == pytest.approx([1.0, 1.2, 1.5])
    assert profile["heft"]["y"][:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert profile["cpsat"]["y"] == [1.0, 1.0]
    cactus = found["cactus"][0]["traces"][0]
    assert (cactus["name"], cactus["x"], cactus["y"]) == ("cpsat", [1, 2, 3], [2.0, 4.0, 6.0])


def test_views_are_suites_and_rows_say_theirs():
    rows = [
        *few_rows(),
        *(
            row.__class__(**{**{f: getattr(row, f) for f in row.__struct_fields__}, "suite": "other"})
            for row in few_rows()
        ),
    ]
    document = store_document(rows)
    assert [view.name for view in document.views] == ["All suites", "suite", "other"]
    found = read(pages.page(document))
    groups = [a.get("data-group") for n, a in found.elements if n == "tr" and "data-group" in a]
    assert {"suite", "other"} <= set(groups)
    assert [view.name for view in store_document(rows, suite="other").views] == ["other"]
    with pytest.raises(InputError, match="expected one of suite, other"):
        store_document(rows, suite="none")
    with pytest.raises(InputError, match="no rows to report"):
        store_document([])


def test_plans_of_rows_are_drawn_exact_above_heuristic():
    def plan(*spans: tuple[str, float, float]) -> Plan:
        return Plan(
            placement={f"net/0/{k}": device for k, (device, _, _) in enumerate(spans)},
            times={f"net/0/{k}": (start, end) for k, (_, start, end) in enumerate(spans)},
        )

    rows = [
        optimal("a", "cpsat", 3.0, plan=plan(("npu", 0.0, 2.0), ("cpu", 2.0, 3.0))),
        row("a", "heft", 4.0, plan=plan(("npu", 0.0, 4.0), ("gone", 5.0, 4.0), ("gone", -1.0, 1.0))),
        row("b", "heft", 4.0, plan=Plan(times={"net/0/0": (0.0, 1.0)})),
    ]
    found = [f for f in figures(pages.page(store_document(rows))) if f["key"] == "plans"]
    assert [variant["name"] for variant in found[0]["variants"]] == ["suite: a"]
    variant = found[0]["variants"][0]
    assert variant["layout"]["yaxis"]["ticktext"] == ["cpsat: cpu", "cpsat: npu", "heft: npu"]
    assert [(b, x) for t in variant["traces"] for b, x in zip(t["base"], t["x"], strict=True)] == [
        (2, 1),
        (0, 2),
        (0, 4),
    ]


def test_measurements_alone_make_a_report():
    rows = [row for row in few_rows() if row.kind == "measure"]
    text = "".join(read(pages.page(store_document(rows))).text)
    assert "0 of 1 target are reached; missed: speed." not in text
    assert "0 of 1 target is reached; missed: speed." in text
    assert "✗ missed" in text


def test_long_tables_have_their_rest_as_data():
    rows = [[Cell(f"<{k}>"), Cell(str(k), k, "good")] for k in range(1000)]
    table = Table(title="t", caption="c", columns=[Column("a"), Column("b", True)], rows=rows, long=True)
    text = pages.page(
        Document(title="d", subtitle="", views=[View("v", [Section("s", [Words("w"), table])])])
    )
    assert text.count("<tr") == 1 + pages.MOST_STATIC
    content = re.search(
        r'<script type="text/plain" data-packed class="rest">(.*?)</script>|'
        r'<script type="application/json" class="rest">(.*?)</script>',
        text,
    )
    rest = json.loads(gzip.decompress(base64.b64decode(content[1])) if content[1] else content[2])
    assert len(rest) == 1000 - pages.MOST_STATIC
    assert rest[-1]["cells"] == ["<999>", ["999", 999, "good"]]


def test_data_cannot_end_its_element():
    nasty = {"a": "</script><!--<script>&\n"}
    block = json_block(nasty)
    assert block.count("<") == 2
    assert json.loads(re.search(">(.*)<", block)[1]) == nasty
    assert "data-packed" in json_block("x" * (LARGE + 1))


def test_markup_escapes_what_is_not_markup():
    assert tag("p", "<b>", tag("i", "&"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'


def test_names_are_cut_and_cleaned():
    assert shown("a" * 1000, 11) == "aaaaa…aaaaa"
    assert shown("\x1b[31mred\u202e") == "\ufffd[31mred\ufffd"
