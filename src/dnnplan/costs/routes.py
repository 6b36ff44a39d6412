"""Which link a transfer between two ends takes, and what it costs by byte (docs/cost-model.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances import Device, Link, Platform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Routes:
    """Transfer figures between ends; ends 0..m-1 are devices, end m is the host (if there is one).

    Parameters
    ----------
    latency, per_byte
        (m+1, m+1) seconds, and seconds per byte; infinite latency where there is no route.
    energy_per_byte
        (m+1, m+1) joules per byte.
    channel
        (m+1, m+1) index into `channels`; -1: none.
    zero_copy
        (m+1, m+1) True where moving is free because both ends share a memory.
    """

    latency: FloatArray
    per_byte: FloatArray
    energy_per_byte: FloatArray
    channel: IntArray
    zero_copy: NDArray[np.bool_]
    channels: tuple[str, ...]


def device_copies(device: Device) -> list[str]:
    """Names of the copies of a device: its own name, or ``name.0``, ``name.1``, ... where `count` > 1."""
    if device.count == 1:
        return [device.name]
    return [f"{device.name}.{i}" for i in range(device.count)]


_End = tuple[tuple[str, ...], str | None]


def _endpoints(platform: Platform) -> list[_End]:
    """(names in links, its own first; memory) of each end; the last one is the host, without names if a memory."""
    ends: list[_End] = []
    for device in platform.devices:
        for copy in device_copies(device):
            ends.append((tuple(dict.fromkeys((copy, device.name))), device.memory))
    host = platform.host
    own = {names[0]: (names, memory) for names, memory in ends}
    devices = {device.name: ((device.name,), device.memory) for device in platform.devices}
    ends.append(own.get(host or "") or devices.get(host or "") or ((), host))
    return ends


def find_link(links: dict[tuple[str, str], Link], a: _End, b: _End) -> Link | None:
    """The link of the route from end `a` to end `b`: between their names, then through their memories.

    A link that names a copy wins over one that names the device.
    """
    here, there = (a[1],) if a[1] else (), (b[1],) if b[1] else ()
    for sources, targets in ((a[0], b[0]), (here, b[0]), (a[0], there), (here, there)):
        for source in sources:
            for target in targets:
                if link := links.get((source, target)):
                    return link
    return None


def resolve_routes(platform: Platform) -> Routes:
    """Resolve the route between every two ends of the platform."""
    links: dict[tuple[str, str], Link] = {}
    for listed in platform.links:
        links.setdefault((listed.source, listed.target), listed)
        if not listed.directed:
            links.setdefault((listed.target, listed.source), listed)
    ends = _endpoints(platform)
    names = [n for d in platform.devices for n in device_copies(d)]
    channels = tuple(dict.fromkeys(link.name for link in platform.links))
    index = {name: i for i, name in enumerate(channels)}
    size = len(ends)
    latency = np.full((size, size), np.inf)
    per_byte = np.zeros((size, size))
    energy = np.zeros((size, size))
    channel = np.full((size, size), -1, dtype=np.int64)
    zero_copy = np.zeros((size, size), dtype=bool)
    host_device = platform.host if platform.host in names else None
    for a, end_a in enumerate(ends):
        for b, end_b in enumerate(ends):
            same = a == b or (
                size - 1 in (a, b) and host_device is not None and names[min(a, b)] == host_device
            )
            link = None if same else find_link(links, end_a, end_b)
            if link is not None:
                latency[a, b] = link.latency
                per_byte[a, b] = 1.0 / link.bandwidth if link.bandwidth is not None else 0.0
                energy[a, b] = link.energy_per_byte
                channel[a, b] = index[link.name]
            elif same or (end_a[1] is not None and end_a[1] == end_b[1]):
                latency[a, b] = 0.0
                zero_copy[a, b] = True
    return Routes(
        latency=latency,
        per_byte=per_byte,
        energy_per_byte=energy,
        channel=channel,
        zero_copy=zero_copy,
        channels=channels,
    )
