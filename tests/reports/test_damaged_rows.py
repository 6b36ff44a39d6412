"""Rows of any content, as stores of others may hold them: a report, or a typed error."""

from __future__ import annotations

import random
import warnings

import msgspec
import pytest
from report_rows import few_rows, hostile_rows

from benchmarks.fuzzing import mutations
from dnnplan.instances.errors import DnnplanError
from dnnplan.reports.csv_text import rows_csv
from dnnplan.reports.html import page as pages
from dnnplan.reports.html.store_document import store_document
from dnnplan.reports.markdown import markdown
from dnnplan.reports.runs import Row

EXTREMES = (0.0, -0.0, -1.0, 5e-324, 1e-300, 1e300, 1.7e308, -1.7e308, 1.0)
STATUSES = ("optimal", "feasible", "infeasible", "unknown", "error", "measured", "<b>")
INPUTS = 120


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(pages, "plotly_source", lambda: "/* stands for Plotly */")


def reported(rows: list[Row]) -> bool:
    """Whether there is a report; what is no error of the library is one of the test."""
    try:
        document = store_document(rows, name="rows")
    except DnnplanError:
        return False
    assert pages.page(document).endswith("</html>\n")
    assert markdown(document).startswith("# Runs of rows")
    assert rows_csv(rows).count("\r\n") >= len(rows)
    return True


@pytest.mark.parametrize("made", [few_rows, hostile_rows])
def test_rows_whose_text_is_damaged(made):
    seed = msgspec.json.encode(made())
    accepted = 0
    for number in range(INPUTS):
        data = mutations.mutate_tree(random.Random(number), seed, [seed])
        try:
            rows = msgspec.json.decode(data, type=list[Row])
        except (msgspec.MsgspecError, UnicodeError):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            accepted += reported(rows)
    assert accepted > INPUTS / 20


def extreme(draw: random.Random, row: Row) -> Row:
    """The row with numbers that no run has."""

    def number() -> float:
        return draw.choice(EXTREMES)

    return msgspec.structs.replace(
        row,
        status=draw.choice(STATUSES),
        stop_reason=draw.choice(("proved", "time_limit", "exhausted", "")),
        valid=draw.choice((True, False, None)),
        value=draw.choice((None, number())),
        bound=draw.choice((None, number())),
        gap=draw.choice((None, number())),
        seconds=number(),
        time_limit=draw.choice((None, number())),
        primal_integral=draw.choice((None, number())),
        layers=draw.choice((-5, 0, 1, 2**62)),
        seed=draw.choice((0, 1, -1, 2**62)),
        peak_memory=draw.choice((None, -1, 2**62)),
        history=tuple((number(), draw.choice((None, number())), number()) for _ in range(draw.randrange(4))),
        sense=draw.choice(("min", "max")),
    )


@pytest.mark.parametrize("seed", range(40))
def test_rows_whose_numbers_are_extreme(seed):
    draw = random.Random(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert reported([extreme(draw, row) for row in few_rows() * 2])
