"""What the names of an instance stand for, and the checks that every section repeats."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

from dnnplan.instances.instance import Instance
from dnnplan.instances.model import Model
from dnnplan.instances.platform import Platform
from dnnplan.instances.wording import Report, at, show, unknown


def check_unique(names: Iterable[str], kind: str, path: str, report: Report) -> None:
    """Report every name that comes up again in ``path[i].name``."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            where = at(at(path, index), "name")
            report.add(
                where, f"{show(name)} is already the name of {kind} {first[name]}, expected unique names"
            )
        else:
            first[name] = index


def check_known(name: str, known: Collection[str], kind: str, path: str, report: Report) -> bool:
    """Report a name that is not one of the known ones."""
    if name in known:
        return True
    # Looking for the closest name takes long; after some of them the reader has understood.
    report.add(path, unknown(kind, name, known) if len(report.problems) < 20 else f"{show(name)} is unknown")
    return False


def device_names(platform: Platform) -> dict[str, str]:
    """Every name a device can be referred to by, copies included, and the device it belongs to."""
    names: dict[str, str] = {}
    for device in platform.devices:
        names.setdefault(device.name, device.name)
        if device.count > 1:
            for copy in range(device.count):
                names.setdefault(f"{device.name}.{copy}", device.name)
    return names


class Names:
    """The names that an instance defines; each set is made when it is first asked for."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    @cached_property
    def models(self) -> dict[str, Model]:
        """Models by name."""
        return {model.name: model for model in self.instance.models}

    @cached_property
    def layers(self) -> dict[str, frozenset[str]]:
        """Layer names of each model."""
        return {name: frozenset(layer.name for layer in m.layers) for name, m in self.models.items()}

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, given or implied by the models."""
        return tuple(task.name for task in self.instance.effective_tasks())

    @cached_property
    def devices(self) -> dict[str, str] | None:
        """Names of devices and their copies; None where there is no platform yet to check against."""
        platform = self.instance.platform
        return device_names(platform) if platform else None

    @cached_property
    def ends(self) -> frozenset[str] | None:
        """Names that a transfer can start from or go to."""
        platform = self.instance.platform
        if platform is None:
            return None
        return frozenset(self.devices or ()) | {memory.name for memory in platform.memories}
