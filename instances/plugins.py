"""What other distributions add through entry points: found without importing, loaded when used, refused by name.

A plug-in that is broken is an error for who uses it, and for nobody else.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache
from typing import Any

from dnnplan.instances.errors import PluginError

SOLVERS, FORMATS, COSTS = "dnnplan.solvers", "dnnplan.formats", "dnnplan.costs"
"""Groups of entry points; for solvers of other problems than mapping the problem stands behind, with a dot."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An entry point: its name, ``module`` or ``module:attribute``, and the distribution that has it."""

    group: str
    name: str
    value: str
    distribution: str

    def __str__(self) -> str:
        return f"'{self.name}' of the package {self.distribution} ({self.value})"

    def load(self) -> Any:
        """Import it.

        Raises
        ------
        PluginError
            It cannot be imported.
        """
        try:
            return importlib.metadata.EntryPoint(self.name, self.value, self.group).load()
        except Exception as error:
            raise self.error(f"cannot be imported: {type(error).__name__}: {error}") from error

    def error(self, what: str) -> PluginError:
        """An error that names the plug-in."""
        return PluginError(
            f"{self.group}: {self} {what}; repair it, or uninstall it: pip uninstall {self.distribution}"
        )


@cache  # looking through all installed distributions takes milliseconds
def _installed(group: str) -> tuple[Plugin, ...]:
    found = [
        Plugin(
            group=group,
            name=point.name,
            value=point.value,
            distribution=point.dist.name if point.dist is not None else "unknown",
        )
        for point in importlib.metadata.entry_points(group=group)
    ]
    return tuple(sorted(set(found), key=lambda plugin: (plugin.name, plugin.distribution, plugin.value)))


def forget() -> None:
    """Look again at what is installed, when asked the next time."""
    _installed.cache_clear()


def plugins(group: str, own: Container[str]) -> dict[str, Plugin]:
    """Plug-ins by name; names that are `own` cannot be taken, and of several with one name the first package counts."""
    chosen: dict[str, Plugin] = {}
    for plugin in _installed(group):
        if plugin.name not in own:
            chosen.setdefault(plugin.name, plugin)
    return chosen


def complaints(group: str, own: Container[str], use: Callable[[Plugin], object]) -> tuple[str, ...]:
    """What is wrong with the plug-ins of a group, for people who list them.

    Parameters
    ----------
    use
        Loads one of them as it is used, and raises `PluginError` if that cannot be done.
    """
    chosen, found = plugins(group, own), list[str]()
    for plugin in _installed(group):
        if plugin.name in own:
            found.append(f"{plugin} is not used: dnnplan has one of that name itself")
        elif chosen[plugin.name] != plugin:
            found.append(f"{plugin} is not used: {chosen[plugin.name]} has the name")
        else:
            try:
                use(plugin)
            except PluginError as error:
                found.append(str(error))
    return tuple(found)
