"""Whether a platform means something: names, the ends of links, the host."""

from __future__ import annotations

from dnnplan.instances.platform import Link, Platform
from dnnplan.instances.validation.names import check_known, check_unique, device_names
from dnnplan.instances.wording import Report, at, show


def platform_problems(platform: Platform, path: str, report: Report) -> None:
    """Check one platform; `path` is where it stands, "" for a file of its own."""
    check_unique((memory.name for memory in platform.memories), "memory", at(path, "memories"), report)
    check_unique((device.name for device in platform.devices), "device", at(path, "devices"), report)
    memories = {memory.name for memory in platform.memories}
    _copy_problems(platform, memories, path, report)
    for index, device in enumerate(platform.devices):
        here = at(at(path, "devices"), index)
        if device.memory is not None:
            check_known(device.memory, memories, "memory", at(here, "memory"), report)
        check_unique((mode.name for mode in device.modes), "mode", at(here, "modes"), report)
    ends = memories | set(device_names(platform))
    copied = {device.name for device in platform.devices if device.count > 1}
    _link_problems(platform.links, ends, copied, at(path, "links"), report)
    if platform.host is not None:
        check_known(platform.host, ends, "memory or device", at(path, "host"), report)
    elif platform.execution.staging == "host":
        where = at(at(path, "execution"), "staging")
        report.add(where, '"host", but the platform names no `host`; name one, or use "direct"')


def _copy_problems(platform: Platform, memories: set[str], path: str, report: Report) -> None:
    """Devices, their copies and memories share one space of names, because links and the host use both."""
    devices = {device.name for device in platform.devices}
    for index, device in enumerate(platform.devices):
        here = at(at(at(path, "devices"), index), "name")
        if device.name in memories:
            report.add(here, f"{show(device.name)} is also the name of a memory, expected different names")
        if device.count > 1:
            stem = device.name + "."
            for name in sorted(n for n in devices | memories if n.startswith(stem)):
                copy = name[len(stem) :]
                if (
                    copy.isascii()
                    and copy.isdecimal()
                    and str(int(copy)) == copy
                    and int(copy) < device.count
                ):
                    report.add(here, f"its copy {copy} is called {show(name)}, which is another name in use")


def _link_problems(
    links: tuple[Link, ...], ends: set[str], copied: set[str], path: str, report: Report
) -> None:
    first: dict[tuple[str, str], int] = {}
    for index, link in enumerate(links):
        here = at(path, index)
        check_known(link.source, ends, "device or memory", at(here, "source"), report)
        check_known(link.target, ends, "device or memory", at(here, "target"), report)
        if link.source == link.target and link.source not in copied:  # from copy to copy is fine
            report.add(at(here, "target"), f"{show(link.target)} is also the source, expected two ends")
            continue
        pairs = {(link.source, link.target): None}
        if not link.directed:
            pairs[link.target, link.source] = None
        for pair in pairs:
            if pair in first:
                what = f"a second link from {show(pair[0])} to {show(pair[1])}, after link {first[pair]}"
                report.add(here, f"{what}; expected one in each direction")
                break
        for pair in pairs:
            first.setdefault(pair, index)
