"""Measurements of re-planning: time to a plan, what it gains over the repaired one, and what more time would give."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from msgspec.structs import replace

from benchmarks.case import Measured
from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.instances import Instance, Plan
from dnnplan.instances.events import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    Event,
    LinkChanged,
    ModelAdded,
    ModelRemoved,
)
from dnnplan.instances.generators import generate, multi_model
from dnnplan.solvers import solve
from dnnplan.solvers.replan import Replanner, ReplanResult, warm_up

LAYERS, DEVICES, EVENTS, SEEDS = 200, 4, 50, 5
"""Size of the networks; events and instances of a family."""
DEADLINE = 0.05
LONG, LONG_EVENTS, NEAR = 3.0, 8, 1.05
"""Seconds for the long run that 50 ms are compared with, events of a family in it, and how near 50 ms are to come."""
ALONE = 0.9
"""Share of the time that a process has the processor for, where nothing else takes it away."""
PARTS = 10.0
"""Milliseconds for view, evaluation and check together."""
SOLVED = 1.5
"""Seconds for the plan in use."""
FAMILIES: dict[str, Callable[[int], Instance]] = {
    "layered": lambda seed: generate("layered", LAYERS, devices=DEVICES, seed=seed),
    "erdos": lambda seed: generate("erdos", LAYERS, devices=DEVICES, seed=seed, ccr=2.0),
    "fork-join": lambda seed: generate(
        "fork-join", LAYERS, devices=DEVICES, seed=seed, costs="flops", heterogeneity=1.5
    ),
    "networks": lambda seed: multi_model((70, 70, 60), devices=DEVICES, seed=seed, host=True),
}


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def random_event(instance: Instance, rng: np.random.Generator) -> Event:
    """One of the events that the instance can have, each kind as often."""
    platform = instance.platform
    assert platform is not None
    device = platform.devices[int(rng.integers(len(platform.devices)))].name
    link = platform.links[int(rng.integers(len(platform.links)))].name
    tasks = instance.effective_tasks()
    task = tasks[int(rng.integers(len(tasks)))]
    kinds: list[Event] = [
        DeviceLost(device=device),
        DeviceThrottled(device=device, speed=float(rng.uniform(0.2, 0.9))),
        LinkChanged(link=link, factor=float(rng.uniform(0.05, 0.8))),
        BatchChanged(task=task.name, batch=int(rng.integers(2, 5))),
    ]
    if len(tasks) > 1:
        kinds += [ModelRemoved(task=task.name), ModelAdded(task=replace(task, name="another"))]
    return kinds[int(rng.integers(len(kinds)))]


@cache
def in_use(family: str, seed: int) -> tuple[Instance, Plan]:
    """An instance, and a good plan of it."""
    instance = FAMILIES[family](seed)
    plan = solve(instance, "local_search", time_limit=SOLVED, workers=1, seed=seed).plan
    assert plan is not None
    return instance, plan


def replans(family: str, events: int, deadline: float) -> Iterator[tuple[float, float, ReplanResult]]:
    """Seconds that the caller has to wait, seconds of the processor, and result of each re-plan."""
    warm_up()
    for seed in range(SEEDS):
        instance, plan = in_use(family, seed)
        replanner = Replanner(instance, plan, seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(-(-events // SEEDS)):
            event = random_event(instance, rng)
            began, worked = time.perf_counter(), time.thread_time()
            done = replanner.replan(event, deadline=deadline)
            yield time.perf_counter() - began, time.thread_time() - worked, done


def deadline(family: str) -> Measured:
    """99th percentile of the time to a checked plan, ms; every plan is valid and no worse than the repaired one."""
    times, shares, wrong, gains, gaps, first = [], [], 0, [], [], []
    for seconds, worked, done in replans(family, EVENTS, DEADLINE):
        times.append(1e3 * seconds)
        shares.append(worked / seconds)
        report = done.replan
        assert done.result.plan is not None
        assert report.new is not None
        assert report.repaired is not None
        bad = check(done.instance, done.result.plan, cost=done.result.cost)
        wrong += bool(bad) or report.new.value > report.repaired.value * (1 + 1e-9)
        gains.append(report.repaired.value / report.new.value)
        gaps.append(report.gap or 0.0)
        first.append(1e3 * checked_after(done))
    p50, p99, most = np.percentile(times, (50, 99, 100))
    late = [share for t, share in zip(times, shares, strict=True) if t > 1e3 * DEADLINE]
    alone = sum(share >= ALONE for share in late)
    note = (
        f"{len(times)} events: p50 {p50:.1f}, p99 {p99:.1f}, most {most:.1f} ms, {len(late)} late ({alone} of "
        f"them with the processor to itself; its share {100 * np.mean(shares):.0f} % on average); a plan checked "
        f"after {np.median(first):.1f} ms; {wrong} invalid or worse; repaired {np.exp(np.mean(np.log(gains))):.2f} "
        f"times as long as new, gap to the bound {100 * np.mean(gaps):.0f} %"
    )
    return Measured(float(p99), "ms", 1e3 * DEADLINE, bool(p99 <= 1e3 * DEADLINE and not wrong), note)


def checked_after(done: ReplanResult) -> float:
    """Seconds until there was a plan that had been checked."""
    return next(phase.until for phase in done.replan.phases if phase.name in ("check", "end"))


def long(family: str) -> Measured:
    """Mean value of the plan of 50 ms over that of the plan of some seconds, migration included."""
    warm_up()
    ratios, repaired = [], []
    for seed in range(LONG_EVENTS // 4):
        instance, plan = in_use(family, seed)
        rng = np.random.default_rng(100 + seed)
        for _ in range(4):
            event = random_event(instance, rng)
            short, rest = (
                Replanner(instance, plan, seed=seed).replan(event, deadline=seconds)
                for seconds in (DEADLINE, LONG)
            )
            assert short.replan.new is not None
            assert rest.replan.new is not None
            assert short.replan.repaired is not None
            ratios.append(short.replan.new.value / rest.replan.new.value)
            repaired.append(short.replan.repaired.value / rest.replan.new.value)
    note = (
        f"{len(ratios)} events: after 50 ms {np.mean(ratios):.3f}, at most {max(ratios):.3f} times what {LONG:g} s "
        f"give; repaired {np.mean(repaired):.2f} times"
    )
    return Measured(float(np.mean(ratios)), "of long", NEAR, bool(np.mean(ratios) <= NEAR), note)


def scale(size: str) -> Measured:
    """99th percentile of the time to a checked plan of a larger network, ms; the deadline is 1 ms for 4 layers."""
    layers, devices = (int(part) for part in size.split("x"))
    warm_up()
    limit = layers / 4000
    times, first, gains = [], [], []
    instance = generate("layered", layers, devices=devices, seed=0)
    plan = solve(instance, "lookahead", time_limit=60, workers=1).plan
    assert plan is not None
    replanner = Replanner(instance, plan)
    rng = np.random.default_rng(0)
    for _ in range(30):
        event = random_event(instance, rng)
        began = time.perf_counter()
        done = replanner.replan(event, deadline=limit)
        times.append(1e3 * (time.perf_counter() - began))
        first.append(1e3 * checked_after(done))
        assert done.replan.new is not None
        assert done.replan.repaired is not None
        assert done.result.valid
        gains.append(done.replan.repaired.value / done.replan.new.value)
    p50, p99, most = np.percentile(times, (50, 99, 100))
    note = (
        f"{len(times)} events: p50 {p50:.0f}, p99 {p99:.0f}, most {most:.0f} ms; a plan checked after "
        f"{np.median(first):.0f} ms; repaired {np.exp(np.mean(np.log(gains))):.2f} times as long as new"
    )
    return Measured(float(p99), "ms", 1e3 * limit, bool(p99 <= 1e3 * limit), note)


def small(_: str) -> Measured:
    """Small instances whose plan of 50 ms is as good as what CP-SAT proves, migration free."""
    warm_up()
    equal, count, apart = 0, 0, []
    for seed in range(20):
        instance = generate("layered", 12, devices=3, seed=seed)
        plan = solve(instance, "heft").plan
        assert plan is not None
        for event in (DeviceLost(device="d0"), DeviceThrottled(device="d1", speed=0.4)):
            done = Replanner(instance, plan, migration="free").replan(event, deadline=DEADLINE)
            best = solve(done.instance, "cpsat", time_limit=20, workers=1)
            assert done.replan.new is not None
            assert best.objective.value is not None
            ratio = done.replan.new.value / best.objective.value
            count += best.status == "optimal"
            equal += best.status == "optimal" and ratio <= 1 + 1e-4
            apart.append(ratio)
    note = f"{equal} of {count} proven optima of 12 layers on 3 devices found in 50 ms; at most {max(apart):.4f} times"
    return Measured(equal, "optima", count, equal == count, note)


def evaluation(_: str) -> Measured:
    """Milliseconds of what a re-plan cannot do without, on 200 layers and 4 devices: view, evaluation, check."""
    instance, plan = in_use("layered", 0)
    view = mapping_problem(instance)
    parts: dict[str, Callable[[], object]] = {
        "view": lambda: mapping_problem(instance).arrays,
        "evaluation": lambda: evaluate(view, plan),
        "check": lambda: check(instance, plan),
    }
    spent = {name: min(_seconds(call) for _ in range(7)) for name, call in parts.items()}
    note = ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in spent.items())
    total = 1e3 * sum(spent.values())
    return Measured(total, "ms", PARTS, total <= PARTS, note)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "deadline": deadline,
    "long": long,
    "scale": scale,
    "small": small,
    "evaluation": evaluation,
}
