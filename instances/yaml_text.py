"""YAML as text: the plain data of the YAML 1.2 core schema, and nothing else.

PyYAML's loaders follow YAML 1.1, where ``1e-6`` is a string and ``on`` a truth value; this reader resolves
scalars itself. Anchors, aliases, tags and merge keys are refused, so that a small file stays small.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from dnnplan.instances.errors import FormatError, InstanceError, Problem
from dnnplan.instances.json_text import LINE_WIDTH, decode_utf8
from dnnplan.instances.validation.complete import MAX_DEPTH
from dnnplan.instances.wording import Report, at

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2.2, section 10.3.2 (core schema).
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o([0-7]+)|0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def parse_yaml(data: bytes, source: str | None = None) -> Any:
    """Parse one YAML document into dictionaries, lists and scalars. Keys are always strings.

    The value of a top-level `format_version` stays text, so that ``1.10`` does not become ``1.1``.

    Raises
    ------
    FormatError
        Text that is not UTF-8 or not YAML, nested too deep, or that uses anchors, aliases, tags, merge keys
        or keys that are not scalars.
    InstanceError
        Duplicate keys, all of them.
    """
    text = decode_utf8(data, source)
    try:
        return _Builder(yaml.parse(text, Loader=_Loader), source).document()
    except yaml.YAMLError as error:
        message = _syntax_message(error)
        # Newer releases of PyYAML have a limit of their own, far above ours.
        what = "not readable: nested too deep" if "nesting depth" in message else f"not YAML: {message}"
        raise FormatError(what, source=source) from None


def _syntax_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # characters that YAML does not allow
        return " ".join(str(error).split())[:300]
    return f"{error.problem} at line {mark.line + 1} column {mark.column + 1}"  # type: ignore[attr-defined]


class _Builder:
    """Turns parser events into data, so that nothing is built before it is checked."""

    def __init__(self, events: Iterator[Any], source: str | None) -> None:
        self.events = events
        self.source = source
        self.report = Report()

    def document(self) -> Any:
        """Read the whole stream, which must hold one document."""
        next(self.events)  # start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise FormatError("not YAML: the file is empty", source=self.source)
        tree = self.node(next(self.events), "", 0)
        next(self.events)  # end of the document
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.refuse("a second document", after)
        if self.report.problems:
            raise InstanceError(problems=self.report.problems, source=self.source)
        return tree

    def node(self, event: Any, path: str, depth: int) -> Any:
        """Build the node that starts with this event."""
        if isinstance(event, yaml.AliasEvent):
            self.refuse(f"alias *{event.anchor}", event)
        if event.anchor is not None:
            self.refuse(f"anchor &{event.anchor}", event)
        if event.tag is not None:
            self.refuse(f"tag {event.tag}", event)
        if depth > MAX_DEPTH:
            self.refuse(f"nesting deeper than {MAX_DEPTH} levels", event)
        if isinstance(event, yaml.ScalarEvent):
            # A plain scalar; quoted ones and blocks are strings whatever they look like.
            is_plain = event.implicit[0] and path != "format_version"
            return self.scalar(event, path) if is_plain else event.value
        return (self.mapping if isinstance(event, yaml.MappingStartEvent) else self.sequence)(path, depth)

    def sequence(self, path: str, depth: int) -> list[Any]:
        """Build a list."""
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, at(path, len(items)), depth + 1))
        return items

    def mapping(self, path: str, depth: int) -> dict[str, Any]:
        """Build an object."""
        members: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
                self.refuse("a key that is not plain text", event)
            key: str = event.value
            if key == "<<" and event.implicit[0]:
                self.refuse("merge key <<", event)
            here = at(path, key)
            if key in members:
                self.report.add(here, f"key given more than once ({_line(event)})")
            members[key] = self.node(next(self.events), here, depth + 1)
        return members

    def scalar(self, event: Any, path: str) -> Any:
        """Resolve a plain scalar."""
        try:
            return resolve(event.value)
        except ValueError as error:
            problem = Problem(path, f"not readable: {error}")
            raise FormatError(problems=[problem], source=self.source) from None

    def refuse(self, what: str, event: Any) -> NoReturn:
        """Raise for something that the format does not allow."""
        raise FormatError(f"{what} at {_line(event)} is not allowed", source=self.source)


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"


def resolve(text: str) -> Any:
    """Value of a plain scalar under the YAML 1.2 core schema.

    >>> [resolve(text) for text in ("1e-6", "on", "True", "012", "0x1f", "~", "1_000")]
    [1e-06, 'on', True, 12, 31, None, '1_000']
    """
    first = text[:1]
    if first in "0123456789+-.":
        number = _resolve_number(text)
        if number is not None:
            return number
    if first in "nN~" and _NULL.fullmatch(text):
        return None
    if first in "tTfF" and _BOOL.fullmatch(text):
        return text[0] in "tT"
    return text


def _resolve_number(text: str) -> int | float | None:
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    based = _BASED_INT.fullmatch(text)
    if based:
        return int(based[1], 8) if based[1] else int(based[2], 16)
    special = _NOT_FINITE.fullmatch(text)
    if special:
        return float(special[1] + "inf") if special[2] else float("nan")
    return None


def _represent_string(dumper: Any, text: str) -> Any:
    # Quote whatever the core schema would not read back as a string; PyYAML thinks of YAML 1.1 only.
    style = None if isinstance(resolve(text), str) else "'"
    if not text.isprintable():
        style = '"'  # PyYAML folds U+0085 and its like into spaces in every other style
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_float(dumper: Any, value: float) -> Any:
    text = repr(value)
    short = f"{value:g}"
    if "e" in short and float(short) == value:  # 1.0e+12 rather than 1000000000000.0
        text = short
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")  # readers of YAML 1.1 want the point
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


# The C emitter is twice as fast. Aliases are never written, for they would not be read.
_Dumper: Any = type(
    "_Dumper",
    (getattr(yaml, "CSafeDumper", yaml.SafeDumper),),
    {"ignore_aliases": lambda self, data: True},
)
_Dumper.add_representer(str, _represent_string)
_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


def print_yaml(tree: Any) -> str:
    """Text of plain data as YAML: innermost lists and objects on one line, the rest in blocks."""
    text: str = yaml.dump(
        tree, Dumper=_Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=LINE_WIDTH
    )
    return text
