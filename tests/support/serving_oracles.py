"""Small instances of serving whose samples are all known, and their optimum by trying all sequences of batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from dnnplan.costs.judged import Judged
from dnnplan.costs.serving.offline import OfflineServing, offline_serving
from dnnplan.instances import Device, DeviceRule, Instance, Layer, Link, Model, Platform, Power, Task, Tensor
from dnnplan.instances.sections import Arrivals, Costs, Stream, Workload


def known_instance(
    latency: Sequence[Sequence[float]],
    arrivals: Sequence[float],
    depths: Sequence[int],
    *,
    slo: float | None = None,
    objective: str = "mean_latency",
    switch: Sequence[float] = (),
) -> Instance:
    """One network on one device; `latency[k][b - 1]` seconds of a batch of b samples of stage k."""
    names = [f"e{k + 1}" for k in range(len(latency))]
    exits = tuple(names[d - 1] for d in depths)
    trace = Arrivals(kind="trace", times=tuple(map(float, arrivals)), exits=exits)
    return Instance(
        objective=objective,
        models=(_chain("net", len(latency)),),
        tasks=(Task(name="see", model="net"),),
        workload=Workload(streams=(Stream(name="camera", task="see", arrivals=trace, slo=slo),)),
        costs=Costs(
            batch_latency={
                name: {str(b): float(v) for b, v in enumerate(row, 1)}
                for name, row in zip(names, latency, strict=True)
            },
            stage_switch={names[k]: float(v) for k, v in enumerate(switch) if v},
        ),
    )


def _chain(name: str, stages: int, devices: Sequence[str] = ()) -> Model:
    """A network of one layer a stage, each with an exit."""
    layers = tuple(
        Layer(
            name=f"l{k + 1}",
            exit=f"e{k + 1}",
            **({"devices": DeviceRule(fix=devices[k])} if devices else {}),
        )
        for k in range(stages)
    )
    tensors = tuple(
        Tensor(name=f"t{k}", source=f"l{k}", targets=(f"l{k + 1}",), bytes=k) for k in range(1, stages)
    )
    return Model(name=name, layers=layers, tensors=tensors)


def random_instance(
    seed: int,
    *,
    samples: int = 4,
    stages: int = 3,
    largest: int = 3,
    models: int = 1,
    devices: int = 1,
    whole: bool = True,
    falling: bool = False,
    switch: bool = False,
    objective: str = "mean_latency",
    weighted: bool = False,
) -> Instance:
    """Random tables, traces and exits; whole seconds make many things happen at once.

    `falling`: some larger batches take less time. `weighted`: streams differ in weight.
    """
    rng = np.random.default_rng(seed)

    def seconds(high: float) -> float:
        return float(rng.integers(1, high + 1)) if whole else float(rng.uniform(0.1, high))

    on = [f"d{k}" for k in range(devices)]
    nets, latency, energy, back = [], {}, {}, {}
    for m in range(models):
        count = int(rng.integers(1, stages + 1))
        where = [on[int(rng.integers(devices))] for _ in range(count)]
        nets.append(_chain(f"net{m}", count, where if devices > 1 else ()))
        for k in range(count):
            key = f"net{m}/e{k + 1}"
            row = [seconds(5)]
            for _ in range(largest - 1):
                step = seconds(3) - (0.0 if not whole else float(rng.integers(0, 2)))
                row.append(max(0.1, row[-1] + (step if not falling or rng.uniform() < 0.6 else -step)))
            latency[key] = {str(b): v for b, v in enumerate(row, 1)}
            energy[key] = {str(b): 2 * v for b, v in enumerate(row, 1)}
            if switch and k:
                back[key] = seconds(2)
    streams = []
    left = samples
    for s in range(models + (samples > 2)):
        m = s % models
        count = left if s == models + (samples > 2) - 1 else max(1, left // 2)
        left -= count
        if count == 0:
            continue
        spread = rng.choice([1.0, 6.0, 20.0])
        times = np.sort(rng.uniform(0, spread, count))
        exits = [f"e{k}" for k in rng.integers(1, len(nets[m].layers) + 1, count)]
        streams.append(
            Stream(
                name=f"s{s}",
                task=f"t{m}",
                slo=seconds(14) + 1,
                weight=float(rng.integers(1, 4)) if weighted else 1.0,
                arrivals=Arrivals(
                    kind="trace",
                    times=tuple(float(np.floor(t)) if whole else float(t) for t in times),
                    exits=tuple(exits),
                ),
            )
        )
    platform = None
    if devices > 1:
        platform = Platform(
            devices=tuple(Device(name=name, power=Power(idle=0.5)) for name in on),
            links=tuple(
                Link(name=f"{a}{b}", source=a, target=b, bandwidth=1.0)
                for a, b in itertools.combinations(on, 2)
            ),
        )
    return Instance(
        objective=objective,
        platform=platform,
        models=tuple(nets),
        tasks=tuple(Task(name=f"t{m}", model=f"net{m}") for m in range(models)),
        workload=Workload(streams=tuple(streams)),
        costs=Costs(batch_latency=latency, batch_energy=energy, stage_switch=back),
    )


def random_offline(seed: int, **options: object) -> OfflineServing:
    """The view of a random instance."""
    return offline_serving(random_instance(seed, **options))  # type: ignore[arg-type]


def random_batches(problem: OfflineServing, rng: np.random.Generator) -> list[tuple[int, tuple[int, ...]]]:
    """A random plan: again and again some of the samples that wait for one stage."""
    following = problem.first.copy()
    found = []
    while (following < problem.beyond).any():
        q = int(rng.choice(np.unique(following[following < problem.beyond])))
        waiting = np.flatnonzero((following == q) & (following < problem.beyond))
        size = int(rng.integers(1, min(len(waiting), problem.serving.max_batch) + 1))
        members = rng.choice(waiting, size, replace=False)
        following[members] += 1
        found.append((q, tuple(sorted(int(j) for j in members))))
    return found


State = tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...], tuple[frozenset[int], ...]]


def _followers(
    problem: OfflineServing, state: State
) -> Iterator[tuple[tuple[int, tuple[int, ...]], State, float]]:
    """Every batch that could be the next in the sequence, the state after it, and what its samples cost."""
    serving = problem.serving
    following, ready, free, ran = state
    for q in range(len(serving.stages)):
        d = int(serving.device[q])
        waiting = [j for j in range(problem.n) if following[j] == q and q < problem.beyond[j]]
        for size in range(1, min(len(waiting), serving.max_batch) + 1):
            for members in itertools.combinations(waiting, size):
                start = max(free[d], *(ready[j] for j in members))
                seconds = float(serving.latency[q, size])
                seconds += float(serving.switch[q]) * len(set(members) - ran[d])
                end = start + seconds
                cost = 0.0
                after, until = list(following), list(ready)
                for j in members:
                    after[j] = q + 1
                    until[j] = end + float(serving.transfer[q, size])
                    if q + 1 == problem.beyond[j]:
                        until[j] = 0.0
                        late = end > problem.deadline[j] * (1 + 1e-12)
                        latency = end - float(problem.samples.arrival[j])
                        cost += float(problem.weight[j]) * (late if problem.name == "late" else latency)
                frees, last = list(free), list(ran)
                frees[d], last[d] = end, frozenset(members) if serving.switch.any() else frozenset()
                yield (q, members), (tuple(after), tuple(until), tuple(frees), tuple(last)), cost


def best_judged(problem: OfflineServing) -> Judged:
    """A best plan: every sequence of batches is tried, each started as early as it can."""
    known: dict[State, tuple[float, tuple[State, tuple[int, tuple[int, ...]]] | None]] = {}

    def rest(state: State) -> float:
        if all(state[0][j] == problem.beyond[j] for j in range(problem.n)):
            return 0.0
        if state not in known:
            best: tuple[float, tuple[State, tuple[int, tuple[int, ...]]] | None] = (math.inf, None)
            for batch, after, cost in _followers(problem, state):
                value = cost + rest(after)
                if value < best[0]:
                    best = value, (after, batch)
            known[state] = best
        return known[state][0]

    none = tuple(frozenset[int]() for _ in problem.serving.devices)
    state: State = (
        tuple(problem.first.tolist()),
        tuple(problem.samples.arrival.tolist()),
        tuple(0.0 for _ in problem.serving.devices),
        none,
    )
    rest(state)
    batches = []
    while state in known:
        following = known[state][1]
        assert following is not None
        state, batch = following
        batches.append(batch)
    return problem.judge(batches)


def best_value(problem: OfflineServing) -> float:
    """Least value of all plans."""
    return best_judged(problem).value
