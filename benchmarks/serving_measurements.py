"""Measurements of serving: the simulator, policies, and how far they are from the best."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from benchmarks.case import Measured
from benchmarks.serving_grid import DROPS, OURS, TOLERANCE, Cell, problem_of, ratios, run_cell
from dnnplan.costs.serving import ServingProblem, capacity, serving_problem, with_npu
from dnnplan.costs.serving.problem import Samples, ServedStream
from dnnplan.instances import Instance
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.result import GAP_TOLERANCE
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.policies.mdp import mdp
from dnnplan.serving.runs import latency_bound
from dnnplan.serving.simulate import figures, plain, simulate
from dnnplan.serving.spec import arrivals_of
from dnnplan.serving.splits import compare_splits
from dnnplan.serving.traces import recorded, with_arrivals
from dnnplan.solvers import solve

INOUE = tuple(
    (rate, slope, fixed)
    for slope, fixed, rates in (
        (1.0, 0.5, (0.05, 0.2, 0.5, 0.8, 0.9)),
        (1.0, 2.0, (0.05, 0.2, 0.5, 0.8, 0.9)),
        (1.0, 8.0, (0.05, 0.2, 0.5, 0.8, 0.9)),
    )
    for rate in rates
)
"""Rate, seconds a sample, seconds a batch: 15 cases of a queue that takes all that wait."""
INOUE_APART = 0.026
INOUE_SAMPLES = 2_000_000
FAST, OTHER = 500_000.0, 50_000.0
"""Samples a second to reach: of policies that decide in constant time, and of others."""
CONSTANT_TIME = ("serial", "greedy", "timeout", "aimd", "lazy", "rebatch", "rebatch_newest", "exit_aware")
SPEEDS = (*CONSTANT_TIME, "clockwork", "symphony", "edgeserving")
SPLITS = ("poisson:0.6", "poisson:1.1", "gamma:0.6,4")
"""Arrivals; load 1 is what the instance as bundled keeps up with."""
OPTIMUM = ("8", "9", "10", "30", "late-10", "bound")
"""Numbers of samples, of the objective `late` where it says so, and the bound of a long trace."""
PROVEN_IN, GAP, LONG = 60.0, 0.2, 100_000
ARRAYS, LOADS = ("resnet50-os32", "resnet50-ws128"), (0.3, 0.7, 1.2)
NEAR_BEST = 1.05


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def inoue(_: str) -> Measured:
    """Largest distance of the simulated mean latency from the closed form, in percent.

    Inoue (Performance Evaluation 2021): a server that takes all waiting samples, a batch of b in t + a b seconds, at
    Poisson arrivals of rate l has E[T] <= min(phi0, phi1), which is close.
    """
    apart = []
    for rate, slope, fixed in INOUE:
        problem = whole_batch_queue(slope, fixed)
        rng = np.random.default_rng(0)
        arrival = np.cumsum(rng.exponential(1 / rate, INOUE_SAMPLES))
        ones = np.ones(INOUE_SAMPLES, dtype=np.int64)
        samples = Samples(arrival=arrival, stream=ones - 1, depth=ones)
        mean = figures(simulate(problem, make_policy("greedy", problem), samples)).mean_latency.value
        apart.append(abs(mean / inoue_bound(rate, slope, fixed) - 1))
    worst = max(apart)
    note = f"{len(apart)} cases of {INOUE_SAMPLES} samples; mean {100 * np.mean(apart):.2f} %"
    return Measured(100 * worst, "%", 100 * INOUE_APART, worst <= INOUE_APART, note)


def inoue_bound(rate: float, slope: float, fixed: float) -> float:
    """min(phi0, phi1) of Inoue."""
    load = rate * slope
    first = (slope + fixed) / (2 * (1 - load)) * (1 + 2 * rate * fixed + (1 - rate * fixed) / (1 + load))
    second = 1.5 * fixed / (1 - load) + slope / 2 * (load + 2) / (1 - load**2)
    return min(first, second)


def whole_batch_queue(slope: float, fixed: float, largest: int = 4000) -> ServingProblem:
    """One stage on one device, batches of any size."""
    latency = np.zeros((1, largest + 1))
    latency[0, 1:] = slope * np.arange(1, largest + 1) + fixed
    zero = np.zeros(1, dtype=np.int64)
    return ServingProblem(
        instance=Instance(),
        stages=("queue/final",),
        devices=("server",),
        model=zero,
        first=np.array([0, 1], dtype=np.int64),
        device=zero,
        latency=latency,
        energy=np.zeros_like(latency),
        transfer=np.zeros_like(latency),
        switch=np.zeros(1),
        idle_power=np.zeros(1),
        streams=(
            ServedStream(name="s", model=0, slo=math.inf, weight=1.0, exits=np.ones(1), arrivals=Arrivals()),
        ),
    )


def twin(_: str) -> Measured:
    """Policies whose events are equal in the compiled simulator and in the plain one."""
    equal, names = 0, (*CONSTANT_TIME, "clockwork", "symphony", "edgeserving")
    for name in names:
        cell = Cell("resnet50-ws128", "gamma", 0.8)
        problem = problem_of(cell)
        samples = draw_samples(problem, 3000, 0, arrivals_of("gamma:0.8,4", problem, capacity(problem)))
        policy = make_policy(name, problem)
        one, other = simulate(problem, policy, samples, log=True), plain(problem, policy, samples)
        logs = [
            (b.stage.tolist(), b.start.tolist(), b.end.tolist(), b.members.tolist())
            for b in (one.batches, other.batches)
            if b is not None
        ]
        equal += logs[0] == logs[1] and np.array_equal(one.left, other.left, equal_nan=True)
    return Measured(equal, "policies", len(names), equal == len(names), f"of {len(names)}, 3000 samples each")


def speed(name: str) -> Measured:
    """Samples a second, the slowest of four instances at load 0.8."""
    target = FAST if name in CONSTANT_TIME else OTHER
    rates = []
    for instance in ("resnet50-os32", "resnet50-ws128", "inception-os32", "inception-ws128"):
        problem = problem_of(Cell(instance, "poisson", 0.8))
        samples = draw_samples(problem, 300_000, 0, arrivals_of("poisson:0.8", problem, capacity(problem)))
        policy = make_policy(name, problem)
        runs = [simulate(problem, policy, samples).seconds for _ in range(3)]
        rates.append(len(samples) / min(runs))
    each = ", ".join(f"{rate / 1e3:.0f}k" for rate in rates)
    return Measured(min(rates), "samples/s", target, min(rates) >= target, each)


def grid(name: str) -> Measured:
    """Ours over the best of all others, the worst of what counts in a cell."""
    instance, arrivals, load = name.split("|")
    cell = Cell(instance, arrivals, float(load))
    found = run_cell(cell)
    compared = ratios(cell, found)
    worst = max(ratio for ratio, _ in compared.values())
    texts = [
        f"{key} {found[OURS][key]:.4g}, {ratio:.3f} of {best}" for key, (ratio, best) in compared.items()
    ]
    averages = {key: _average_gain(found, key) for key in cell.measures}
    texts += [f"others on average {gain:.2f} times ({key})" for key, gain in averages.items()]
    return Measured(worst, "of best", TOLERANCE, worst <= TOLERANCE, "; ".join(texts))


def _average_gain(found: dict[str, dict[str, float]], measure: str) -> float:
    """Geometric mean over the other policies of their figure over ours; by latency, of those that drop nothing."""
    ours = found[OURS][measure]
    values = [
        row[measure] / ours
        for name, row in found.items()
        if name != OURS and (measure == "violations" or row["drops"] <= DROPS) and row[measure] > 0 < ours
    ]
    return float(np.exp(np.mean(np.log(values)))) if values else math.nan


def best_policy(name: str) -> Measured:
    """Mean latency of ours over that of the best policy of a small system, found by value iteration."""
    instance, load = name.split("|")
    small = replace(load_bundled(f"serving/{instance}"), objective="mean_latency")
    assert small.workload is not None
    small = replace(small, workload=replace(small.workload, max_batch=4))
    problem = serving_problem(small)
    problem = with_arrivals(problem, arrivals_of(f"poisson:{load}", problem, capacity(problem)))
    best = mdp(problem)
    samples = [draw_samples(problem, 300_000, seed) for seed in range(3)]
    means = [
        float(np.mean([figures(simulate(problem, policy, each)).mean_latency.value for each in samples]))
        for policy in (make_policy(OURS, problem), best)
    ]
    ratio = means[0] / means[1]
    note = f"ours {1e3 * means[0]:.4g} ms, best {1e3 * means[1]:.4g} ms; batches up to 4"
    return Measured(ratio, "of best", NEAR_BEST, ratio <= NEAR_BEST, note)


def npus(name: str) -> Measured:
    """Mean latency on the plain array over that on the fluid and stackable one, at load 0.7 of the plain one.

    Reached if no step is slower than the one before; the note has each stage at a batch of eight, and energy.
    """
    steps = ("plain", "fluid", "stackable")
    instance = replace(load_bundled(f"serving/{name}"), objective="mean_latency")
    problems = {step: serving_problem(with_npu(instance, step)) for step in steps}
    processes = arrivals_of("poisson:0.7", problems["plain"], capacity(problems["plain"]))
    means, joules, texts = {}, {}, []
    for step, plain_problem in problems.items():
        problem = with_arrivals(plain_problem, processes)
        samples = draw_samples(problem, 100_000, 0)
        found = figures(simulate(problem, make_policy(OURS, problem), samples))
        means[step], joules[step] = found.mean_latency.value, found.energy_per_sample
    size = min(8, problems["plain"].max_batch)
    for q, stage in enumerate(problems["plain"].stages):
        gains = [problems["plain"].latency[q, size] / problems[step].latency[q, size] for step in steps[1:]]
        texts.append(f"{stage.split('/')[1]} {gains[0]:.2f}, {gains[1]:.2f}")
    gain = [means["plain"] / means[step] for step in steps[1:]]
    energy = [joules[step] / joules["plain"] for step in steps[1:]]
    note = (
        f"end to end: fluid {gain[0]:.2f} times faster, stackable too {gain[1]:.2f}; energy {energy[0]:.3f} and "
        f"{energy[1]:.3f} of plain; a batch of {size} by stage: {'; '.join(texts)}"
    )
    slower = gain[0] >= 1 and gain[1] >= gain[0] * 0.999
    return Measured(gain[1], "times", None, bool(slower), note)


def split(name: str) -> Measured:
    """Mean latency on the best single device over that of the best split, chosen with other samples.

    Reached if the split is better and the intervals of the two are apart.
    """
    instance = replace(load_bundled("serving/camera-dsp-npu"), objective="mean_latency")
    one = serving_problem(instance)
    processes = arrivals_of(name, one, capacity(one))
    first = compare_splits(instance, processes, seed=1)
    chosen = [next(s for s in first if not s.is_single), next(s for s in first if s.is_single)]
    judged = {s.devices: s.figures.mean_latency for s in compare_splits(instance, processes, seed=2)}
    best, single = (judged[found.devices] for found in chosen)
    texts = [
        f"{'+'.join(found.devices)} {1e3 * mean.value:.4g} [{1e3 * mean.low:.4g}, {1e3 * mean.high:.4g}] ms"
        for found, mean in zip(chosen, (best, single), strict=True)
    ]
    ratio = single.value / best.value
    apart = best.high < single.low
    return Measured(ratio, "times", None, apart, f"{texts[0]} against {texts[1]}, of {len(first)} splits")


def optimum(question: str) -> Measured:
    """Instances whose clairvoyant optimum is proven in 60 s, or, of 30 samples, the largest gap."""
    if question == "bound":
        return _long_bound()
    objective = "late" if question.startswith("late") else "mean_latency"
    count = int(question.removeprefix("late-"))
    gaps, seconds, regrets = [], [], []
    for instance, load in itertools.product(ARRAYS, LOADS):
        problem, samples = _known(instance, load, count, objective)
        result = solve(recorded(problem, samples), problem="serving", time_limit=PROVEN_IN, workers=2)
        gaps.append(1.0 if result.gap is None else result.gap)
        seconds.append(result.runtime)
        if result.objective is not None and result.objective.value and objective == "mean_latency":
            done = simulate(problem, make_policy(OURS, problem), samples)
            regrets.append(float(np.mean(done.latency)) / result.objective.value)
    proven = sum(gap <= GAP_TOLERANCE for gap in gaps)
    regret = f"; ours, which knows no sample before, {np.mean(regrets):.2f} times as long" if regrets else ""
    note = (
        f"{proven} of {len(gaps)} proven, slowest {max(seconds):.1f} s; gaps up to {100 * max(gaps):.1f} %, "
        f"mean {100 * np.mean(gaps):.1f} %{regret}"
    )
    if count >= 30:
        return Measured(100 * max(gaps), "%", 100 * GAP, max(gaps) <= GAP, note)
    return Measured(proven, "proven", len(gaps), proven == len(gaps), note)


def _known(instance: str, load: float, count: int, objective: str) -> tuple[ServingProblem, Samples]:
    """Samples as they will come, Poisson at a load."""
    problem = serving_problem(replace(load_bundled(f"serving/{instance}"), objective=objective))
    processes = arrivals_of(f"poisson:{load:g}", problem, capacity(problem))
    problem = with_arrivals(problem, processes)
    return problem, draw_samples(problem, count, 1)


def _long_bound() -> Measured:
    """Largest of ours over the bound, on traces of 100,000 samples; reached if each bound takes a second at most."""
    ratios, seconds = [], []
    for instance, load in itertools.product(ARRAYS, LOADS[:2]):
        problem, samples = _known(instance, load, LONG, "mean_latency")
        start = time.perf_counter()
        bound = latency_bound(problem, samples)
        seconds.append(time.perf_counter() - start)
        done = simulate(problem, make_policy(OURS, problem), samples)
        ratios.append(float(np.mean(done.latency)) / bound)
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    note = f"ours over the bound: {each}; slowest bound {max(seconds):.2f} s"
    return Measured(max(ratios), "of bound", None, max(seconds) <= 1.0, note)


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "inoue": inoue,
    "twin": twin,
    "speed": speed,
    "grid": grid,
    "best-policy": best_policy,
    "npus": npus,
    "split": split,
    "optimum": optimum,
}
