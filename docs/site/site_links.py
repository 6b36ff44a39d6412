"""Where a file of the repository is on the site, and links that lead there.

Pages link to each other as files of the repository do, so that they can be read there. On the site those inside `docs/`
stay as they are; what lies outside is a page of its own (`PAGES`, results), or its text on a page of source.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "protocol.md",
    "benchmarks/results/README.md": "results/index.md",
    "examples/dnnplan-example/README.md": "example-plugin.md",
}
"""Pages outside `docs/` and their names on the site; those that do not exist are left out."""
FOLDERS = {"benchmarks/results": "results/index.md"}
LANGUAGES = {
    ".py": "python",
    ".json": "json",
    ".yaml": "yaml",
    ".toml": "toml",
    ".cff": "yaml",
    ".ipynb": "json",
    "": "text",
}
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1 *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")


def site_pages(root: Path = ROOT) -> dict[str, str]:
    """Repository path of every page outside `docs/` -> its path on the site."""
    found = {there: here for there, here in PAGES.items() if (root / there).is_file()}
    for path in sorted((root / "benchmarks" / "results").glob("*.md")):
        found.setdefault(path.relative_to(root).as_posix(), f"results/{path.name}")
    return found


def site_path(target: str, pages: dict[str, str], root: Path = ROOT) -> str | None:
    """Where a file of the repository is on the site; None if it is not there.

    Files that are no pages get a page that shows their text; so do the files of `docs/` that are none.
    """
    if target in pages:
        return pages[target]
    if target in FOLDERS:
        return FOLDERS[target]
    if target.startswith("docs/") and not target.startswith("docs/site/"):
        return target.removeprefix("docs/")
    path = root / target
    return f"source/{target}.md" if path.is_file() and path.suffix in LANGUAGES else None


def linked_sources(text: str, page: str, pages: dict[str, str], root: Path = ROOT) -> set[str]:
    """Repository paths of the files that a page links to and that need a page of source."""
    found = set()
    for link in LINK.findall(FENCE.sub("", text)):
        target = repository_target(link, page)
        if target and (site_path(target, pages, root) or "").startswith("source/"):
            found.add(target)
    return found


def repository_target(link: str, page: str) -> str | None:
    """The file or folder of the repository that a link of a page means; None for addresses and anchors."""
    file = link.partition("#")[0]
    if not file or re.match(r"[a-z]+:", link):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), file))


def rewritten(text: str, page: str, here: str, pages: dict[str, str], root: Path = ROOT) -> str:
    """The text of a page with links that work on the site.

    Parameters
    ----------
    text : str
        Markdown.
    page, here : str
        Path of the page in the repository, and on the site.
    pages : dict
        See `site_pages`.
    root : Path
        The repository.
    """

    def replace(found: re.Match[str]) -> str:
        link = found[0]
        target = repository_target(link, page)
        if target is None:
            return link
        place = site_path(target, pages, root)
        if place is None:
            return link  # MkDocs warns of it, and a warning is an error
        anchor = link.partition("#")[2]
        relative = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"{relative}#{anchor}" if anchor else relative

    parts, at = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(replace, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, LINK.sub(replace, text[at:])])


def source_page(target: str, root: Path = ROOT) -> str:
    """The page that shows the text of a file."""
    text = (root / target).read_text(encoding="utf-8")
    fence = "`" * 3
    while fence in text:
        fence += "`"
    language = LANGUAGES[(root / target).suffix]
    return f"# {target}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
