"""Problems of serving for tests: affine ones, random ones, ones from instances with tables."""

from __future__ import annotations

import math

import numpy as np

from dnnplan.costs.serving import Samples, ServedStream, ServingProblem, serving_problem
from dnnplan.instances import Device, DeviceRule, Instance, Layer, Link, Model, Platform, Power, Tensor
from dnnplan.instances.sections import Arrivals, Costs, Stream, Workload

OPTIONS = {"exit_aware": {"quick": True}, "mdp": {"cap": 5}}
"""Options of policies that would plan for long."""


def affine_problem(alpha, tau, *, batch=64, slo=math.inf, exits=(1.0,), arrivals=None):
    """One network on one device; a batch of b samples takes alpha b + tau seconds at every stage."""
    stages = len(exits)
    latency = np.zeros((stages, batch + 1))
    latency[:, 1:] = alpha * np.arange(1, batch + 1) + tau
    arrivals = arrivals or Arrivals(kind="poisson", rate=1.0)
    stream = Stream(name="camera", task="net", arrivals=arrivals, slo=slo if math.isfinite(slo) else None)
    return ServingProblem(
        instance=Instance(workload=Workload(streams=(stream,))),
        stages=tuple(f"net/{k}" for k in range(stages)),
        devices=("npu",),
        model=np.zeros(stages, dtype=np.int64),
        first=np.array([0, stages]),
        device=np.zeros(stages, dtype=np.int64),
        latency=latency,
        energy=2 * latency,
        transfer=np.zeros_like(latency),
        switch=np.zeros(stages),
        idle_power=np.array([0.5]),
        streams=(
            ServedStream(
                name="camera",
                model=0,
                slo=slo,
                weight=1.0,
                exits=np.array(exits),
                arrivals=arrivals,
            ),
        ),
    )


def random_instance(rng, *, models=None, devices=None, objectives=True, whole=False):
    """Networks that are chains of stages on random devices, with tables, links and switching times.

    `whole`: all times are whole seconds, so that many things happen at the same time.
    """
    models = models or int(rng.integers(1, 4))
    count = devices or int(rng.integers(1, 4))
    batch = int(rng.integers(1, 7))

    def time(low, high):
        return (
            float(rng.integers(math.ceil(low), math.ceil(high) + 1))
            if whole
            else float(rng.uniform(low, high))
        )

    names = [f"d{k}" for k in range(count)]
    nets, streams, latency, energy, switch = [], [], {}, {}, {}
    for m in range(models):
        stages = int(rng.integers(1, 5))
        on = [names[int(rng.integers(count))] for _ in range(stages)]
        layers = tuple(
            Layer(name=f"l{k}", exit=f"e{k}" if k < stages - 1 else None, devices=DeviceRule(fix=on[k]))
            for k in range(stages)
        )
        tensors = tuple(
            Tensor(name=f"t{k}", source=f"l{k}", targets=(f"l{k + 1}",), bytes=int(rng.integers(0, 3)))
            for k in range(stages - 1)
        )
        nets.append(Model(name=f"net{m}", layers=layers, tensors=tensors))
        for k in range(stages):
            key = f"net{m}/{f'e{k}' if k < stages - 1 else 'final'}"
            watts = rng.uniform(1, 3)
            rises = np.cumsum([time(1, 4), *(time(0, 2) for _ in range(batch - 1))])
            latency[key] = {str(b + 1): float(rises[b]) for b in range(batch)}
            energy[key] = {str(b + 1): float(rises[b] * watts) for b in range(batch)}
            if k and rng.uniform() < 0.4:
                switch[key] = time(0, 1)
        shares = rng.dirichlet(np.ones(stages))
        for s in range(int(rng.integers(1, 3))):
            streams.append(
                Stream(
                    name=f"s{m}{s}",
                    task=f"net{m}",
                    slo=time(4, 40) if objectives else None,
                    weight=float(rng.integers(1, 4)),
                    exits={f"e{k}": float(shares[k]) for k in range(stages - 1)},
                    arrivals=Arrivals(kind="poisson", rate=float(rng.uniform(0.05, 0.3))),
                )
            )
    links = tuple(
        Link(name="bus", source=a, target=b, bandwidth=1.0 if whole else 2.0, latency=0.0)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    )
    return Instance(
        name="random",
        platform=Platform(devices=tuple(Device(name=n, power=Power(idle=0.1)) for n in names), links=links),
        models=tuple(nets),
        costs=Costs(batch_latency=latency, batch_energy=energy, stage_switch=switch),
        workload=Workload(streams=tuple(streams), max_batch=batch),
    )


def random_problem(rng, **options):
    """The view of a random instance."""
    return serving_problem(random_instance(rng, **options))


def random_samples(problem, rng, count, *, whole=False, gap=1.5):
    """Samples at random times; with `whole`, at whole seconds and often several at once."""
    gaps = rng.integers(0, 3, count).astype(float) if whole else rng.exponential(gap, count)
    arrival, stream = np.cumsum(gaps), rng.integers(0, len(problem.streams), count)
    order = np.lexsort((stream, arrival))
    stages = np.diff(problem.first)[[each.model for each in problem.streams]]
    return Samples(
        arrival=arrival[order],
        stream=stream[order].astype(np.int64),
        depth=np.array([rng.integers(1, stages[s] + 1) for s in stream[order]], dtype=np.int64),
    )
