"""Links that change or are lost, and the tables of transfers that go over them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from dnnplan.instances.errors import InputError, Problem
from dnnplan.instances.events.present import LEAST, MOST, platform_of, share, with_share
from dnnplan.instances.events.records import LinkChanged, LinkLost
from dnnplan.instances.instance import Instance
from dnnplan.instances.platform import Link, Platform
from dnnplan.instances.validation.names import device_names
from dnnplan.instances.wording import show, unknown

Pairs = dict[tuple[str, str], float]
"""By what the seconds between two ends are multiplied."""


def change_link(instance: Instance, event: LinkChanged) -> Instance:
    """The instance with other figures of all links of a name.

    Entries of transfer tables between ends that such a link joins are times the old bandwidth over the new one; a new
    latency does not change them.
    """
    platform = platform_of(instance)
    named = _named(platform, event.link)
    if event.bandwidth is not None and event.factor is not None:
        raise InputError(problems=[Problem("factor", "stated beside a bandwidth, expected one of them")])
    if event.bandwidth is None and event.factor is None and event.latency is None:
        raise InputError(
            problems=[Problem("bandwidth", "missing, expected a bandwidth, a factor or a latency")]
        )
    slower: dict[int, float] = {}
    changed: list[Link] = []
    for index, link in enumerate(platform.links):
        if link.name == event.link:
            bandwidth = _bandwidth(instance, link, event)
            if link.bandwidth is not None and bandwidth is not None:
                slower[index] = link.bandwidth / bandwidth
            latency = link.latency if event.latency is None else event.latency
            link = replace(link, bandwidth=bandwidth, latency=latency)
        changed.append(link)
    scaled = {
        pair: slower[index]
        for pair, index in _routes(instance, platform).items()
        if slower.get(index, 1.0) != 1.0
    }
    after = _with_transfers(instance, scaled, lambda seconds, factor: seconds * factor)
    after = replace(after, platform=replace(platform, links=tuple(changed)))
    if event.factor is not None:
        return _with_shares(after, named, dict.fromkeys(map(_key, named), float(event.factor)))
    if event.bandwidth is not None:
        # What is nominal stays: an absolute figure is a share of it too, of each link's own.
        now = {
            _key(link): _share(instance, link) * event.bandwidth / link.bandwidth
            for link in named
            if link.bandwidth is not None
        }
        if not all(LEAST <= one <= MOST for one in now.values()):
            what = f"{show(event.bandwidth)}, expected {LEAST:g} to {MOST:g} times what is nominal"
            raise InputError(problems=[Problem("bandwidth", what)])
        return _with_shares(after, named, now)
    return after


def _key(link: Link) -> str:
    """Where the share of one link is noted, if those of its name differ; names have no ``/``."""
    return f"{link.name}/{link.source}>{link.target}"


def _share(instance: Instance, link: Link) -> float:
    """Present share of the nominal bandwidth of a link."""
    return share(instance, "bandwidth", _key(link), share(instance, "bandwidth", link.name))


def _with_shares(instance: Instance, named: list[Link], now: dict[str, float]) -> Instance:
    """The instance in which the shares of all links of a name are noted: once, or link by link where they differ."""
    several = set(now.values())
    alike = len(now) == len({_key(link) for link in named}) and len(several) == 1
    instance = with_share(instance, "bandwidth", named[0].name, several.pop() if alike else 1.0)
    for link in named:
        instance = with_share(instance, "bandwidth", _key(link), 1.0 if alike else now.get(_key(link), 1.0))
    return instance


def lose_link(instance: Instance, event: LinkLost) -> Instance:
    """The instance without the links of a name; what they joined may be joined by others, or by nothing."""
    platform = platform_of(instance)
    _named(platform, event.link)
    gone = {index for index, link in enumerate(platform.links) if link.name == event.link}
    pairs = dict.fromkeys((pair for pair, index in _routes(instance, platform).items() if index in gone), 0.0)
    after = _with_transfers(instance, pairs, lambda seconds, factor: None)
    links = tuple(link for link in platform.links if link.name != event.link)
    return replace(after, platform=replace(platform, links=links))


def _named(platform: Platform, name: str) -> list[Link]:
    found = [link for link in platform.links if link.name == name]
    if not found:
        what = unknown("link", name, {link.name for link in platform.links})
        raise InputError(problems=[Problem("link", what)])
    return found


def _bandwidth(instance: Instance, link: Link, event: LinkChanged) -> float | None:
    if event.bandwidth is not None:
        return event.bandwidth
    if event.factor is None:
        return link.bandwidth
    if link.bandwidth is None:
        what = f"link {show(link.name)} states no bandwidth to take a share of; give a bandwidth"
        raise InputError(problems=[Problem("factor", what)])
    return link.bandwidth * (event.factor / _share(instance, link))


def _routes(instance: Instance, platform: Platform) -> dict[tuple[str, str], int]:
    """The link, as index, that joins each two names of transfer tables (docs/cost-model.md, section 3)."""
    if not instance.costs.transfer:
        return {}
    links: dict[tuple[str, str], int] = {}
    for index, link in enumerate(platform.links):
        links.setdefault((link.source, link.target), index)
        if not link.directed:
            links.setdefault((link.target, link.source), index)
    memory = {device.name: device.memory for device in platform.devices}
    owner = device_names(platform)
    ends = {name: ([*dict.fromkeys((name, device))], memory[device]) for name, device in owner.items()}
    if platform.host is not None and platform.host not in ends:
        ends[platform.host] = ([], platform.host)
    found: dict[tuple[str, str], int] = {}
    for a, (from_names, from_memory) in ends.items():
        for b, (to_names, to_memory) in ends.items():
            here, there = [from_memory] if from_memory else [], [to_memory] if to_memory else []
            tried = ((from_names, to_names), (here, to_names), (from_names, there), (here, there))
            joined = next((links[s, t] for ss, ts in tried for s in ss for t in ts if (s, t) in links), None)
            if joined is not None and a != b:
                found[a, b] = joined
    return found


def _with_transfers(
    instance: Instance, pairs: Pairs, change: Callable[[float, float], float | None]
) -> Instance:
    """The instance with the transfer times of some pairs of ends changed; None: no entry."""
    if not pairs:
        return instance
    tables = {
        model: {
            tensor: {a: _row(a, row, pairs, change) for a, row in ends.items()}
            for tensor, ends in tensors.items()
        }
        for model, tensors in instance.costs.transfer.items()
    }
    return replace(instance, costs=replace(instance.costs, transfer=tables))


def _row(
    a: str, row: dict[str, float], pairs: Pairs, change: Callable[[float, float], float | None]
) -> dict[str, float]:
    changed = {b: change(value, pairs[a, b]) if (a, b) in pairs else value for b, value in row.items()}
    return {b: value for b, value in changed.items() if value is not None}
