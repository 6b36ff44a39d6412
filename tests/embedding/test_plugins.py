"""What other packages add: the example package as if it were installed, and broken packages beside it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dnnplan
from dnnplan.cli.app import app
from dnnplan.costs.filled import read_costs
from dnnplan.instances import InputError, PluginError, UnsupportedError, plugins
from dnnplan.instances.formats import describe_formats, format_names
from dnnplan.solvers import get_solver, solver_names
from dnnplan.solvers.conformance import check_solver

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "dnnplan-example"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path_factory, monkeypatch) -> Iterator[Install]:
    """A function that installs a package: its entry points by group, and its folder of modules."""
    site = tmp_path_factory.mktemp("site")
    before = set(sys.modules)

    def install(
        package: str, groups: dict[str, dict[str, str]], *, code: str = "", folder: Path | None = None
    ) -> None:
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = []
        for group, entries in groups.items():
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        if code:
            (site / f"{package.replace('-', '_')}.py").write_text(code)
        if folder is not None:
            monkeypatch.syspath_prepend(folder)
        plugins.forget()

    monkeypatch.syspath_prepend(site)
    yield install
    plugins.forget()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.fixture
def example(install: Install) -> None:
    """The example package, from its own pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    install(project["name"], project["entry-points"], folder=EXAMPLE)


@pytest.mark.usefixtures("example")
def test_the_tests_of_the_example_package_pass() -> None:
    """In this process, where the package is as good as installed; `.ci/run` installs it."""
    assert pytest.main(["-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]) == 0


@pytest.mark.usefixtures("example")
def test_plug_ins_are_listed_by_the_command_line() -> None:
    assert "example_restarts" in CliRunner().invoke(app, ["solvers", "--problem", "mapping"]).stdout
    assert "example-edges" in CliRunner().invoke(app, ["formats"]).stdout


BROKEN = {
    "unimportable": ("broken_package:Nothing", "cannot be imported: ImportError: no such thing here"),
    "missing": ("broken_fine:Nothing", "cannot be imported: AttributeError"),
    "no_solver": ("broken_fine:Empty", "is no solver"),
    "failing": ("broken_fine:Failing", "cannot be made: ZeroDivisionError"),
    "elsewhere": ("broken_fine:Elsewhere", "is for the problem 'ordering', and registered for 'mapping'"),
    "plain": ("broken_fine:Plain", "`capabilities`"),
}
FINE = """
from dnnplan.solvers import Capabilities
class Empty: pass
class Failing:
    def __init__(self): 1 / 0
class Plain:
    summary = "has no capabilities"
    capabilities = {}
    def run(self, problem, search): pass
class Elsewhere(Plain):
    capabilities = Capabilities(problem="ordering")
read = 1
def detect(path, head): raise RuntimeError("no idea")
def failing(entry, folder): raise KeyError("seconds")
def odd(entry, folder): return 3
"""


@pytest.fixture
def broken(install: Install, tmp_path: Path) -> None:
    install("broken-package", {plugins.SOLVERS: {}}, code='raise ImportError("no such thing here")')
    solvers = {name: value for name, (value, _) in BROKEN.items()}
    install(
        "broken-fine",
        {
            plugins.SOLVERS: {**solvers, "heft": "broken_fine:Plain"},
            plugins.FORMATS: {"gone": "broken_package", "half": "broken_fine", "native": "broken_fine"},
            plugins.COSTS: {
                "failing": "broken_fine:failing",
                "odd": "broken_fine:odd",
                "mcu": "broken_fine:odd",
            },
        },
        code=FINE,
    )


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_solver_is_an_error_that_names_its_package(name: str) -> None:
    assert name in solver_names()
    with pytest.raises(PluginError) as caught:
        dnnplan.solve(dnnplan.load("tiny/hand"), name)
    assert BROKEN[name][1] in str(caught.value)
    assert "package broken-fine" in str(caught.value)
    assert "pip uninstall broken-fine" in str(caught.value)


@pytest.mark.usefixtures("broken")
def test_everything_else_works_beside_broken_packages() -> None:
    assert dnnplan.solve(dnnplan.load("tiny/hand"), time_limit=20).status == "optimal"
    assert type(get_solver("heft")).__module__.startswith("dnnplan."), "own names cannot be taken"
    listed = CliRunner().invoke(app, ["solvers", "--problem", "mapping"])
    assert listed.exit_code == 0
    assert "cpsat" in listed.stdout
    assert "unimportable" not in listed.stdout
    for name, (_, what) in BROKEN.items():
        assert f"'{name}' of the package broken-fine" in listed.stderr
        assert what in listed.stderr.replace("\n", " ")
    assert "'heft' of the package broken-fine (broken_fine:Plain) is not used" in listed.stderr


@pytest.mark.usefixtures("broken")
def test_broken_formats_recognise_nothing_and_break_nothing(tmp_path: Path, caplog) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"format_version": "1.0"}')
    assert dnnplan.load(path).models == ()
    assert format_names()[-1] == "native"
    assert not {"gone", "half"} & {row.name for row in describe_formats()}
    with pytest.raises(PluginError, match=r"half.*has no function `read`"):
        dnnplan.load(path, format="half")
    listed = CliRunner().invoke(app, ["formats"])
    assert listed.exit_code == 0
    assert "'gone' of the package broken-fine" in listed.stderr


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(("kind", "what"), [("failing", "KeyError"), ("odd", "layer_costs")])
def test_broken_sources_of_costs_are_named(kind: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text(
        f'{{"format_version": "1.0", "devices": {{"*": {{"kind": "{kind}"}}}}}}'
    )
    with pytest.raises(PluginError, match=what):
        read_costs(tmp_path)


@pytest.mark.usefixtures("broken")
def test_kinds_of_costs_of_other_packages_are_offered_and_own_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text('{"format_version": "1.0", "devices": {"*": {"kind": "od"}}}')
    with pytest.raises(InputError, match="odd"):
        read_costs(tmp_path)
    (tmp_path / "costs.json").write_text('{"format_version": "1.0", "devices": {"*": {"kind": "mcu"}}}')
    with pytest.raises(InputError, match="clock"):
        read_costs(tmp_path)


BAD = """
from dnnplan.solvers import Capabilities
from dnnplan.solvers.lists.heft import Heft
from dnnplan.solvers.ordering.constructive import NearestNeighbour

class WrongBound(Heft):
    summary = "claims bounds that do not hold"
    capabilities = Capabilities(objectives=("latency",), bounds=True)
    def run(self, problem, search):
        super().run(problem, search)
        search.improve_bound(search.value * 2, "wishful thinking")

class Claims(Heft):
    summary = "claims to be exact, which list schedules are not"
    capabilities = Capabilities(objectives=("latency",), exact=True)

class Silent:
    summary = "finds nothing at all"
    capabilities = Capabilities(objectives=("latency",))
    def run(self, problem, search): pass

class Fails:
    summary = "fails wherever it is run"
    capabilities = Capabilities(objectives=("latency",))
    def run(self, problem, search): raise IndexError("out of range")

class Moody:
    summary = "draws from the clock"
    capabilities = Capabilities(objectives=("latency",))
    calls = [0]
    def run(self, problem, search):
        from dnnplan.costs import decisions_of
        Moody.calls[0] += 1
        place = [row[Moody.calls[0] % len(row)] for row in problem.allowed]
        order = [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
        search.propose(decisions_of(problem, place, order))

class Unnamed(Moody):
    summary = "x"
    capabilities = Capabilities(objectives=("beauty",))
"""


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("WrongBound", "bound"),
        ("Claims", "does not prove"),
        ("Silent", "no plan on any instance"),
        ("Fails", "IndexError"),
        ("Moody", "two plans"),
        ("Unnamed", "unknown objectives beauty"),
    ],
)
def test_the_conformance_suite_finds_what_is_wrong(name: str, what: str, install: Install) -> None:
    install("bad-solvers", {plugins.SOLVERS: {"bad": f"bad_solvers:{name}"}}, code=BAD)
    found = check_solver("bad")
    assert any(what in text for text in found), found


def test_conformance_of_unknown_solvers() -> None:
    with pytest.raises(UnsupportedError):
        check_solver("bad")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("beam", "grouping"),
        ("greedy", "selection"),
        ("insertion", "ordering"),
        ("fifo", "serving"),
    ],
)
def test_own_solvers_conform(name: str, problem: str) -> None:
    assert check_solver(name, problem) == ()
