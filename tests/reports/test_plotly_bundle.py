"""The bundle of Plotly begins fewer kinds of charts, and stays as it is where it looks different."""

from __future__ import annotations

import pytest

from dnnplan.reports.html.plotly_bundle import plotly_source, with_bars_only, with_used_modules

MODULES = [f"m{k}" for k in range(30)]
REGISTER = f"R.register([{','.join(f'{name}()' for name in MODULES)}])"
BARS = (
    'var x0=W((a,b)=>{b.exports={plot:p(),moduleType:"trace",name:"bar",meta:{}}});'
    'var m0=W((a,b)=>{"use strict";b.exports=x0()});var y=1;'
)


def test_only_bars_are_left():
    assert with_bars_only(BARS + REGISTER) == BARS + "R.register([m0()])"


@pytest.mark.parametrize(
    "source",
    [
        "nothing of it",
        REGISTER,
        BARS + REGISTER + REGISTER,
        BARS.replace('name:"bar"', 'name:"box"') + REGISTER,
        BARS.replace("x0()", "m0()") + REGISTER,
        BARS + "R.register([m0(),m1()])",
    ],
)
def test_what_looks_different_stays(source):
    assert with_bars_only(source) == source


def test_the_installed_bundle_is_the_one_that_is_known():
    plotly = pytest.importorskip("plotly.offline")
    text = plotly_source()
    assert "</script" not in text
    assert len(text) < 0.4 * len(plotly.get_plotlyjs())


WRAP = "!function(){var W=(e,t)=>()=>(t||e((t={exports:{}}).exports,t),t.exports);"
USED = "var a=W((e,t)=>{t.exports=b().x});var b=W(e=>{e.x=a});"
UNUSED = "var c=W((e,t)=>{t.exports=d()});var d=W(()=>{c().y});"
LAST = "var z=W((e,t)=>{t.exports=a()});return z()}();"


def test_modules_that_nothing_calls_are_left_out():
    assert with_used_modules(WRAP + USED + UNUSED + LAST) == WRAP + USED + LAST


@pytest.mark.parametrize(
    "source",
    [
        "no bundle at all",
        WRAP + LAST,
        WRAP + USED + "var other=1;" + UNUSED + LAST,
        WRAP + USED + USED + LAST,
    ],
    ids=["no wrapper", "one module", "something between modules", "a name twice"],
)
def test_a_bundle_that_is_built_otherwise_keeps_its_modules(source):
    assert with_used_modules(source) == source
