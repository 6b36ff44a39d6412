"""The platform as ends of transfers: every device copy, its memory, the host, and the routes between them."""

from __future__ import annotations

from dataclasses import dataclass

from dnnplan.instances import Device, InstanceError, Link, Platform, Problem


@dataclass(frozen=True, slots=True)
class End:
    """One device copy: its own name, the name of the device it is a copy of, and the index of its memory."""

    name: str
    base: str
    spec: Device
    memory: int


@dataclass(frozen=True, slots=True)
class Route:
    """How bytes travel between two ends; without a link the move is free (zero-copy)."""

    link: Link | None


FREE = Route(None)


class Ends:
    """Devices (index 0 ... D - 1), the host (a device's index, or D where it is a memory) and memories.

    Parameters
    ----------
    platform
        Devices without a memory get one of their own, named like them.
    """

    def __init__(self, platform: Platform) -> None:
        self.devices: list[End] = []
        self.memories: list[str] = [memory.name for memory in platform.memories]
        self.capacity: list[float | None] = [memory.bytes for memory in platform.memories]
        self.bandwidth: list[float | None] = [memory.bandwidth for memory in platform.memories]
        for spec in platform.devices:
            copies = [spec.name] if spec.count == 1 else [f"{spec.name}.{i}" for i in range(spec.count)]
            for name in copies:
                self.devices.append(End(name, spec.name, spec, self._memory_of(spec, name)))
        self.index = {end.name: i for i, end in enumerate(self.devices)}
        self.host_name = platform.host
        self.host = self._host_end(platform)
        self.links = platform.links
        self._positions: dict[tuple[str, str], int] = {}
        for position, link in enumerate(platform.links):
            self._positions.setdefault((link.source, link.target), position)
            if not link.directed:
                self._positions.setdefault((link.target, link.source), position)
        self._routes: dict[tuple[int, int], Route | None] = {}

    def _memory_of(self, spec: Device, name: str) -> int:
        if spec.memory is not None:
            if spec.memory not in self.memories:
                raise InstanceError(
                    problems=[Problem(f"device {spec.name}", f"unknown memory {spec.memory!r}")]
                )
            return self.memories.index(spec.memory)
        self.memories.append(name)
        self.capacity.append(None)
        self.bandwidth.append(None)
        return len(self.memories) - 1

    def _host_end(self, platform: Platform) -> int | None:
        if platform.host is None:
            return None
        if platform.host in self.index:
            return self.index[platform.host]
        if platform.host in {memory.name for memory in platform.memories}:
            return len(self.devices)
        raise InstanceError(f"platform.host: {platform.host!r} is neither a memory nor a device")

    def names(self, end: int) -> tuple[str, ...]:
        """Names an end answers to in links and tables: its own first, then that of the device it copies."""
        if end == len(self.devices):
            return (str(self.host_name),)
        device = self.devices[end]
        return (device.name,) if device.name == device.base else (device.name, device.base)

    def name(self, end: int) -> str:
        """The end's own name."""
        return self.names(end)[0]

    def memory_names(self, end: int) -> tuple[str, ...]:
        """The named memory that an end computes from or is; none for a memory of its own."""
        if end == len(self.devices):
            return (str(self.host_name),)
        memory = self.devices[end].spec.memory
        return () if memory is None else (memory,)

    def route(self, source: int, target: int) -> Route | None:
        """The route between two ends (docs/cost-model.md, 3); None where there is none."""
        key = (source, target)
        if key not in self._routes:
            self._routes[key] = self._find_route(source, target)
        return self._routes[key]

    def _find_route(self, source: int, target: int) -> Route | None:
        if source == target:
            return FREE
        from_memory, to_memory = self.memory_names(source), self.memory_names(target)
        pairs = (
            (self.names(source), self.names(target)),
            (from_memory, self.names(target)),
            (self.names(source), to_memory),
            (from_memory, to_memory),
        )
        for sources, targets in pairs:
            # Names of a copy come first: an entry for the copy wins over one for the device.
            found = [self._positions[a, b] for a in sources for b in targets if (a, b) in self._positions]
            if found:
                return Route(self.links[found[0]])
        return FREE if from_memory and from_memory == to_memory else None
