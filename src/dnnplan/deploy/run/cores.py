"""Which cores and which execution provider stand for each device of a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnnplan.costs.profile.setting import available_cores
from dnnplan.instances.assignments import assignments
from dnnplan.instances.errors import InputError
from dnnplan.instances.wording import suggestion

CPU = "CPUExecutionProvider"
MOST_CORES = 4096


@dataclass(frozen=True)
class Seat:
    """Where the segments of a device run: the cores of its threads, and the provider of its sessions."""

    cores: tuple[int, ...]
    provider: str = CPU


def seats(
    devices: Sequence[str],
    cores: Mapping[str, Sequence[int]] | None = None,
    providers: Mapping[str, str] | None = None,
    *,
    share: bool = False,
) -> dict[str, Seat]:
    """A seat for every device.

    Devices whose cores are not named share evenly what is left of the cores that this process may use.

    Parameters
    ----------
    share
        Whether devices may have cores in common: then they slow each other down, which no cost model here knows.

    Raises
    ------
    InputError
        An unknown device, a core that does not exist or belongs to another device, or fewer cores than devices.

    Examples
    --------
    >>> seats(["a", "b"], {"a": [0], "b": [0]}, share=True)["b"].cores
    (0,)
    """
    cores, providers = dict(cores or {}), dict(providers or {})
    for name in (*cores, *providers):
        if name not in devices:
            hint = suggestion(name, tuple(devices))
            raise InputError(f"device {name!r} is not in the manifest{hint}; it has {', '.join(devices)}")
    given = {name: _checked(name, tuple(own)) for name, own in cores.items()}
    if not share:
        _refuse_shared(given)
    chosen = given | _split([name for name in devices if name not in given], given, share=share)
    return {name: Seat(chosen[name], providers.get(name, CPU)) for name in devices}


def _checked(device: str, own: tuple[int, ...]) -> tuple[int, ...]:
    usable = available_cores()
    if not own:
        raise InputError(f"device {device!r} has no cores, expected some of {_listed(usable)}")
    for core in own:
        if core not in usable:
            raise InputError(f"device {device!r}: there is no core {core}; usable here: {_listed(usable)}")
    if len(set(own)) < len(own):
        raise InputError(f"device {device!r}: a core is named twice in {_listed(own)}")
    return own


def _refuse_shared(given: Mapping[str, tuple[int, ...]]) -> None:
    owner: dict[int, str] = {}
    for name, own in given.items():
        for core in own:
            if owner.setdefault(core, name) != name:
                raise InputError(
                    f"core {core} belongs to devices {owner[core]!r} and {name!r}: they would slow each other "
                    "down; give each device cores of its own, or ask for shared cores (--share-cores)"
                )


def _split(
    names: Sequence[str], given: Mapping[str, tuple[int, ...]], *, share: bool
) -> dict[str, tuple[int, ...]]:
    """Cores for the devices that named none: even parts of what is left, the first devices getting the larger ones."""
    if not names:
        return {}
    taken = {core for own in given.values() for core in own}
    left = [core for core in available_cores() if core not in taken]
    if len(left) < len(names):
        if not share:
            raise InputError(
                f"{len(left)} free cores for {len(names)} devices ({', '.join(names)}); plan for fewer devices, "
                "or ask for shared cores (--share-cores)"
            )
        left = left or available_cores()
        return {name: (left[at % len(left)],) for at, name in enumerate(names)}
    size, more = divmod(len(left), len(names))
    found, at = {}, 0
    for position, name in enumerate(names):
        end = at + size + (position < more)
        found[name] = tuple(left[at:end])
        at = end
    return found


def parse_cores(texts: Iterable[str] | None) -> dict[str, tuple[int, ...]]:
    """Cores by device, from ``gpu=0,2-3``.

    Raises
    ------
    InputError
        Not of that form, or a device is named twice.

    Examples
    --------
    >>> parse_cores(["gpu=0,2-3"])
    {'gpu': (0, 2, 3)}
    """
    return {
        name: tuple(core for part in value.split(",") for core in _range(part.strip(), f"{name}={value}"))
        for name, value in assignments(texts, "--cores", "DEVICE=0,1").items()
    }


def _range(part: str, text: str) -> range:
    first, dash, last = part.partition("-")
    ends = [first, last] if dash else [first, first]
    if not all(end.isdecimal() and len(end) < 6 for end in ends):
        raise InputError(f"--cores {text!r}: {part!r} is not a core or a range of cores, such as 0 or 2-3")
    begin, end = int(ends[0]), int(ends[1])
    if end < begin or end - begin > MOST_CORES:
        raise InputError(f"--cores {text!r}: the range {part} is empty or too long")
    return range(begin, end + 1)


def _listed(cores: Iterable[int]) -> str:
    return ", ".join(map(str, cores))
