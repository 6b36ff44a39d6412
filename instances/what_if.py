"""What-if: an instance with some of its values changed, from texts such as ``links.usb.bandwidth=2x``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from dnnplan.instances.copies import split_copies
from dnnplan.instances.errors import InputError, InstanceError
from dnnplan.instances.instance import Instance
from dnnplan.instances.platform import Platform
from dnnplan.instances.validation import ensure_valid
from dnnplan.instances.wording import show, unknown

EVERY = "*"
"""Stands for every name: ``devices.*.overhead=0``."""
_PLATFORM = ("memories", "devices", "links", "host", "execution")
_CLOSED = ("format_version", "extensions")
_FACTOR = re.compile(r"([0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][+-]?[0-9]{1,3})?)\s*(x|%)")


def changed(instance: Instance, settings: str | Iterable[str]) -> Instance:
    """The instance with values changed, one setting after the other.

    Parameters
    ----------
    settings
        ``PATH=VALUE``. The path names a section of the platform (``devices``, ``links``, ``memories``,
        ``execution``, ``host``) or of the instance (``tasks``, ``models``, ``limits``, ``costs``,
        ``objective``), then a name where the section is a list, or ``*`` for all of them, then the field:
        ``devices.gpu.overhead``, ``devices.gpu.peak_flops.int8``, ``tasks.look.deadline``. A copy of a
        device (``npu.1``) can be changed alone. The value is a number in SI units, a factor (``2x``,
        ``50%``) of the present value, ``null``, ``true``, ``false``, a list in JSON, or text.

    Returns
    -------
    Instance
        A valid one, whose name and source mention the changes.

    Raises
    ------
    InputError
        A path that leads nowhere, or a factor of something that is not a number.
    InstanceError
        What comes out is not a valid instance.

    Examples
    --------
    >>> from dnnplan.instances.catalogue import load_bundled
    >>> hand = load_bundled("tiny/hand")
    >>> faster = changed(hand, ["links.bus.bandwidth=2x", "execution.contention=links"])
    >>> faster.platform.links[0].bandwidth / hand.platform.links[0].bandwidth
    2.0
    """
    texts = [settings] if isinstance(settings, str) else list(settings)
    for text in texts:
        instance = _with_setting(instance, text)
    if not texts:
        return instance
    what = ", ".join(texts)
    ensure_valid(instance, source=f"with {what}")
    name = f"{instance.name} with {what}" if instance.name else f"with {what}"
    return replace(instance, name=name)


def _with_setting(instance: Instance, text: str) -> Instance:
    path, equals, value = (part.strip() for part in text.partition("="))
    if not (path and equals and value):
        raise InputError(f"setting '{text}': expected PATH=VALUE, e.g. links.usb.bandwidth=2x")
    setting = _Setting(text, value)
    head = path.partition(".")[0]
    if head == "tasks":
        instance = replace(instance, tasks=instance.effective_tasks())
    if head not in _PLATFORM:
        _refuse_closed(setting, head)
        whole: Instance = setting.apply(instance, path)
        return whole
    if instance.platform is None:
        raise InputError(f"setting '{text}': the instance has no platform")
    if head == "devices":
        instance = _split_if_named(instance, path.partition(".")[2])
    platform: Platform = setting.apply(instance.platform, path)
    return replace(instance, platform=platform)


def _refuse_closed(setting: _Setting, head: str) -> None:
    fields = [name for name in Instance.__struct_fields__ if name not in (*_CLOSED, "platform")]
    if head not in fields:
        raise InputError(f"setting '{setting.text}': {unknown('section', head, {*fields, *_PLATFORM})}")


def _split_if_named(instance: Instance, rest: str) -> Instance:
    """The instance with a device taken apart into copies, where the path goes on with one of them."""
    assert instance.platform is not None
    for device in instance.platform.devices:
        stem = f"{device.name}."
        number = rest.removeprefix(stem).partition(".")[0]
        if device.count > 1 and rest.startswith(stem) and number.isdecimal() and int(number) < device.count:
            return split_copies(instance, device.name)
    return instance


class _MissingError(InputError):
    """A list or table has nothing of that name."""


class _Setting:
    """One setting: where it leads, and what it does there."""

    def __init__(self, text: str, value: str) -> None:
        self.text = text
        match = _FACTOR.fullmatch(value)
        self.factor = None if match is None else float(match[1]) / (100 if match[2] == "%" else 1)
        self.value = None if match is not None else _value(value)

    def apply(self, node: Any, path: str) -> Any:
        """The node with what lies at the end of the path changed."""
        if not path:
            return self.value if self.factor is None else self._scaled(node)
        if isinstance(node, msgspec.Struct):
            return self._in_record(node, path)
        if isinstance(node, tuple) and node and isinstance(node[0], msgspec.Struct):
            return self._in_list(node, path)
        if isinstance(node, dict):
            return self._in_table(node, path)
        raise InputError(f"setting '{self.text}': there is nothing called {show(path)}")

    def _in_record(self, node: msgspec.Struct, path: str) -> Any:
        field, _, rest = path.partition(".")
        fields = [name for name in node.__struct_fields__ if name not in _CLOSED]
        if field not in fields:
            kind = f"field of {type(node).__name__.lower()}"
            raise InputError(f"setting '{self.text}': {unknown(kind, field, fields)}")
        return replace(node, **{field: self.apply(getattr(node, field), rest)})

    def _in_list(self, node: tuple[Any, ...], path: str) -> tuple[Any, ...]:
        """Links of one name are one channel: all of them are changed."""
        names = [getattr(member, "name", "") for member in node]
        name, rest = self._split(path, names, type(node[0]).__name__.lower())
        if not rest:
            raise InputError(f"setting '{self.text}': expected a field of {show(name)} too")
        return tuple(
            self.apply(member, rest) if name in (EVERY, known) else member
            for member, known in zip(node, names, strict=True)
        )

    def _in_table(self, node: dict[str, Any], path: str) -> dict[str, Any]:
        is_leaf = not any(isinstance(child, dict) for child in node.values())
        if is_leaf and path != EVERY and path not in node and self.factor is None:
            return {**node, path: self.value}
        name, rest = self._split(path, list(node), "key")
        if name == EVERY and rest:
            return self._in_every_row(node, rest)
        return {key: self.apply(v, rest) if name in (EVERY, key) else v for key, v in node.items()}

    def _in_every_row(self, node: dict[str, Any], rest: str) -> dict[str, Any]:
        """What follows a ``*`` need not be in every row, but in one of them."""
        rows, missing = dict(node), []
        for key, row in node.items():
            try:
                rows[key] = self.apply(row, rest)
            except _MissingError as error:
                missing.append(error)
        if missing and len(missing) == len(node):
            raise missing[0]
        return rows

    def _split(self, path: str, names: Collection[str], kind: str) -> tuple[str, str]:
        """The first name of a path, and the rest; names may hold dots: the longest one counts."""
        found = [name for name in {*names, EVERY} if path == name or path.startswith(f"{name}.")]
        if not found:
            raise _MissingError(f"setting '{self.text}': {unknown(kind, path.partition('.')[0], set(names))}")
        name = max(found, key=len)
        return name, path[len(name) + 1 :]

    def _scaled(self, node: Any) -> Any:
        assert self.factor is not None
        if isinstance(node, dict):
            return {key: self._scaled(child) for key, child in node.items()}
        if isinstance(node, bool) or not isinstance(node, int | float):
            raise InputError(f"setting '{self.text}': the present value is {show(node)}, expected a number")
        product = node * self.factor
        is_whole = isinstance(node, int) and math.isfinite(product) and product == int(product)
        return int(product) if is_whole else product


def _value(text: str) -> Any:
    """A value as JSON reads it, and text otherwise; lists become tuples."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        raise InstanceError(f"value {text[:60]}: an object, expected a number, text or list")
    return value
