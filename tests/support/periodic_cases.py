"""Tiny periodic instances with whole times, and two independent judges of cyclic plans: brute force and simulation."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import pairwise, permutations, product

from dnnplan.instances import Instance, Layer, Model, Task, Tensor
from dnnplan.instances.platform import Device, Link, Memory, Platform
from dnnplan.instances.sections import Costs


def chain_model(name: str, layers: int) -> Model:
    """A chain; every tensor takes one second on the link."""
    names = [f"l{i}" for i in range(layers)]
    return Model(
        name=name,
        layers=tuple(Layer(name=n) for n in names),
        tensors=tuple(
            Tensor(name=f"t{i}", source=names[i], targets=(names[i + 1],), bytes=1) for i in range(layers - 1)
        ),
    )


def case(
    durations: dict[str, list[dict[str, float]]],
    tasks: tuple[Task, ...],
    *,
    devices: tuple[str, ...] = ("a", "b"),
) -> Instance:
    """Chains of layers with a time on each device that can run them; a transfer takes one second."""
    return Instance(
        name="case",
        platform=Platform(
            name="p",
            memories=tuple(Memory(name=f"m-{d}") for d in devices),
            devices=tuple(
                Device(name=d, memory=f"m-{d}", kind="npu" if d == "b" else "cpu") for d in devices
            ),
            links=tuple(
                Link(name=f"{d}-{e}", source=d, target=e, bandwidth=1.0)
                for i, d in enumerate(devices)
                for e in devices[i + 1 :]
            ),
        ),
        models=tuple(chain_model(name, len(rows)) for name, rows in durations.items()),
        tasks=tasks,
        costs=Costs(
            latency={name: {f"l{i}": row for i, row in enumerate(rows)} for name, rows in durations.items()}
        ),
    )


def random_case(seed: int) -> Instance:
    """Two tasks, of which the first has two jobs in a hyperperiod; five layers of jobs in all."""
    rng = random.Random(seed)

    def row() -> dict[str, float]:
        times = {d: float(rng.randint(1, 6)) for d in "ab"}
        if rng.random() < 0.2:
            times.pop(rng.choice("ab"))
        return times

    first = [row() for _ in range(rng.choice((1, 2)))]
    second = [row() for _ in range(3 if len(first) == 1 else 1)]
    return case(
        {"x": first, "y": second},
        (
            Task(name="x", model="x", period=1),
            Task(name="y", model="y", period=2, release=rng.choice((0, 0, 0.5))),
        ),
    )


class Work:
    """The jobs of one cycle, read from the instance by itself."""

    def __init__(self, instance: Instance) -> None:
        periods = [Fraction(str(t.period)) for t in instance.tasks]
        scale = math.lcm(*(p.denominator for p in periods))
        whole = Fraction(math.lcm(*(int(p * scale) for p in periods)), scale)
        self.keys: list[tuple[str, int, int]] = []
        self.time: list[dict[str, float]] = []
        self.release: list[Fraction] = []
        self.due: list[Fraction] = []
        self.last: list[bool] = []
        for task, period in zip(instance.tasks, periods, strict=True):
            rows = instance.costs.latency[task.model]
            for job in range(int(whole / period)):
                for i in range(len(rows)):
                    self.keys.append((task.name, job, i))
                    self.time.append(rows[f"l{i}"])
                    self.release.append((Fraction(str(task.release)) + job * period) / whole)
                    self.due.append(self.release[-1] + period / whole)
                    self.last.append(i == len(rows) - 1)

    def wait(self, j: int, place: tuple[str, ...]) -> float:
        """Seconds from the end of the layer before j, in its chain, to its start."""
        return 1.0 if place[j] != place[j - 1] else 0.0


def least_cycle(instance: Instance) -> float:
    """Shortest cycle where every deadline is the next release: all placements and orders of every device.

    With no deadline beyond the end of the cycle no call crosses it. Under an order the cycle is the largest
    (longest path from a release to a deadline) / (their distance as a share of the cycle).
    """
    work = Work(instance)
    assert max(work.due) <= 1
    n, best = len(work.keys), math.inf
    for place in product(*(tuple(row) for row in work.time)):
        rows = [[i for i in range(n) if place[i] == d] for d in sorted(set(place))]
        for orders in product(*(permutations(row) for row in rows)):
            best = min(best, _ratio(work, place, orders, best))
    return best


def _ratio(work: Work, place: tuple[str, ...], orders: tuple[tuple[int, ...], ...], limit: float) -> float:
    n = len(work.keys)
    before: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for j in range(n):
        if work.keys[j][2] > 0:
            before[j].append((j - 1, work.wait(j, place)))
    for order in orders:
        for i, j in pairwise(order):
            before[j].append((i, 0.0))
    worst = 0.0
    for source in range(n):
        longest = _longest(n, before, [row[d] for row, d in zip(work.time, place, strict=True)], source)
        if longest is None:
            return math.inf
        for end, seconds in longest.items():
            room = work.due[end] - work.release[source]
            worst = max(worst, seconds / float(room) if room > 0 else math.inf)
            if worst >= limit:
                return math.inf
    return worst


def _longest(
    n: int, before: list[list[tuple[int, float]]], took: list[float], source: int
) -> dict[int, float] | None:
    """Longest time from the start of a layer to the end of each that follows it; None if they wait in a circle."""
    end = {source: took[source]}
    for _ in range(n):
        changed = False
        for j in range(n):
            reached = [end[i] + wait + took[j] for i, wait in before[j] if i in end]
            if reached and max(reached) > end.get(j, -math.inf) + 1e-12:
                end[j], changed = max(reached), True
        if not changed:
            return end
    return None


def simulate(
    instance: Instance, cycle: float, place: dict[str, str], start: dict[str, float], cycles: int = 12
) -> dict[str, float]:
    """Run the orders of a table as soon as possible for some cycles; longest response by task in the last one.

    Devices serve the calls of the unrolled table in its order; a call waits for its release and its inputs.
    """
    work = Work(instance)
    names = ["{}/{}/l{}".format(*key) for key in work.keys]
    where = tuple(place[name] for name in names)
    calls = sorted((start[name] + k * cycle, k, i) for i, name in enumerate(names) for k in range(cycles))
    free: dict[str, float] = {}
    ended: dict[tuple[int, int], float] = {}
    response: dict[str, float] = {}
    for planned, k, i in calls:
        moment = max(float(work.release[i]) * cycle + k * cycle, free.get(where[i], 0.0))
        if work.keys[i][2] > 0:
            moment = max(moment, ended[k, i - 1] + work.wait(i, where))
        assert moment <= planned + 1e-9 * cycle * cycles, "as soon as possible is never later than the table"
        ended[k, i] = moment + work.time[i][where[i]]
        free[where[i]] = ended[k, i]
        if work.last[i] and k == cycles - 1:
            took = ended[k, i] - float(work.release[i]) * cycle - k * cycle
            response[work.keys[i][0]] = max(response.get(work.keys[i][0], 0.0), took)
    return response
