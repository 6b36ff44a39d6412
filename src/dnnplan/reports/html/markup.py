"""HTML from text: everything is escaped unless it was made here."""

from __future__ import annotations

import base64
import gzip
import html
import json
from typing import Any

from dnnplan.reports.shown_text import visible


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(part: str) -> str:
    """HTML as it is, other text with ``& < > " '`` as entities."""
    return part if isinstance(part, Html) else html.escape(visible(part), quote=True)


def tag(name: str, *content: str, **attributes: str | int | float | bool | None) -> Html:
    """An element; ``True`` is an attribute without a value, ``None`` and ``False`` are left out.

    A trailing underscore of an attribute is dropped, other underscores are hyphens.

    >>> tag("td", "a < b", class_="x", data_v=1, hidden=False)
    '<td class="x" data-v="1">a &lt; b</td>'
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{escaped(str(value))}"')
    return Html(f"<{name}{''.join(written)}>{joined(*content)}</{name}>")


def joined(*parts: str) -> Html:
    """Parts one after the other, escaped where they are not HTML."""
    return Html("".join(escaped(part) for part in parts))


LARGE = 30_000
"""Characters from which data is compressed."""


def json_block(value: Any, **attributes: str | bool | None) -> Html:
    """Data for scripts; nothing in it can end the element it stands in. Much is compressed (gzip, base64)."""
    # All that is left to replace stands inside of strings: JSON escapes control characters itself.
    text = visible(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
    if len(text) > LARGE:
        packed = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
        return tag("script", Html(packed), type="text/plain", data_packed=True, **attributes)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Html(text), type="application/json", **attributes)


def chart_text(text: str) -> str:
    """Text for Plotly, which reads a few tags: none of them is left in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
