"""Every registered suite can be listed, names each case once, and fits the time that is promised for it."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import benchmarks.suites
from benchmarks import everything
from benchmarks.case import Case, Measurement
from benchmarks.data import data_folder
from benchmarks.runner import list_suites
from benchmarks.suites import SUITES, real_networks, smoke, suite_cases, suite_names, suite_seconds
from benchmarks.suites.limits import SECONDS
from benchmarks.timings import MEASUREMENTS
from dnnplan.instances import InputError
from dnnplan.instances.validation import ensure_valid
from dnnplan.reports.runs import Row, Store
from dnnplan.solvers import solver_names
from dnnplan.solvers.registry import PROBLEMS

HALF_AN_HOUR = 1800


@cache
def cases_of(suite: str) -> tuple[Case | Measurement, ...]:
    """The cases of a suite, listed once: some read all their instances for that."""
    return tuple(suite_cases(suite))


def identity(case: Case | Measurement) -> tuple[object, ...]:
    if isinstance(case, Measurement):
        return ("measure", case.name)
    return (case.instance, case.solver, case.objective, tuple(case.limits.items()), case.time_limit)


def test_every_suite_module_is_registered() -> None:
    folder = Path(benchmarks.suites.__file__).parent
    modules = {f"benchmarks.suites.{p.stem}" for p in folder.glob("*.py") if p.stem != "__init__"}
    assert modules == set(SUITES.values())
    assert set(list_suites()) == set(suite_names())
    assert all(summary.strip() for summary in list_suites().values())


@pytest.mark.parametrize("suite", SUITES)
def test_cases_are_unique_and_known(suite: str) -> None:
    cases = cases_of(suite)
    folder = getattr(importlib.import_module(SUITES[suite]), "FOLDER", None)
    if folder is not None and not (data_folder() / folder).is_dir():
        assert cases == ()
        pytest.skip(f"no data in {data_folder() / folder}; set DNNPLAN_DATA")
    if not cases and not data_folder().is_dir():
        pytest.skip(f"no data in {data_folder()}; set DNNPLAN_DATA")
    assert cases
    assert [c for c, n in Counter(map(identity, cases)).items() if n > 1] == []
    for case in cases:
        if isinstance(case, Measurement):
            assert case.name in MEASUREMENTS or case.module != "benchmarks.timings"
            assert callable(importlib.import_module(case.module).measure)
        else:
            assert case.solver in solver_names(case.problem or "mapping")
            assert case.time_limit > 0


@pytest.mark.parametrize(
    "suite", [name for name in SUITES if hasattr(importlib.import_module(SUITES[name]), "FOLDER")]
)
def test_published_instances_can_be_read_and_have_references(suite: str) -> None:
    module = importlib.import_module(SUITES[suite])
    if not (data_folder() / module.FOLDER).is_dir():
        pytest.skip(f"no data in {data_folder() / module.FOLDER}; set DNNPLAN_DATA")
    cases = {case.instance: case for case in cases_of(suite) if isinstance(case, Case)}
    for case in list(cases.values())[::9]:
        assert case.build().platform is not None
    found = {name: module.references(name) for name in cases}
    assert any(found.values())
    for values in found.values():
        assert all(value > 0 for value in values.values())
        assert values.get("best", 0) in (0, *values.values())
    assert module.references(next(iter(cases)))


def test_suites_of_published_instances_are_empty_without_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DNNPLAN_DATA", str(tmp_path))
    assert (
        list(suite_cases("auckland"))
        == list(suite_cases("device-placement"))
        == list(suite_cases("hax-conn"))
        == []
    )


def test_selection_fits_into_half_an_hour() -> None:
    assert suite_seconds("selection") <= HALF_AN_HOUR


def test_selection_covers_what_is_to_be_reached() -> None:
    cases = cases_of("selection")
    assert {c.name for c in cases if isinstance(c, Measurement)} >= set(MEASUREMENTS)
    solves = [c for c in cases if isinstance(c, Case)]
    for name, seconds in ((real_networks.PAIR, 20), (real_networks.FOUR, 60), (real_networks.NINE, 60)):
        assert {(c.solver, c.time_limit) for c in solves if c.instance == name} >= {("auto", seconds)}
    assert {c.solver for c in solves if c.time_limit == SECONDS} == set(solver_names())


@pytest.mark.parametrize("suite", ["small", "generated", "limits"])
def test_generated_instances_are_what_their_names_say(suite: str) -> None:
    seen = set()
    for case in cases_of(suite):
        if isinstance(case, Measurement) or case.instance in seen or case.instance.startswith("phone/"):
            continue
        seen.add(case.instance)
        instance = case.build()
        assert instance == case.build()
        assert instance.platform is not None
        layers = sum(len(model.layers) for model in instance.models)
        assert layers <= 500
        if "x" in case.instance:
            part = next(p for p in case.instance.split("-") if "x" in p and p[0].isdigit())
            assert part == f"{layers}x{len(instance.platform.devices)}"
    assert seen


def test_small_goes_through_all_execution_settings_it_has_room_for() -> None:
    from dnnplan.instances.generators import all_executions

    cases = [c for c in cases_of("small") if isinstance(c, Case)]
    platforms = {c.instance: c.build().platform for c in cases}
    built = {name: platform.execution for name, platform in platforms.items() if platform is not None}
    assert len(built) == len(platforms)
    assert set(built.values()) == set(list(all_executions())[: len(built)])


def test_an_unknown_suite_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"nonesuch: no such suite, expected one of selection"):
        list(suite_cases("nonesuch"))


def test_smoke_fits_into_three_minutes_and_has_every_problem_exact_and_heuristic() -> None:
    cases = [case for case in cases_of("smoke") if isinstance(case, Case)]
    assert suite_seconds("smoke") <= smoke.MOST_SECONDS
    assert {case.problem or "mapping" for case in cases} == set(PROBLEMS)
    exact = {"cpsat", "milp", "auto", "labels", "dynamic"}
    for instance in {case.instance for case in cases}:
        solvers = {case.solver for case in cases if case.instance == instance}
        assert solvers & exact
        assert solvers - exact


@pytest.mark.parametrize("instance", sorted({c.instance for c in cases_of("smoke") if isinstance(c, Case)}))
def test_smoke_instances_are_valid_and_always_the_same(instance: str) -> None:
    case = next(c for c in cases_of("smoke") if isinstance(c, Case) and c.instance == instance)
    built = case.build()
    ensure_valid(built)
    assert built.hash() == case.build().hash()


def test_bench_all_runs_every_suite_and_writes_every_page() -> None:
    assert sorted(everything.order()) == sorted(SUITES)
    written = [suite for suites in everything.pages().values() for suite in suites]
    assert sorted(written) == sorted(SUITES)
    makefile = (Path(benchmarks.suites.__file__).parents[2] / "Makefile").read_text()
    for variable, page in (("MAPPING", "mapping"), ("TASKS", "tasks"), ("COSTS", "predictors")):
        (line,) = [text for text in makefile.splitlines() if text.startswith(f"{variable} :=")]
        assert set(line.split(":=")[1].split()) == set(everything.PAGES[page]) - {"sop-long"}


def test_the_protocol_lists_every_suite_with_the_minutes_it_can_take() -> None:
    page = (Path(benchmarks.suites.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)`(?: \*)? \| (.+) \| (\d+) \|$", page, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(SUITES)
    # Suites of published data have no cases where the data are not.
    assert {name for name, _, minutes in rows if suite_seconds(name) > 60 * int(minutes)} == set()


def test_bench_all_goes_on_after_a_suite_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run(name: str, store: Path, **options: object) -> list[Row]:
        ran.append(name)
        status = "error" if name == "speed" else "measured"
        row = Row(suite=name, kind="measure", instance="x", status=status, stop_reason="error")
        with Store(store) as opened:
            opened.add(row)
        return [row]

    monkeypatch.setattr(everything, "run_suite", run)
    monkeypatch.setattr(everything, "order", lambda: ["speed", "smoke"])
    monkeypatch.setattr(everything.growth, "main", lambda arguments: 0)
    assert everything.main(["--results", str(tmp_path)]) == 1
    assert ran == ["speed", "smoke"]
    assert {path.name for path in tmp_path.glob("*.md")} == {"speed.md", "smoke.md"}
