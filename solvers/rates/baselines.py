"""What people do first: everything on the NPU, and each network whole on the device that is best for the mix."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product

import numpy as np

from dnnplan.costs.periodic import PeriodicProblem
from dnnplan.costs.routes import IntArray, device_copies
from dnnplan.formulations.mapping.periodic.choices import Choices
from dnnplan.instances import UnsupportedError
from dnnplan.solvers.rates.exact import solve_exactly
from dnnplan.solvers.rates.search import RateSearch

MOST_COMBINATIONS, MOST_CELLS = 4_096, 10_000_000
"""Placements of whole networks that are scheduled, those of the least load first; layers of all of them together."""
SHARE = 0.3
"""Of the time, for list schedules of all combinations; the rest goes to the exact model."""


def npu_only(search: RateSearch) -> None:
    """Every network on the NPU, or on one of several; what cannot run there on its fastest other device.

    Raises
    ------
    UnsupportedError
        The platform has no device of kind ``npu``.
    """
    assert search.periodic is not None
    npus = npu_devices(search.periodic)
    if not npus:
        raise UnsupportedError("npu_only: the platform has no device of kind 'npu'")
    whole_networks(search, npus)


def best_device(search: RateSearch) -> None:
    """Every network whole on one device, all its jobs alike; what cannot run there on its fastest other device."""
    assert search.periodic is not None
    whole_networks(search, list(range(search.periodic.mapping.m)))


def npu_devices(problem: PeriodicProblem) -> list[int]:
    """Indices of the devices of kind ``npu``."""
    platform = problem.mapping.instance.platform
    assert platform is not None
    names = {copy for device in platform.devices if device.kind == "npu" for copy in device_copies(device)}
    return [d for d, name in enumerate(problem.mapping.devices) if name in names]


def whole_networks(search: RateSearch, devices: list[int]) -> None:
    """The best order of the best placement of whole networks on these devices: list schedules, then exactly."""
    problem = search.periodic
    assert problem is not None
    choices = {task: [whole(problem, task, d) for d in devices] for task in problem.tasks}
    phase = search.phase(SHARE)
    low = search.bound or 0.0
    for place in by_load(problem, choices):
        if search.over(phase):
            break
        for factor in (1.0, 2.0, 4.0, 16.0, 256.0):
            high = (
                search.value * (1 - 1e-4)
                if search.value is not None
                else 1.5 * factor * _load(problem, place)
            )
            plan = search.decoder.shortest(search.decoder.urgency(high), place, min(low, high), high)
            search.decoded()
            if plan is not None:
                search.offer(plan)
            if search.value is not None:
                break
    solve_exactly(search, search.phase(1.0), choices=choices)


def whole(problem: PeriodicProblem, task: str, device: int) -> tuple[int, ...]:
    """Device of each layer of a job of the task, if the network is put on `device`."""
    view = problem.mapping
    job = next(j for j, job in enumerate(view.jobs) if job.task == task)
    return tuple(
        device if device in view.allowed[i] else min(view.allowed[i], key=lambda d: (view.duration[i, d], d))
        for i in problem.layers_of_job[job]
    )


def by_load(problem: PeriodicProblem, choices: Choices) -> Iterator[IntArray]:
    """Placements of all layers, one choice for each task, by their largest load."""
    tasks = list(choices)
    most = max(1, min(MOST_COMBINATIONS, MOST_CELLS // max(problem.mapping.n, 1)))
    combinations = islice(product(*(choices[task] for task in tasks)), most)
    places = []
    for combination in combinations:
        option = dict(zip(tasks, combination, strict=True))
        place = np.zeros(problem.mapping.n, dtype=np.int64)
        for job, layers in enumerate(problem.layers_of_job):
            place[list(layers)] = option[problem.mapping.jobs[job].task]
        places.append(place)
    places.sort(key=lambda place: _load(problem, place))
    yield from places


def _load(problem: PeriodicProblem, place: IntArray) -> float:
    view = problem.mapping
    load = np.zeros(view.m)
    np.add.at(load, place, view.duration[np.arange(view.n), place])
    return float(load.max(initial=0.0))
