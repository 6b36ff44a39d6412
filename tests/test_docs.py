"""What README and docs say holds: their examples run, and names, links, fields and commands exist."""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib
import inspect
import io
import json
import re
import shlex
import shutil
import tomllib
import typing
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import typer
import yaml
from typer.testing import CliRunner

from dnnplan import instances
from dnnplan.cli.app import app
from dnnplan.costs import mapping_problem
from dnnplan.costs.check import check
from dnnplan.instances import plan as plan_records
from dnnplan.instances import sections
from dnnplan.instances.bundled_platforms import platform_names
from dnnplan.instances.catalogue import bundled_names
from dnnplan.instances.files import dumps, loads_instance, loads_plan
from dnnplan.instances.formats import FORMATS
from dnnplan.instances.formats.onnx import light_network_paths
from dnnplan.solvers import get_solver
from dnnplan.solvers.registry import PROBLEMS, REGISTRY

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [ROOT / "benchmarks" / "README.md"]
FENCE = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language in a page."""
    return [text for lang, text in FENCE.findall(path.read_text(encoding="utf-8")) if lang == language]


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


# -- examples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=page_name)
def test_python_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other; a `text` block right after one is what it prints."""
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "example"}
    fences = FENCE.findall(path.read_text(encoding="utf-8"))
    for number, (language, text) in enumerate(fences):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, f"{page_name(path)}, block {number}", "exec"), names)
        if number + 1 < len(fences) and fences[number + 1][0] == "text":
            assert printed.getvalue() == fences[number + 1][1]


def test_the_readme_has_an_example_of_at_most_15_lines() -> None:
    first = blocks(ROOT / "README.md", "python")[0]
    assert 5 <= len(first.splitlines()) <= 15


MODULES = sorted(
    ".".join(("dnnplan", *path.relative_to(base).with_suffix("").parts)).removesuffix(".__init__")
    for base, top in (
        (ROOT / "src" / "dnnplan", ("cli", "costs", "reports", "serving")),
        (ROOT, ("formulations", "instances", "solvers")),
    )
    for folder in top
    for path in (base / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0


# -- links and names -----------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors that headings of a page have on GitHub."""
    found = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_resolve(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\(([a-z-]+\.md)", index))
    assert listed == {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_modules_and_files_that_are_named_exist(path: Path) -> None:
    wrong = []
    for code in CODE.findall(prose(path)):
        if re.fullmatch(r"dnnplan(\.[a-z_]\w*)+(:\w+|\(\))?", code) and code not in ENTRY_POINTS:
            wrong += [] if resolves(re.sub(r"\(\)$", "", code).replace(":", ".")) else [code]
        elif re.fullmatch(r"(src|solvers|formulations|instances|benchmarks|tests|docs)/[a-z0-9_./-]+", code):
            wrong += [] if (ROOT / code).exists() else [code]
    assert wrong == []


ENTRY_POINTS = ("dnnplan.solvers", "dnnplan.formats")


def resolves(dotted: str) -> bool:
    """Whether a dotted name leads to a module or to something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        try:
            functools.reduce(getattr, parts[length:], thing)
        except AttributeError:
            return False
        return True
    return False


# -- commands ------------------------------------------------------------------------------------------------

COMMANDS: dict[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown_commands(path: Path) -> list[str]:
    """Command lines in shell blocks and in code within the text, continued lines joined."""
    text = path.read_text(encoding="utf-8")
    lines = [
        line
        for language, block in FENCE.findall(text)
        if language in ("", "sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [re.sub(r"\s+#.*", "", line).strip() for line in [*lines, *CODE.findall(prose(path))]]


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_commands_that_are_shown_exist(path: Path) -> None:
    wrong = []
    for line in shown_commands(path):
        words = line.split()
        if len(words) < 2 or words[0] != "dnnplan" or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        command = COMMANDS.get(words[1])
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} if command else set()
        asked = set(re.findall(r"(?<![\w-])(--[a-z-]+|-[a-z]\b)", line)) - {"--help"}
        if command is None or not asked <= options:
            wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_make_targets_that_are_shown_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {m[1] for line in shown_commands(path) if (m := re.match(r"make ([a-z-]+)", line))}
    assert shown <= targets


ALL_SOLVERS = {name for names in PROBLEMS.values() for name in names}
NAMED = (
    (r"--platform ([a-z-]+)\b(?![.\w])", set(platform_names())),
    (r"--solver ([a-z0-9_]+)", ALL_SOLVERS),
    (r"--solvers ([a-z0-9_]+(?:,[a-z0-9_]+)*)", ALL_SOLVERS),
    (r"\b((?:tiny|layered|multi)/[\w.-]+)", set(bundled_names())),
)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_names_in_command_lines_exist(path: Path) -> None:
    lines = [line for line in shown_commands(path) if line.startswith("dnnplan ")]
    shown = [
        (name, known)
        for line in lines
        for pattern, known in NAMED
        for found in re.findall(pattern, line)
        for name in found.split(",")
    ]
    assert [name for name, known in shown if name not in known] == []


NETWORKS = {"resnet50.onnx": "squeezenet", "inception.onnx": "alexnet", "first.onnx": "squeezenet"}
NETWORKS |= {"second.onnx": "alexnet"}
"""Files that commands of the pages name, and the small networks that stand in for them here."""


def runnable(path: Path) -> list[list[str]]:
    """The commands of shell blocks as words, without those that take an hour (`bench`)."""
    lines = [shlex.split(line, comments=True) for text in blocks(path, "sh") for line in text.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["dnnplan"] and words[1] != "bench"]


@pytest.mark.parametrize("path", [p for p in PAGES if runnable(p)], ids=page_name)
def test_commands_of_shell_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a page one after the other in one folder, with little time each."""
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    for file, network in NETWORKS.items():
        shutil.copy(light_network_paths()[network], tmp_path / file)
    for words in runnable(path):
        limit = ["--time-limit", "1"] if words[0] in ("solve", "plan", "compare", "rates") else []
        done = CliRunner().invoke(app, [*words, *limit])
        assert done.exit_code == 0, f"dnnplan {shlex.join(words)}: {done.output}"


# -- tables --------------------------------------------------------------------------------------------------


def table_rows(text: str) -> list[list[str]]:
    """Cells of the first table in a text, without head and rule; escaped bars are kept."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append([c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    return rows[2:]


def section(path: Path, heading: str) -> str:
    """The text below a heading, up to the next heading."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)",
        path.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{page_name(path)} has no heading '{heading}'"
    return found[1]


def test_the_solvers_of_the_readme_are_those_of_the_registry() -> None:
    rows = table_rows(section(ROOT / "README.md", "Solvers"))
    stated = [(row[0].strip("`"), row[1], row[2]) for row in rows]
    assert all(row[3] for row in rows)
    able = {name: get_solver(name).capabilities for name in REGISTRY}
    word = {True: "yes", False: "no"}
    assert stated == [(name, word[c.exact], word[c.bounds]) for name, c in able.items()]


@pytest.mark.parametrize("problem", [problem for problem in PROBLEMS if problem != "mapping"])
def test_the_solvers_of_other_problems_are_those_of_the_registry(problem: str) -> None:
    rows = [row for row in table_rows(section(ROOT / "docs" / "tasks.md", "Solvers")) if row[0] == problem]
    able = {name: get_solver(name, problem).capabilities for name in PROBLEMS[problem]}
    word = {True: "yes", False: "no"}
    stated = [(row[1].strip("`"), row[2], row[3]) for row in rows]
    assert stated == [(name, word[c.exact], word[c.bounds]) for name, c in able.items()]
    assert all(row[4] for row in rows)


def requirement_name(text: str) -> str:
    return re.split(r"[\[<>=~! ]", text)[0]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        requirement_name(d): d for group in (project["dependencies"], *extras.values()) for d in group
    }
    declared.pop("dnnplan")
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = [row for part in re.split(r"^##+ ", page, flags=re.MULTILINE) for row in table_rows(part)]
    stated = {row[0].strip("`"): row for row in rows}
    assert set(stated) == set(declared)
    for name, row in stated.items():
        assert row[1].strip("`") == declared[name].removeprefix(name), name
        assert len(row[2].split()) >= 3, name


# -- the instance format -------------------------------------------------------------------------------------

FORMAT_PAGE = ROOT / "docs" / "instance-format.md"
RECORDS = {
    record.__name__: record
    for module in (instances, sections, plan_records)
    for record in vars(module).values()
    if inspect.isclass(record)
    and issubclass(record, msgspec.Struct)
    and record.__name__ not in ("Problem", "Record", "Section")
}


def type_text(kind: Any) -> str:
    """A type of the format in words, as the tables of the page have it."""
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return union_text(types)
        case msgspec.inspect.StrType(max_length=None):
            return "text"
        case msgspec.inspect.StrType(max_length=length):
            return "name" if length == 256 else "long name"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return ("integer" if isinstance(kind, msgspec.inspect.IntType) else "number") + range_text(kind)
        case msgspec.inspect.LiteralType(values=values):
            return ", ".join(f'`"{value}"`' for value in sorted(values))
        case msgspec.inspect.VarTupleType(item_type=item):
            text = type_text(item)
            return (
                f"list of ({text})"
                if isinstance(item, msgspec.inspect.UnionType) and " or " in text
                else f"list of {text}"
            )
        case msgspec.inspect.TupleType(item_types=items):
            return f"[{', '.join(type_text(item) for item in items)}]"
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return f"{{{type_text(key)}: {type_text(value)}}}"
        case msgspec.inspect.StructType(cls=record):
            return f"[{record.__name__}](#{record.__name__.lower()})"
    return {"BoolType": "boolean", "AnyType": "anything", "NoneType": "null"}[type(kind).__name__]


def union_text(types: tuple[Any, ...]) -> str:
    """A union; an integer or float of one range is a number."""
    floats = [t for t in types if isinstance(t, msgspec.inspect.FloatType)]
    rest = [t for t in types if not (floats and isinstance(t, msgspec.inspect.IntType))]
    words = [type_text(t) for t in rest if not isinstance(t, msgspec.inspect.NoneType)]
    return " or ".join([*words, *(["null"] if len(words) < len(rest) else [])])


def range_text(kind: Any) -> str:
    """The range of a number; the largest numbers of the format are not worth a word."""
    top = kind.le if kind.le is not None and kind.le <= 1 else None
    if top is not None:
        return f" in {'(' if kind.gt is not None else '['}0, 1]"
    if kind.gt is not None:
        return f" > {kind.gt:g}"
    return f" >= {kind.ge:g}" if kind.ge is not None and kind.ge > -1 else ""


def default_text(field: Any) -> str:
    """The default of a field as JSON."""
    if field.required:
        return "required"
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if isinstance(default, msgspec.Struct):
        return "`{}`"
    return f"`{json.dumps(msgspec.to_builtins(default))}`"


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_fields_of_the_format_are_documented(name: str) -> None:
    rows = table_rows(section(FORMAT_PAGE, name))
    fields = msgspec.inspect.type_info(RECORDS[name]).fields  # type: ignore[attr-defined]
    stated = [(row[0].strip("`"), row[1], row[3]) for row in rows]
    assert stated == [(f.name, type_text(f.type), default_text(f)) for f in fields]
    assert all(row[2] and row[5] for row in rows), "unit or meaning is missing"
    hints = typing.get_type_hints(RECORDS[name], include_extras=True)
    for row in rows:
        # The example is a value of the field, as it would stand in a YAML file.
        msgspec.convert(yaml.safe_load(row[4].strip("`")), hints[row[0].strip("`")], strict=True)


def test_the_examples_of_the_format_are_one_valid_instance_and_plan() -> None:
    instance = loads_instance("".join(blocks(FORMAT_PAGE, "yaml")), syntax="yaml")
    used = {f for f in instance.__struct_fields__ if getattr(instance, f) != getattr(instances.Instance(), f)}
    assert used >= set(instance.__struct_fields__) - {"format_version"}, "a section has no example"
    assert loads_instance(dumps(instance)) == instance
    plan = loads_plan(blocks(FORMAT_PAGE, "json")[0])
    assert set(plan.placement) == set(mapping_problem(instance).layers)
    assert check(instance, plan) == ()


def test_every_word_of_the_design_is_in_the_glossary() -> None:
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    defined = re.findall(r"^\*\*([^*]+)\*\*", page, re.MULTILINE)
    assert len(defined) == len(set(defined))
    assert {"plan", "call", "transfer", "kept tensor", "bound", "gap", "view"} <= set(defined)


# -- what the guides promise ---------------------------------------------------------------------------------


def test_every_solver_class_is_registered() -> None:
    found = {
        f"dnnplan.solvers.{'.'.join(path.relative_to(ROOT / 'solvers').with_suffix('').parts)}:{name}"
        for path in sorted((ROOT / "solvers").rglob("*.py"))
        for name in re.findall(
            r"^class ([A-Z]\w+)[^\n]*:\n(?:(?!^\S).*\n)*?    capabilities = ", path.read_text("utf-8"), re.M
        )
    }
    assert found == {place for names in PROBLEMS.values() for place in names.values()}


def test_every_format_module_is_registered() -> None:
    folder = ROOT / "instances" / "formats"
    found = {
        f"dnnplan.instances.formats.{path.stem}"
        for path in sorted(folder.glob("*.py"))
        if re.search(r"^def detect\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == set(FORMATS.values())
    for module in FORMATS.values():
        assert callable(importlib.import_module(module).read)


@pytest.mark.parametrize("back_end", ["cpsat", "milp"])
def test_every_formulation_has_the_same_four_parts(back_end: str) -> None:
    for problem in sorted(p.parent for p in (ROOT / "formulations").glob("*/__init__.py")):
        for part in ("variables", "constraints", "objective", "extract"):
            assert (problem / back_end / f"{part}.py").exists()
