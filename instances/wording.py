"""How problems are worded: paths, values, suggestions."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable
from typing import Any

from dnnplan.instances.errors import Problem

MOST_PROBLEMS = 10_000
"""Where collecting stops; a file with more than this is not repaired by reading a list."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_CANDIDATES = 2_000
_LONGEST = 60
_COMPOUNDS: dict[type, str] = {list: "a list", tuple: "a list", dict: "an object"}


class Report:
    """A list of problems that stops growing at `MOST_PROBLEMS`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, path: str, message: str) -> None:
        """Note one problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(path, message))

    @property
    def full(self) -> bool:
        """Whether further problems would be dropped."""
        return len(self.problems) >= MOST_PROBLEMS


def at(path: str, key: str | int) -> str:
    """Path of a member.

    >>> at(at("models[2].layers", 14), "flops"), at("costs.latency", "a b")
    ('models[2].layers[14].flops', 'costs.latency["a b"]')
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{_quoted(key)}]"


def show(value: Any) -> str:
    """A value as a message prints it: short, and in the words of JSON.

    >>> show(None), show("gpu"), show([1, 2]), show({}), show(float("nan"))
    ('null', '"gpu"', 'a list', 'an object', 'NaN')
    """
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if value is None or kind is bool:
        return json.dumps(value)
    if kind is int:
        # The text of an integer of a million digits takes long, and Python refuses to make it.
        return str(value) if value.bit_length() < 256 else f"an integer of {value.bit_length()} bits"
    if kind is float:
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), repr(value))
    if kind in _COMPOUNDS:
        return _COMPOUNDS[kind]
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a Python {module}{kind.__qualname__}"


def suggestion(name: str, known: Collection[str]) -> str:
    """``, did you mean "..."?`` for the closest known name, or nothing.

    >>> suggestion("latncy", ("latency", "energy"))
    ', did you mean "latency"?'
    """
    if len(known) > _MOST_CANDIDATES or len(name) > 200:
        return ""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f', did you mean "{close[0]}"?' if close else ""


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Wording for a reference to something that is not there.

    >>> unknown("device", "gpo", {"gpu", "cpu"})
    '"gpo" is not a device, did you mean "gpu"?'
    """
    hint = suggestion(name, known)
    if not hint:
        if not known:
            hint = ", none is defined"
        elif len(known) <= 8:
            hint = f", expected one of {', '.join(_quoted(k) for k in sorted(known))}"
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{_quoted(name)} is not {article} {kind}{hint}"


def first_names(names: Iterable[str], total: int, shown: int = 3) -> str:
    """Up to `shown` names, and how many more there are.

    >>> first_names(["a", "b", "c", "d"], 4)
    '"a", "b", "c" and 1 more'
    """
    head = [_quoted(name) for _, name in zip(range(shown), names, strict=False)]
    rest = total - len(head)
    return ", ".join(head) + (f" and {rest} more" if rest > 0 else "")


def _quoted(text: str) -> str:
    shortened = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    quoted = json.dumps(shortened, ensure_ascii=False)
    # A lone surrogate could not be printed.
    return quoted.encode("utf-8", "backslashreplace").decode()
