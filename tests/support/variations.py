"""Small random instances with what `random_small` draws rarely or never."""

from __future__ import annotations

from msgspec.structs import replace

from dnnplan.instances import Instance


def with_slots(instance: Instance, slots: int | str) -> Instance:
    """All devices run `slots` calls at once."""
    platform = instance.platform
    assert platform is not None
    devices = tuple(replace(device, slots=slots) for device in platform.devices)
    return replace(instance, platform=replace(platform, devices=devices))


def with_host_at(instance: Instance, host: str) -> Instance:
    """The memory or device `host` is the host: those that compute from it reach the host for nothing."""
    platform = instance.platform
    assert platform is not None
    if platform.host is None:
        return instance
    owner = {device.name: device.memory for device in platform.devices}
    memory = owner.get(host, host)
    links = [link for link in platform.links if link.source != "host"]
    known = {frozenset((link.source, link.target)) for link in links}
    for link in platform.links:
        pair = frozenset((host, link.target))
        if link.source == "host" and owner[link.target] != memory and pair not in known:
            links.append(replace(link, source=host))
    return replace(instance, platform=replace(platform, host=host, links=tuple(links)))
