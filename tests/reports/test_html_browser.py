"""Reports in Chromium: silent, offline, drawn, zoomed, read with the keyboard, in both themes and on a phone."""

from __future__ import annotations

import pytest
from report_plans import spread_evaluation
from report_rows import few_rows, hostile_rows

from benchmarks import browser
from benchmarks.synthetic_rows import synthetic_rows
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.html.front_document import front_document
from dnnplan.reports.html.page import page
from dnnplan.reports.html.plan_document import plan_document
from dnnplan.reports.html.store_document import store_document

_LACKING = browser.missing()
pytestmark = pytest.mark.skipif(_LACKING is not None, reason=_LACKING or "")

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file for each kind of report."""
    folder = tmp_path_factory.mktemp("reports")
    evaluation = spread_evaluation("h2h/casia-surf-0.25")
    front = {
        "front": [{"values": {"latency": 1.0 + k, "energy": 8.0 - k}, "status": "optimal"} for k in range(4)],
        "objectives": ["latency", "energy"],
        "chosen": 1,
    }
    documents = {
        "few": store_document(few_rows(), name="few.sqlite"),
        "hostile": store_document(hostile_rows(), name="hostile.sqlite"),
        "many": store_document(synthetic_rows(300, seeds=2), name="many.sqlite"),
        "plan": plan_document(load_bundled("h2h/casia-surf-0.25"), evaluation.plan),
        "front": front_document(front),
    }
    for name, document in documents.items():
        (folder / f"{name}.html").write_text(page(document), encoding="utf-8")
    return folder


class Opened:
    """A page, with all that it said and asked for."""

    def __init__(self, chromium, path, **context) -> None:
        self.context = chromium.new_context(**{**DESK, **context})
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context.on("page", self._listen)
        self.page = browser.open_report(self.context, path)

    def _listen(self, opened) -> None:
        opened.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        opened.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        opened.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        opened.on("request", lambda request: self.asked.append(request.url))

    def chart(self, key: str) -> str:
        """Selector of a chart that can be seen."""
        return f'[data-view]:not([hidden]) figure[data-figure="{key}"] .chart'

    def data(self, key: str):
        """Traces of a chart, as Plotly has them."""
        script = """element => element.data.map(
            t => ({name: t.name, x: t.x, y: t.y, base: t.base, visible: t.visible}))"""
        return self.page.eval_on_selector(self.chart(key), script)

    def range(self, key: str) -> list[float]:
        """Range of the axis that zooms."""
        return self.page.eval_on_selector(
            self.chart(key), "element => element._fullLayout.xaxis.range.map(Number)"
        )


@pytest.fixture
def opened(chromium, files):
    """A function that opens a report; every page must have been silent and offline in the end."""
    all_ = []

    def go(name: str, **context) -> Opened:
        all_.append((Opened(chromium, files / f"{name}.html", **context), name))
        return all_[-1][0]

    yield go
    for one, name in all_:
        assert one.said == []
        # What is made inside the page (pictures of charts) has no address of its own.
        outside = [url for url in one.asked if not url.startswith(("data:", "blob:"))]
        assert outside == [(files / f"{name}.html").resolve().as_uri()]
        one.context.close()


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("few", "dark"), ("hostile", "light"), ("many", "light"), ("plan", "dark"), ("front", "light")],
)
def test_reports_draw_all_charts_silently_and_offline(opened, name, scheme):
    found = opened(name, color_scheme=scheme).page
    script = """() => [...document.querySelectorAll('[data-view]:not([hidden]) .chart')]
        .map(c => c.querySelectorAll('.main-svg').length)"""
    drawn = found.evaluate(script)
    assert drawn
    assert all(drawn)


def test_charts_hold_the_numbers_of_the_store(opened):
    found = opened("few")
    profiles = {trace["name"]: trace for trace in found.data("profiles")}
    assert profiles["heft"]["x"][:3] == pytest.approx([1.0, 1.2, 1.5])
    assert profiles["heft"]["y"][:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    cactus = found.data("cactus")[0]
    assert (cactus["x"], cactus["y"]) == ([1, 2, 3], [2, 4, 6])
    assert found.data("pairs")[0]["y"] == pytest.approx([50, 20, 0])


def test_intervals_are_drawn(opened):
    found = opened("few")
    assert found.page.locator(f"{found.chart('means')} .errorbar path").count() >= 1


def test_gantt_holds_the_times_of_the_plan(opened):
    found = opened("plan")
    evaluation = spread_evaluation("h2h/casia-surf-0.25")
    ends = [
        b + x
        for trace in found.data("gantt")
        if trace["base"]
        for b, x in zip(trace["base"], trace["x"], strict=True)
    ]
    size = 1e-3 if evaluation.cost.latency < 1 else 1.0
    assert max(ends) * size == pytest.approx(evaluation.cost.latency, rel=1e-6)


def test_hover_tells_what_is_there(opened):
    found = opened("plan")
    chart = found.page.locator(found.chart("gantt"))
    chart.scroll_into_view_if_needed()
    bar = chart.locator(".barlayer .trace").first.locator(".point path").first
    box = bar.bounding_box()
    found.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    found.page.wait_for_selector(f"{found.chart('gantt')} .hoverlayer .hovertext", timeout=5000)
    text = chart.locator(".hoverlayer").text_content()
    assert " on " in text
    assert "network" in text


def test_zoom_with_mouse_buttons_and_keys(opened):
    found = opened("plan")
    chart = found.page.locator(found.chart("gantt"))
    chart.scroll_into_view_if_needed()
    whole = found.range("gantt")
    box = chart.locator(".nsewdrag").first.bounding_box()
    y = box["y"] + box["height"] / 2
    found.page.mouse.move(box["x"] + 0.3 * box["width"], y)
    found.page.mouse.down()
    found.page.mouse.move(box["x"] + 0.6 * box["width"], y, steps=5)
    found.page.mouse.up()
    found.page.wait_for_timeout(200)
    dragged = found.range("gantt")
    assert dragged[1] - dragged[0] == pytest.approx(0.3 * (whole[1] - whole[0]), rel=0.05)
    figure = found.page.locator('figure[data-figure="gantt"]')
    figure.get_by_role("button", name="Show all").click()
    assert found.range("gantt") == pytest.approx(whole)
    figure.get_by_role("button", name="Zoom in").click()
    nearer = found.range("gantt")
    assert nearer[1] - nearer[0] == pytest.approx((whole[1] - whole[0]) / 2)
    chart.focus()
    found.page.keyboard.press("0")
    assert found.range("gantt") == pytest.approx(whole)
    found.page.keyboard.press("+")
    assert found.range("gantt") == pytest.approx(nearer)


def test_arrows_go_from_bar_to_bar_and_say_them(opened):
    found = opened("plan")
    found.page.locator(found.chart("gantt")).focus()
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        found.page.keyboard.press(key)
        said.append(found.page.locator('figure[data-figure="gantt"] .spoken').text_content())
    assert len(set(said)) == 3
    assert all("<" not in text and text for text in said)
    assert found.page.locator('figure[data-figure="gantt"] .spoken').get_attribute("aria-live") == "polite"


def test_everything_is_reached_with_the_tabulator(opened):
    found = opened("few")
    seen = set()
    for _ in range(120):
        found.page.keyboard.press("Tab")
        script = """() => { const e = document.activeElement;
            return e.closest('figure')?.dataset.figure || e.closest('.table')?.dataset.title || e.tagName; }"""
        seen.add(found.page.evaluate(script))
    assert {"means", "profiles", "cactus", "gap-over-time", "Methods"} <= seen


def test_legend_switches_methods_off_and_on(opened):
    found = opened("few")
    key = found.page.locator('figure[data-figure="profiles"] .keys button', has_text="heft")
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    assert {t["name"]: t["visible"] for t in found.data("profiles")}["heft"] == "legendonly"
    key.click()
    assert {t["name"]: t["visible"] for t in found.data("profiles")}["heft"] is True


def test_variants_change_chart_and_numbers(opened):
    found = opened("few")
    figure = found.page.locator('figure[data-figure="profiles"]')
    figure.locator("details summary").click()
    first = figure.locator("details tbody").text_content()
    figure.locator("label", has_text="time until proven").click()
    found.page.wait_for_timeout(100)
    assert [trace["name"] for trace in found.data("profiles")] == ["cpsat", "heft"]
    assert figure.locator("details tbody").text_content() != first


def test_theme_follows_the_system_and_the_button(opened):
    found = opened("few", color_scheme="dark")

    def ground() -> str:
        return found.page.evaluate("() => getComputedStyle(document.body).backgroundColor")

    def grid() -> str:
        return found.page.eval_on_selector(
            found.chart("profiles"), "element => element._fullLayout.yaxis.gridcolor"
        )

    dark = ground(), grid()
    found.page.locator("#theme").click()
    light = ground(), grid()
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    # The name of the button is what it does; a state beside it would say the opposite.
    assert "Dark" in found.page.locator("#theme").text_content()
    assert found.page.locator("#theme").get_attribute("aria-pressed") is None


def test_tables_are_searched_sorted_and_turned(opened):
    found = opened("many")
    table = found.page.locator('.table[data-title="All rows"]')
    assert "1 to 25 of 300" in table.locator(".pages").text_content()
    table.get_by_role("button", name="Next page").click()
    assert "26 to 50 of 300" in table.locator(".pages").text_content()
    assert table.locator("tbody tr:visible").count() == 25
    table.get_by_role("searchbox").fill("heft net-1")
    found.page.wait_for_timeout(100)
    texts = table.locator("tbody tr:visible").all_text_contents()
    assert texts
    assert all("heft" in text and "net-1" in text for text in texts)
    table.get_by_role("searchbox").fill("")
    table.locator("thead button", has_text="value").click()
    column = [head.text_content() for head in table.locator("thead th").all()].index("value")
    values = table.locator(f"tbody tr:visible td:nth-child({column + 1})").evaluate_all(
        "cells => cells.map(c => +c.dataset.v)"
    )
    assert values == sorted(values)
    assert len(values) == 25
    table.get_by_role("button", name="Show all").click()
    assert table.locator("tbody tr:visible").count() == 300


def test_views_filter_charts_and_rows_by_suite(opened):
    found = opened("many")
    found.page.evaluate("() => { delete document.documentElement.dataset.complete; }")
    found.page.locator("#view").select_option(label="suite-2")
    found.page.wait_for_selector(browser.READY, state="attached")
    assert found.page.locator(found.chart("profiles")).count() == 1
    groups = found.page.locator('.table[data-title="All rows"] tbody tr:visible').evaluate_all(
        "rows => rows.map(r => r.dataset.group)"
    )
    assert set(groups) == {"suite-2"}


@pytest.mark.parametrize("name", ["hostile", "plan"])
def test_pages_fit_a_phone(opened, name):
    found = opened(name, **PHONE).page
    width = found.evaluate("() => document.documentElement.scrollWidth")
    assert width <= PHONE["viewport"]["width"]
    small = found.evaluate(
        """() => [...document.querySelectorAll('.tools button, .keys button')]
            .filter(b => b.offsetHeight && b.offsetHeight < 24).length"""
    )
    assert small == 0


def test_words_and_tables_are_there_without_scripts(chromium, files):
    context = chromium.new_context(java_script_enabled=False)
    found = context.new_page()
    found.goto((files / "few.html").resolve().as_uri())
    assert found.locator("p.lead").is_visible()
    assert found.locator('.table[data-title="Exact against heuristic"] tbody tr').count() == 3
    assert found.locator(".noscript").is_visible()
    context.close()


def test_every_control_has_a_name_and_every_chart_a_description(opened):
    found = opened("few").page
    script = """() => {
        const named = (e) => (e.getAttribute('aria-label') || e.textContent
            || e.closest('label')?.textContent || '').trim();
        const controls = [...document.querySelectorAll('button, select, input')].filter((e) => !named(e));
        const charts = [...document.querySelectorAll('.chart')].filter((e) =>
            !document.getElementById(e.getAttribute('aria-labelledby'))
            || !document.getElementById(e.getAttribute('aria-describedby').split(' ')[0]).textContent);
        const levels = [...document.querySelectorAll('main h2, main h3')].length;
        const letters = (text) => text.toLowerCase().replace(/[^a-z ]/g, '').trim();
        const misnamed = [...document.querySelectorAll('button[aria-label]')].filter((e) =>
            !letters(e.getAttribute('aria-label')).includes(letters(e.textContent)));
        return [controls.length, charts.length, misnamed.length, levels > 0];
    }"""
    assert found.evaluate(script) == [0, 0, 0, True]


def test_what_is_switched_off_can_be_read(opened):
    found = opened("few")
    found.page.locator('figure[data-figure="profiles"] .keys button', has_text="heft").click()
    for scheme in ("light", "dark"):
        found.page.emulate_media(color_scheme=scheme)
        script = """() => {
            const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            const parts = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
            const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
            const key = document.querySelector('.keys button[aria-pressed="false"]');
            const card = parts(getComputedStyle(key.closest('figure')).backgroundColor);
            const { color, opacity } = getComputedStyle(key);
            const mixed = parts(color).map((v, k) => opacity * v + (1 - opacity) * card[k]);
            const [x, y] = [light(mixed), light(card)].sort((p, q) => q - p);
            return (x + 0.05) / (y + 0.05);
        }"""
        assert found.page.evaluate(script) >= 4.5


def test_colours_of_text_have_contrast(opened):
    found = opened("few").page
    for scheme in ("light", "dark"):
        found.emulate_media(color_scheme=scheme)
        script = """() => {
            const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            const light = (text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).map((v) => linear(v / 255));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ratio = (a, b) => {
                const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
                return (x + 0.05) / (y + 0.05);
            };
            const card = getComputedStyle(document.querySelector('figure')).backgroundColor;
            return ['.good', '.bad', 'figcaption p', 'h3', 'td']
                .map((s) => document.querySelector(`main ${s}`)).filter(Boolean)
                .map((e) => ratio(getComputedStyle(e).color, card));
        }"""
        assert min(found.evaluate(script)) >= 4.5
