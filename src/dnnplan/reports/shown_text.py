"""Text of files as reports show it: nothing invisible, nothing that turns the direction of writing, not too long."""

from __future__ import annotations

import re

LONGEST = 80
"""Characters of a name that are shown; names in files may be of any length."""
# Control characters, signs of format and direction, line and paragraph separators, surrogates.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    r"""The text with a replacement character for everything that cannot be seen.

    >>> visible("x\u202etxt.exe\n")
    'x�txt.exe�'
    """
    return _UNSEEN.sub("\ufffd", text)


def shown(text: object, longest: int = LONGEST) -> str:
    """The same, cut in the middle.

    >>> shown("a" * 100, 9)
    'aaaa…aaaa'
    """
    whole = str(text)
    if len(whole) > longest:
        half = (longest - 1) // 2
        whole = f"{whole[: longest - 1 - half]}…{whole[len(whole) - half :]}"
    return visible(whole)
