"""What earlier events changed: shares of nominal speeds, powers and bandwidths, under ``extensions.now``."""

from __future__ import annotations

from msgspec.structs import replace

from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.instance import Instance
from dnnplan.instances.platform import Platform
from dnnplan.instances.wording import show

MEMBER = "now"
LEAST, MOST = 1e-12, 1e12
"""Shares beyond these were not noted here."""


def share(instance: Instance, what: str, name: str, first: float = 1.0) -> float:
    """Present share of the nominal `what` (``speed``, ``power``, ``bandwidth``) of a device or link; else `first`."""
    tree = instance.extensions.get(MEMBER)
    table = tree.get(what) if isinstance(tree, dict) else None
    value = table.get(name, first) if isinstance(table, dict) else first
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not LEAST <= value <= MOST:
        expected = f"expected a number from {LEAST:g} to {MOST:g}"
        raise InputError(
            problems=[Problem(f"extensions.{MEMBER}.{what}.{name}", f"{show(value)}, {expected}")]
        )
    return float(value)


def with_share(instance: Instance, what: str, name: str, value: float) -> Instance:
    """The instance in which that share is noted; 1 is not."""
    tree = instance.extensions.get(MEMBER)
    known = tree.items() if isinstance(tree, dict) else ()
    now = {key: dict(table) for key, table in known if isinstance(table, dict)}
    now.setdefault(what, {})[name] = value
    if value == 1:
        del now[what][name]
    now = {key: table for key, table in now.items() if table}
    rest = {key: member for key, member in instance.extensions.items() if key != MEMBER}
    return replace(instance, extensions={**rest, MEMBER: now} if now else rest)


def platform_of(instance: Instance) -> Platform:
    """The platform that events are about."""
    if instance.platform is None:
        raise InputError("the instance has no platform")
    return instance.platform
