"""Instances on which one solver is much worse than another, found by annealing over instances.

The idea, comparing schedulers by their worst instances instead of by averages over a data set, is that of PISA:
J. Coleman, B. Krishnamachari, "Comparing Task Graph Scheduling Algorithms: An Adversarial Approach" (2024). Moves are
those of the paper, weights of tasks, transfers, devices and links and edges that come and go, with the logarithm of
the ratio as energy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import msgspec

from dnnplan.costs import mapping_problem
from dnnplan.instances import Costs, Device, Instance, Layer, Link, Model, Platform, SolverError, Tensor
from dnnplan.instances.errors import InputError
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, Settings

MOST_TASKS, MOST_DEVICES, MOST_STEPS, MOST_STARTS = 64, 16, 1_000_000, 1000
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 1.0
"""Range of works, speeds, sizes and bandwidths."""
HOT, COLD = 0.2, 0.005
"""Temperatures at first and at last: a loss of so much in the logarithm of the ratio is taken in one of e times."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """An instance as the search sees it.

    Parameters
    ----------
    work, speed
        Of tasks and devices: a task takes work / speed seconds.
    size
        By edge (earlier, later task): what is moved.
    bandwidth
        By pair of devices: a transfer takes size / bandwidth seconds.
    """

    work: tuple[float, ...]
    speed: tuple[float, ...]
    size: dict[tuple[int, int], float]
    bandwidth: dict[tuple[int, int], float]

    def instance(self, name: str) -> Instance:
        """As an instance of mapping with latency as its objective."""
        readers: dict[int, list[tuple[int, float]]] = {}
        for (i, j), size in sorted(self.size.items()):
            readers.setdefault(i, []).append((j, size))
        tensors = [
            Tensor(name=f"t{i}-{j}", source=f"l{i}", targets=(f"l{j}",), bytes=round(size * 1e6))
            for i, row in readers.items()
            for j, size in row
        ]
        devices = tuple(Device(name=f"d{k}") for k in range(len(self.speed)))
        links = tuple(
            Link(name=f"d{a}-d{b}", source=f"d{a}", target=f"d{b}", bandwidth=value * 1e6)
            for (a, b), value in sorted(self.bandwidth.items())
        )
        times = {
            f"l{i}": {f"d{k}": work / speed for k, speed in enumerate(self.speed)}
            for i, work in enumerate(self.work)
        }
        layers = tuple(Layer(name=f"l{i}") for i in range(len(self.work)))
        return Instance(
            name=name,
            source="adversarial",
            platform=Platform(name="adversarial", devices=devices, links=links),
            models=(Model(name="net", layers=layers, tensors=tuple(tensors)),),
            costs=Costs(latency={"net": times}),
        )


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """The worst instance that was found.

    Parameters
    ----------
    ratio, first
        How many times as long the plan of `solver` takes there as that of `against`, and on the random instance that
        the search began with.
    steps, seed
        Instances that were tried, and the seed of the search that found it.
    """

    instance: Instance
    solver: str
    against: str
    ratio: float
    first: float
    steps: int
    seed: int

    def recorded(self) -> Instance:
        """The instance with how it was found, as the extension ``adversarial``."""
        about = {
            "solver": self.solver,
            "against": self.against,
            "ratio": round(self.ratio, 6),
            "seed": self.seed,
            "steps": self.steps,
        }
        return msgspec.structs.replace(self.instance, extensions={"adversarial": about})


def find_adversarial(
    solver: str,
    against: str,
    *,
    tasks: int = 6,
    devices: int = 3,
    steps: int = 1000,
    seed: int = 0,
    starts: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> Adversarial:
    """Search for an instance on which `solver` is worst against another solver.

    Parameters
    ----------
    solver, against
        Solvers of mapping. Those that end by themselves and are the same for a seed give the same instance for a seed.
    tasks, devices
        Sizes of the instance, which do not change.
    steps
        Instances that a search tries.
    seed, starts
        So many searches, the first with that seed and each other one with the next; the worst instance counts.
    stop
        Asked before each step; what has been found by then is returned.

    Raises
    ------
    InputError
        A size or number that is out of range.
    UnsupportedError
        There is no such solver.
    SolverError
        A solver finds no plan.

    Examples
    --------
    >>> found = find_adversarial("heft", "cpop", tasks=4, devices=2, steps=40)
    >>> found.ratio >= found.first
    True
    """
    for name, value, least, most in (
        ("tasks", tasks, 2, MOST_TASKS),
        ("devices", devices, 1, MOST_DEVICES),
        ("steps", steps, 1, MOST_STEPS),
        ("starts", starts, 1, MOST_STARTS),
    ):
        if not least <= value <= most:
            raise InputError(f"{name}: {value}, expected {least} to {most}")
    best = _search(solver, against, tasks, devices, steps, seed, stop)
    for other in range(seed + 1, seed + starts):
        if stop():
            break
        best = max(best, _search(solver, against, tasks, devices, steps, other, stop), key=lambda f: f.ratio)
    return best


def _search(
    solver: str, against: str, tasks: int, devices: int, steps: int, seed: int, stop: Callable[[], bool]
) -> Adversarial:
    """One search, from a random instance."""
    numbers = random.Random(seed)
    now = _first(numbers, tasks, devices)
    energy = first = _log_ratio(now, solver, against, seed)
    best, top, tried = now, energy, 0
    for step in range(steps):
        if stop():
            break
        heat = HOT * (COLD / HOT) ** (step / steps)
        other = _moved(numbers, now)
        ratio = _log_ratio(other, solver, against, seed)
        tried += 1
        if ratio >= energy or numbers.random() < math.exp((ratio - energy) / heat):
            now, energy = other, ratio
            if energy > top:
                best, top = now, energy
    return Adversarial(
        instance=best.instance(f"{solver}-against-{against}"),
        solver=solver,
        against=against,
        ratio=math.exp(top),
        first=math.exp(first),
        steps=tried,
        seed=seed,
    )


def latency_of(instance: Instance, solver: str, seed: int = 0) -> float:
    """Seconds of the plan that a solver finds, as the cost model has them."""
    problem = mapping_problem(instance)
    search = Search(problem, Settings(time_limit=None, work_limit=1.0, workers=1, seed=seed), name=solver)
    get_solver(solver).run(problem, search)
    if search.value is None:
        raise SolverError(f"{solver} finds no plan for {instance.name}")
    return search.value


def _log_ratio(weights: Weights, solver: str, against: str, seed: int) -> float:
    instance = weights.instance("candidate")
    return math.log(latency_of(instance, solver, seed) / latency_of(instance, against, seed))


def _first(numbers: random.Random, tasks: int, devices: int) -> Weights:
    """A random instance, with an edge between a third of the pairs."""
    pairs = combinations(range(tasks), 2)
    return Weights(
        work=tuple(_weight(numbers) for _ in range(tasks)),
        speed=tuple(_weight(numbers) for _ in range(devices)),
        size={pair: _weight(numbers) for pair in pairs if numbers.random() < 1 / 3},
        bandwidth={pair: _weight(numbers) for pair in combinations(range(devices), 2)},
    )


def _weight(numbers: random.Random) -> float:
    return round(numbers.uniform(LEAST_WEIGHT, MOST_WEIGHT), 4)


def _moved(numbers: random.Random, now: Weights) -> Weights:
    """One weight changed a little, or an edge added or removed."""
    match numbers.randrange(6):
        case 0:
            return replace(now, work=_shifted(numbers, now.work))
        case 1:
            return replace(now, speed=_shifted(numbers, now.speed))
        case 2 if now.bandwidth:
            return replace(now, bandwidth=_with_shift(numbers, now.bandwidth))
        case 3 if now.size:
            return replace(now, size=_with_shift(numbers, now.size))
        case 4 if now.size:
            gone = numbers.choice(sorted(now.size))
            return replace(now, size={edge: size for edge, size in now.size.items() if edge != gone})
        case _:
            i, j = sorted(numbers.sample(range(len(now.work)), 2))
            return replace(now, size={**now.size, (i, j): _weight(numbers)})


def _shifted(numbers: random.Random, values: tuple[float, ...]) -> tuple[float, ...]:
    at = numbers.randrange(len(values))
    return (*values[:at], _near(numbers, values[at]), *values[at + 1 :])


def _with_shift(numbers: random.Random, values: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    key = numbers.choice(sorted(values))
    return {**values, key: _near(numbers, values[key])}


def _near(numbers: random.Random, value: float) -> float:
    width = 0.2 * (MOST_WEIGHT - LEAST_WEIGHT)
    return round(min(MOST_WEIGHT, max(LEAST_WEIGHT, value + numbers.uniform(-width, width))), 4)
