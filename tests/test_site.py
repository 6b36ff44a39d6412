"""The site of the docs: every page is in its navigation, links lead somewhere, nothing comes from elsewhere."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "site"))
links = importlib.import_module("site_links")
commands = importlib.import_module("site_commands")
reference = importlib.import_module("site_reference")


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml; tags for Python objects are read as nothing."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def settings() -> dict[str, Any]:
    return yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)


def nav_pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in nav_pages(part)]


def test_every_page_of_docs_is_in_the_navigation_once() -> None:
    pages = nav_pages(settings()["nav"])
    assert len(pages) == len(set(pages))
    assert {p.name for p in (ROOT / "docs").glob("*.md")} <= set(pages)


def test_other_pages_of_the_navigation_are_made_by_the_hooks() -> None:
    made = {f"reference/{name}.md" for name in (*reference.PYTHON, "index", "commands", "schemas")}
    docs = {p.name for p in (ROOT / "docs").glob("*.md")}
    assert set(nav_pages(settings()["nav"])) <= docs | made | set(links.site_pages().values())
    assert made <= set(nav_pages(settings()["nav"]))


def test_the_site_asks_nothing_of_other_machines() -> None:
    chosen = settings()
    assert chosen["theme"]["font"] is False
    assert chosen["strict"] is True
    assert chosen["extra"]["polyfills"] == ["assets/iframe-worker.js"], (
        "the theme would load one from elsewhere"
    )
    assert not {"repo_url", "extra_javascript", "extra_css"} & set(chosen)
    for path in (ROOT / "docs").glob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "```mermaid" not in text, "the theme would load Mermaid from elsewhere"
        assert not re.search(r"!\[[^\]]*\]\(https?:", text), path.name


def test_links_lead_to_pages_of_the_site() -> None:
    pages = {"README.md": "overview.md", "benchmarks/results/mapping.md": "results/mapping.md"}
    text = (
        "[a](../README.md#solvers) [b](concepts.md) [c](https://x.y/) [d](#here) [e](../benchmarks/results/)"
    )
    assert links.rewritten(text, "docs/index.md", "index.md", pages) == (
        "[a](overview.md#solvers) [b](concepts.md) [c](https://x.y/) [d](#here) [e](results/index.md)"
    )
    assert links.rewritten("[a](../solvers/registry.py)", "docs/x.md", "x.md", pages) == (
        "[a](source/solvers/registry.py.md)"
    )
    assert links.rewritten("[a](docs/concepts.md)", "README.md", "overview.md", pages) == "[a](concepts.md)"
    assert links.rewritten("[a](mapping.md)", "benchmarks/results/README.md", "results/index.md", pages) == (
        "[a](mapping.md)"
    )


def test_links_in_code_stay() -> None:
    text = "```md\n[a](../README.md)\n```\n[a](../README.md)\n"
    assert links.rewritten(text, "docs/x.md", "x.md", {"README.md": "overview.md"}) == (
        "```md\n[a](../README.md)\n```\n[a](overview.md)\n"
    )


def test_links_that_lead_nowhere_stay_for_mkdocs_to_refuse() -> None:
    assert links.rewritten("[a](../nowhere.py)", "docs/x.md", "x.md", {}) == "[a](../nowhere.py)"
    assert links.site_path("../outside.py", {}) is None


def test_source_pages_survive_fences_in_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""```"""\n', encoding="utf-8")
    assert links.source_page("a.py", tmp_path) == '# a.py\n\n````python\n"""```"""\n````\n'


@pytest.mark.parametrize("page", sorted(reference.PYTHON))
def test_names_of_the_reference_exist_and_have_docstrings(page: str) -> None:
    for module_name, names in reference.PYTHON[page][2].items():
        module = importlib.import_module(module_name)
        assert module.__doc__, module_name
        for name in names:
            assert getattr(module, name).__doc__, f"{module_name}.{name}"


def test_no_name_is_on_two_pages_of_the_reference() -> None:
    seen = [
        (module, name)
        for _, _, modules in reference.PYTHON.values()
        for module, names in modules.items()
        for name in names or [""]
    ]
    assert len(seen) == len(set(seen))


def test_every_command_and_option_is_on_its_page() -> None:
    text = commands.commands_page()
    root = commands.typer.main.get_command(commands.app)
    for name, command in root.commands.items():
        section = text.split(f"\n## dnnplan {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if not getattr(parameter, "hidden", False) and parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}`" in section, (name, parameter.opts)


def test_every_schema_has_a_row() -> None:
    text = commands.schemas_page()
    assert len(commands.schema_texts()) >= 7
    for kind in commands.schema_texts():
        assert f"(schemas/{kind}.schema.json)" in text


def test_records_have_parameters_of_their_fields() -> None:
    griffe = pytest.importorskip("griffe")
    records = importlib.import_module("site_records")
    code = "class Record: ...\nclass A(Record):\n    x: int\n    y: float = 2.0\nclass B(A):\n    z: str\n"
    with griffe.temporary_visited_module(code, extensions=griffe.Extensions(records.Records())) as module:
        records.Records().on_package(pkg=module)
        assert [p.name for p in module["B"].parameters] == ["self", "x", "y", "z"]
        assert str(module["B"].parameters["y"].default) == "2.0"
        assert "__init__" not in module["Record"].members


def test_the_citation_file_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    dnnplan = importlib.import_module("dnnplan")
    assert citation["version"] == dnnplan.__version__
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)


def test_pictures_of_the_tutorial_are_small() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\((images/[\w.-]+)\)", text)
    assert len(pictures) >= 4
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size < 200_000, picture
