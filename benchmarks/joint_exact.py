"""How far whole plans are proven: varied instances of 4 tasks, 3 devices and 6 blocks; larger ones with their gaps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from msgspec.structs import replace

from benchmarks.case import Measured
from dnnplan.costs.whole import whole_problem
from dnnplan.instances import Instance, Limits, Link, Memory
from dnnplan.instances.generators import whole_instance
from dnnplan.instances.platform import Execution
from dnnplan.instances.sections import Costs
from dnnplan.solvers.search import Settings, TaskSearch
from dnnplan.solvers.whole.auto import Auto

SECONDS, WORKERS = 60.0, 2
TASKS, BLOCKS, DEVICES = 4, 6, 3
HOST_SPEED = 2e8
"""Bytes a second between the host and each device."""


def _plain(seed: int, **options: float) -> Instance:
    return whole_instance(TASKS, BLOCKS, DEVICES, seed, **options)  # type: ignore[arg-type]


def _on(instance: Instance, execution: Execution) -> Instance:
    assert instance.platform is not None
    return replace(instance, platform=replace(instance.platform, execution=execution))


def _one_bus(seed: int) -> Instance:
    instance = _on(_plain(seed), Execution(contention="links"))
    assert instance.platform is not None
    links = tuple(replace(link, name="bus") for link in instance.platform.links)
    return replace(instance, platform=replace(instance.platform, links=links))


def _with_host(seed: int, execution: Execution, memory: float | None = None) -> Instance:
    instance = _on(_plain(seed, **({} if memory is None else {"memory": memory})), execution)
    platform = instance.platform
    assert platform is not None
    links = tuple(
        Link(name=f"host-{device.name}", source="host", target=device.name, bandwidth=HOST_SPEED)
        for device in platform.devices
    )
    changed = replace(
        platform,
        host="host",
        memories=(*platform.memories, Memory(name="host")),
        links=platform.links + links,
    )
    return replace(instance, platform=changed)


def _times(instance: Instance, change: Callable[[dict[str, float]], dict[str, float]]) -> Instance:
    table = {
        model: {layer: change({d: float(s or 0) for d, s in row.items()}) for layer, row in rows.items()}
        for model, rows in instance.costs.latency.items()
    }
    return replace(instance, costs=Costs(latency=table))


def _own_costs(seed: int, **options: float) -> Instance:
    draws = random.Random(seed)
    return _times(
        _plain(seed, **options),
        lambda row: {d: round(s * draws.uniform(0.7, 1.3), 6) for d, s in row.items()},
    )


def _equal_devices(seed: int) -> Instance:
    return _times(_plain(seed), lambda row: dict.fromkeys(row, next(iter(row.values()))))


SMALL: dict[str, Callable[[], Instance]] = {
    "two layers a block": lambda: _plain(21, layers=2),
    "slow links": lambda: _plain(22, ccr=2.0),
    "everything may be shared": lambda: _plain(23, variety=1.0),
    "little may be shared": lambda: _plain(24, variety=0.15),
    "each task its own costs": lambda: _own_costs(25),
    "own costs, two layers a block": lambda: _own_costs(26, layers=2),
    "equal devices": lambda: _equal_devices(27),
    "links queue": lambda: _on(_plain(28), Execution(contention="links")),
    "one bus": lambda: _one_bus(29),
    "no overlap": lambda: _on(_plain(30), Execution(overlap=False)),
    "through the host": lambda: _with_host(31, Execution(staging="host")),
    "streamed weights": lambda: _with_host(32, Execution(weights="streamed")),
    "chosen weights": lambda: _with_host(33, Execution(weights="choice", memory="static"), memory=0.5),
    "memory": lambda: _plain(34, memory=0.9),
    "energy": lambda: replace(_plain(35), objective="energy"),
    "latency and energy": lambda: replace(_plain(36), objective="latency=1,energy=0.2"),
    "latency and variety": lambda: replace(_plain(37), objective="latency=1,variety=0.003", limits=Limits()),
    "largest load": lambda: replace(_plain(38), objective="max_load"),
}
"""Instances of 4 tasks, 3 devices and 6 blocks."""
LARGE: dict[str, Callable[[], Instance]] = {
    "three layers a block": lambda: _plain(41, layers=3),
    "5 tasks, 7 blocks": lambda: whole_instance(5, 7, 3, 42),
    "6 tasks, 4 devices": lambda: whole_instance(6, 6, 4, 43),
    "10 tasks, 4 devices, 50 layers": lambda: whole_instance(10, 10, 4, 44, layers=5),
}
"""Larger ones, of which the gap is reported."""


def exact(name: str) -> Measured:
    """Seconds until a small instance is proven; the gap in percent after a minute on a larger one."""
    small = name in SMALL
    problem = whole_problem((SMALL if small else LARGE)[name]())
    search = TaskSearch(problem, Settings(time_limit=SECONDS, workers=WORKERS), name="joint")
    Auto().run(problem, search)
    gap = math.nan if search.gap is None else 100 * search.gap
    note = f"value {search.value}, bound {search.bound} ({search.bound_name})"
    if small:
        return Measured(search.seconds, "s", SECONDS, search.proved, note)
    return Measured(gap, "%", None, search.value is not None and search.bound is not None, note)
