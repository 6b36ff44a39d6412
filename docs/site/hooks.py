"""What MkDocs calls while it builds the site: pages from elsewhere in the repository, the reference, and links.

Nothing is written beside the pages of `docs/`: what is added here exists in the built site only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from site_commands import commands_page, schema_texts, schemas_page
from site_links import ROOT, linked_sources, rewritten, site_pages, source_page
from site_reference import PYTHON, index_page, python_page

ORIGIN: dict[str, str] = {}
"""Path on the site -> path in the repository, for pages outside `docs/`."""


def on_config(config: Any) -> Any:
    """Put every page of results into the navigation, and the security page where there is one."""
    pages = sorted(set(site_pages().values()))
    sections = {title: below for entry in config["nav"] for title, below in entry.items()}
    results = next(entry["Results"] for entry in sections["Benchmarks"] if "Results" in entry)
    results += [page for page in pages if page.startswith("results/") and page not in results]
    if "security.md" in pages:
        sections["Contribute"].append({"Security": "security.md"})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add pages outside `docs/`, the reference, schemas, and the source files that pages link to."""
    pages = site_pages()
    ORIGIN.clear()
    ORIGIN.update({here: there for there, here in pages.items()})
    for there, here in pages.items():
        files.append(File.generated(config, here, content=(ROOT / there).read_text(encoding="utf-8")))
    for name in PYTHON:
        files.append(File.generated(config, f"reference/{name}.md", content=python_page(name)))
    for name, text in (("index", index_page()), ("commands", commands_page()), ("schemas", schemas_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for kind, text in schema_texts().items():
        files.append(File.generated(config, f"reference/schemas/{kind}.schema.json", content=text))
    worker = (ROOT / "docs" / "site" / "worker.js").read_text(encoding="utf-8")
    files.append(File.generated(config, "assets/iframe-worker.js", content=worker))
    sources: set[str] = set()
    for page in files.documentation_pages():
        if not page.src_uri.startswith("reference/"):
            sources |= linked_sources(page.content_string, origin(page.src_uri), pages)
    for target in sorted(sources):
        files.append(File.generated(config, f"source/{target}.md", content=source_page(target)))
    return files


def origin(src_uri: str) -> str:
    """The repository path of a page of the site."""
    return ORIGIN.get(src_uri, f"docs/{src_uri}")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links lead to where things are on the site."""
    here = page.file.src_uri
    if here.startswith(("source/", "reference/")):
        return markdown
    return rewritten(markdown, origin(here), here, site_pages())


def on_post_build(config: Any) -> None:
    """Refuse a site that would ask other machines for scripts, styles, fonts or pictures."""
    outside = re.compile(
        r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
    )
    for path in sorted(Path(config["site_dir"]).rglob("*.html")):
        for found in outside.finditer(path.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in found[0] and "rel=canonical" not in found[0]:
                raise SystemExit(f"{path}: the site would load {found[1]}")
