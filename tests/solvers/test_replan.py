"""Re-planning: valid, never worse than the repaired plan, and the best of all plans where they can be counted."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import threading
import time

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs import MappingProblem, decisions_of, evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.compiled import compiled
from dnnplan.costs.feasibility import reason_for_infeasibility
from dnnplan.costs.objectives import is_feasible, objective_value
from dnnplan.formulations.mapping.bounds import communication_path_bound, load_bound
from dnnplan.instances import (
    Device,
    Execution,
    InfeasibleError,
    InputError,
    Instance,
    Layer,
    Limits,
    Link,
    Memory,
    Model,
    Plan,
    Platform,
    Precedence,
    Task,
    Tensor,
    UnsupportedError,
)
from dnnplan.instances.events import (
    BatchChanged,
    DeviceLost,
    DeviceThrottled,
    LinkChanged,
    LinkLost,
    ModelAdded,
    ModelRemoved,
    apply,
)
from dnnplan.instances.generators import generate, multi_model, whole_instance
from dnnplan.instances.generators.small import all_executions, random_small
from dnnplan.instances.sections import Costs
from dnnplan.solvers import solve
from dnnplan.solvers.kernels.quick_bounds import least_load, path_length
from dnnplan.solvers.kernels.repair import schedule_around
from dnnplan.solvers.replan import Replanner, is_warm, replan, warm_up
from dnnplan.solvers.replan.before import before, kept_on
from dnnplan.solvers.replan.bounds import is_quick, quick_bound
from dnnplan.solvers.replan.migration import migration_to
from dnnplan.solvers.replan.pauses import WithoutCollection
from dnnplan.solvers.replan.repair import repairs
from dnnplan.solvers.search import Search
from tests.support.brute_force import brute_force


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    warm_up()
    assert is_warm()


def a_plan(instance: Instance) -> Plan | None:
    """Some feasible plan, not a good one."""
    for solver in ("compute_first", "heft", "frugal"):
        result = solve(instance, solver, time_limit=5, workers=1)
        if result.plan is not None and result.valid:
            return result.plan
    return None


def events_for(instance: Instance, rng: np.random.Generator) -> list[object]:
    """One event of each kind that could be about the instance."""
    devices, links = instance.platform.devices, instance.platform.links
    device = devices[int(rng.integers(len(devices)))].name
    tasks = instance.effective_tasks()
    task = tasks[int(rng.integers(len(tasks)))]
    found: list[object] = [
        DeviceLost(device=device),
        DeviceThrottled(device=device, speed=float(rng.choice([0.2, 0.5, 2.0]))),
        ModelAdded(task=replace(task, name="another")),
        BatchChanged(task=task.name, batch=int(rng.integers(1, 5))),
    ]
    if links:
        found += [LinkChanged(link=links[0].name, factor=0.1), LinkLost(link=links[0].name)]
    return found if len(tasks) == 1 else [*found, ModelRemoved(task=task.name)]


# --- what is promised ---


def promises(instance: Instance, plan: Plan, event: object, **options: object) -> str:
    """Re-plan and hold the answer against the promises; returns how it ended."""
    try:
        done = replan(instance, plan, event, **{"deadline": 0.03, **options})
    except (InfeasibleError, InputError, UnsupportedError):
        return "refused"
    report, result = done.replan, done.result
    if result.plan is None:
        assert result.status in ("infeasible", "unknown")
        return result.status
    assert result.valid
    assert check(done.instance, result.plan, cost=result.cost, objective=result.objective) == ()
    assert report.new.value <= report.repaired.value * (1 + 1e-12)
    assert report.new.objective == pytest.approx(result.objective.value)
    assert report.new.value == pytest.approx(
        report.new.objective + report.weight * report.new.migration_seconds
    )
    if report.bound is not None:
        assert report.bound <= report.new.value * (1 + 1e-9)
        assert result.bound <= result.objective.value * (1 + 1e-9)
    return "planned"


@pytest.mark.parametrize("weight", [0.01, "free", 3.0])
def test_random_instances_keep_the_promises(weight: object) -> None:
    ends: list[str] = []
    for seed in range(30):
        instance = random_small(seed)
        plan = a_plan(instance)
        if plan is None:
            continue
        rng = np.random.default_rng(seed)
        for event in events_for(instance, rng)[seed % 3 :: 3]:
            ends.append(promises(instance, plan, event, migration=weight))
    assert ends.count("planned") > 0.5 * len(ends) > 10


def test_every_execution_keeps_the_promises() -> None:
    ends = []
    for execution in all_executions():
        instance = generate(
            "layered", 8, devices=3, seed=2, execution=execution, memory_tightness=2.0, host=True
        )
        plan = a_plan(instance)
        if plan is not None:
            ends.append(promises(instance, plan, DeviceLost(device="d0")))
            ends.append(
                promises(instance, plan, LinkChanged(link=instance.platform.links[0].name, factor=0.3))
            )
    assert ends.count("planned") > 40


@pytest.mark.parametrize(
    "objective",
    ["energy", "edp", "max_load", "latency>energy", "latency=1,energy=0.2", "weighted_completion"],
)
def test_objectives_keep_the_promises(objective: str) -> None:
    instance = replace(multi_model((6, 7), devices=3, seed=3, host=True), objective=objective)
    plan = a_plan(instance)
    for event in events_for(instance, np.random.default_rng(0)):
        assert promises(instance, plan, event) == "planned"


def test_larger_networks_keep_the_promises_and_gain() -> None:
    gains = []
    for seed, instance in enumerate(
        (generate("layered", 120, seed=5), multi_model((40, 40), seed=6, colocate=4))
    ):
        replanner = Replanner(instance, a_plan(instance))
        for event in events_for(instance, np.random.default_rng(seed)):
            done = replanner.replan(event, deadline=0.3)
            assert done.result.valid
            gains.append(1 - done.replan.new.value / done.replan.repaired.value)
    assert min(gains) >= 0
    assert np.mean(gains) > 0.1


# --- the best of all plans ---


def small_chain(weights: int) -> Instance:
    """Five layers on three devices; loading the weights of a layer takes `weights` milliseconds."""
    rng = np.random.default_rng(weights)
    layers = tuple(Layer(name=f"l{i}", weight_bytes=1000 * weights) for i in range(5))
    edges = ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4))
    tensors = tuple(
        Tensor(name=f"t{a}{b}", source=f"l{a}", targets=(f"l{b}",), bytes=1000 * int(rng.integers(1, 4)))
        for a, b in edges
    )
    names = ("x", "y", "z")
    table = {f"l{i}": {d: float(rng.integers(1, 9)) * 1e-3 for d in names} for i in range(5)}
    links = tuple(
        Link(name=f"{a}{b}", source=a, target=b, bandwidth=1e6) for a, b in itertools.combinations(names, 2)
    )
    return Instance(
        platform=Platform(devices=tuple(Device(name=d) for d in names), links=links),
        models=(Model(name="net", layers=layers, tensors=tensors),),
        costs=Costs(latency={"net": table}),
    )


def best_of_all(instance: Instance, old: Plan, weight: float) -> float:
    """Least latency + weight x migration over all placements and orders; migration counted by hand."""
    view = mapping_problem(instance)
    before_ = {key: device for key, device in old.placement.items() if device in view.devices}
    orders = [p for p in itertools.permutations(range(5)) if p.index(0) == 0 and p[3:] == (3, 4)]
    best = np.inf
    for place in itertools.product(range(view.m), repeat=5):
        if not all(np.isfinite(view.duration[i, d]) for i, d in enumerate(place)):
            continue
        moved = 0.0
        for i, d in enumerate(place):
            if before_.get(view.layers[i]) != view.devices[d]:
                moved += float(view.weight_bytes[i]) / 1e6
        for order in orders:
            rows = [[i for i in order if place[i] == d] for d in range(view.m)]
            found = evaluate(view, decisions_of(view, list(place), rows))
            best = min(best, found.cost.latency + weight * moved)
    return best


@pytest.mark.parametrize("weights", [0, 1, 5])
@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_small_ones_are_the_best_of_all(weights: int, weight: float) -> None:
    instance = small_chain(weights)
    plan = a_plan(instance)
    for event in (
        DeviceLost(device="x"),
        DeviceThrottled(device="y", speed=0.25),
        LinkChanged(link="xy", factor=4),
    ):
        done = replan(instance, plan, event, deadline=0.5, migration=weight)
        # All links are alike but one, and weights of a lost device come over the fastest link: 1e6 bytes/s or 4e6.
        if isinstance(event, LinkChanged):
            assert done.replan.new.value <= done.replan.repaired.value
            continue
        best = best_of_all(done.instance, plan, weight)
        assert done.replan.new.value == pytest.approx(best, rel=1e-9)
        assert done.replan.bound <= best * (1 + 1e-9)


def least_with_migration(view: MappingProblem, old: Plan, instance: Instance) -> float:
    """Least objective + seconds of migration over all plans: the best of each placement, whose pins follow from it."""
    held = before(evaluate(mapping_problem(instance), replace(old, instance=""))).held
    migration = migration_to(view, held, 1.0)
    best = np.inf
    for place in itertools.product(*view.allowed):
        only = np.full_like(view.duration, np.inf)
        only[range(view.n), place] = view.duration[range(view.n), place]
        found = brute_force(dataclasses.replace(view, duration=only), max_states=3_000)
        if found.plan is not None:
            pins = (
                {(int(w), d) for w, d in zip(view.weight_of, place, strict=True)} if migration.pins else set()
            )
            best = min(best, found.value + sum(float(migration.seconds[w, d]) for w, d in pins))
    return best


@pytest.mark.parametrize("first", range(1000, 1120, 40))
def test_bounds_with_migration_are_never_above_the_best_of_all_plans(first: int) -> None:
    """Weights that stay or are streamed, devices that are lost or throttled; and no plan is below the best."""
    compared = 0
    for seed in range(first, first + 40):
        instance = random_small(seed)
        execution, devices = instance.platform.execution, instance.platform.devices
        many = len(instance.models[0].layers) > 4
        plan = (
            None if many or "choice" in execution.weights or execution.memory == "live" else a_plan(instance)
        )
        if plan is None:
            continue
        device = devices[seed % len(devices)].name
        event = DeviceThrottled(device=device, speed=0.25) if seed % 3 else DeviceLost(device=device)
        try:
            done = replan(instance, plan, event, deadline=0.02, migration=1.0)
            best = least_with_migration(mapping_problem(done.instance), plan, instance)
        except (InputError, InfeasibleError, UnsupportedError, RuntimeError):
            continue
        if done.replan.new is not None and done.replan.bound is not None:
            assert done.replan.bound <= best * (1 + 1e-9)
            assert done.replan.new.value >= best * (1 - 1e-9)
            compared += 1
    assert compared >= 3


def test_dear_migration_moves_nothing_and_free_migration_moves_much() -> None:
    instance = generate("layered", 40, devices=3, seed=4)
    plan = a_plan(instance)
    event = DeviceThrottled(device="d0", speed=0.5)
    dear, free = (replan(instance, plan, event, deadline=0.5, migration=w) for w in (1e6, "free"))
    assert dear.replan.moved == ()
    assert dear.replan.new.migration_bytes == 0
    assert free.replan.new.objective < dear.replan.new.objective
    assert len(free.replan.moved) > 5


# --- migration, by hand ---


def with_host(weights: str = "resident") -> Instance:
    """Two layers of 1 and 2 MB, two devices; the host reaches `x` with 1 MB/s and `y` with 4; `x` and `y` with 2."""
    return Instance(
        platform=Platform(
            memories=(Memory(name="ram"),),
            devices=(Device(name="x"), Device(name="y")),
            links=(
                Link(name="hx", source="ram", target="x", bandwidth=1e6),
                Link(name="hy", source="ram", target="y", bandwidth=4e6, latency=0.5),
                Link(name="xy", source="x", target="y", bandwidth=2e6),
            ),
            host="ram",
            execution=Execution(weights=weights),
        ),
        models=(
            Model(
                name="net",
                layers=(Layer(name="a", weight_bytes=1e6), Layer(name="b", weight_bytes=2e6)),
                tensors=(Tensor(name="t", source="a", targets=("b",), bytes=1),),
            ),
        ),
        costs=Costs(latency={"net": {"a": {"x": 1.0, "y": 9.0}, "b": {"x": 1.0, "y": 9.0}}}),
    )


def test_weights_come_from_where_the_route_is_fastest() -> None:
    instance = with_host()
    plan = solve(instance, "cpsat", time_limit=10).plan
    assert set(plan.placement.values()) == {"x"}
    done = replan(instance, plan, DeviceThrottled(device="x", speed=0.01), deadline=0.5, migration=0.25)
    # From the host 0.5 + 1/4 and 0.5 + 2/4 s; from `x` 1/2 and 2/2 s.
    assert [(m.weights, m.source, m.target, m.bytes, m.seconds) for m in done.replan.moves] == [
        ("net/a", "x", "y", 1e6, 0.5),
        ("net/b", "x", "y", 2e6, 1.0),
    ]
    assert done.replan.new.migration_seconds == pytest.approx(1.5)
    assert done.replan.new.value == pytest.approx(18.0 + 0.25 * 1.5)
    lost = replan(instance, plan, DeviceLost(device="x"), deadline=0.05)
    assert [m.seconds for m in lost.replan.moves] == [0.75, 1.0]
    assert {m.source for m in lost.replan.moves} == {"ram"}


def test_streamed_weights_are_never_moved() -> None:
    instance = with_host("streamed")
    plan = solve(instance, "heft").plan
    done = replan(instance, plan, DeviceLost(device=plan.placement["net/0/a"]), deadline=0.05)
    assert done.replan.moves == ()
    assert done.replan.new.migration_seconds == 0


def test_weights_that_jobs_share_are_moved_once() -> None:
    instance = with_host()
    instance = replace(instance, tasks=tuple(Task(name=n, model="net") for n in ("one", "two")))
    plan = solve(instance, "compute_first").plan
    done = replan(instance, plan, DeviceLost(device="x"), deadline=0.05)
    assert [m.weights for m in done.replan.moves] == ["net/a", "net/b"]


# --- repair ---


def test_what_can_stay_keeps_device_and_order() -> None:
    instance = generate("layered", 60, devices=4, seed=9)
    plan = a_plan(instance)
    old = evaluate(mapping_problem(instance), plan)
    left = apply(instance, DeviceLost(device="d2"))
    view = mapping_problem(left)
    names = before(old)
    kept = kept_on(view, names)
    word, (decisions,) = next(iter(repairs(view, names, kept, np.zeros((view.n, view.m)))))
    assert word == "repaired"
    found = evaluate(view, decisions)
    assert is_feasible(found)
    new = found.plan
    for device in ("d0", "d1", "d3"):
        was = list(plan.order[device])
        assert [key for key in new.order[device] if key in was] == was
    assert all(new.placement[key] == d for key, d in plan.placement.items() if d != "d2")


def test_an_event_that_changes_nothing_keeps_the_plan() -> None:
    instance = small_chain(1)
    plan = solve(instance, "cpsat", time_limit=10).plan
    done = replan(instance, plan, DeviceThrottled(device="x", speed=1), deadline=0.05)
    assert done.replan.repair == "kept"
    assert done.replan.moved == ()
    assert done.result.plan.placement == plan.placement
    assert done.replan.old == done.replan.new.objective


def test_a_broken_route_makes_more_than_the_lost_layers_move() -> None:
    instance = small_chain(0)
    plan = Plan(
        placement={f"net/0/l{i}": "xyxyz"[i] for i in range(5)},
        order={"x": ("net/0/l0", "net/0/l2"), "y": ("net/0/l1", "net/0/l3"), "z": ("net/0/l4",)},
    )
    done = replan(instance, plan, LinkLost(link="xy"), deadline=0.05)
    assert done.result.valid
    assert done.replan.repair == "rebuilt"


def test_deadlines_and_precedences_are_kept() -> None:
    base = multi_model((5, 5), devices=3, seed=8)
    first, second = base.effective_tasks()
    base = replace(base, precedences=(Precedence(before=first.name, after=second.name),))
    plan = a_plan(base)
    latency = evaluate(base, plan).cost.latency
    limited = replace(base, limits=Limits(latency=latency * 1.3))
    done = replan(limited, replace(plan, instance=""), DeviceThrottled(device="d0", speed=0.8), deadline=0.1)
    assert done.result.valid
    assert done.result.cost.latency <= latency * 1.3 * (1 + 1e-6)
    tight = replace(base, limits=Limits(latency=1e-9))
    done = replan(tight, replace(plan, instance=""), DeviceLost(device="d0"), deadline=0.05)
    assert done.result.status == "infeasible"
    assert "limit latency" in done.result.message


def test_limits_that_the_repaired_plan_keeps_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that could contradict limits take longer than a deadline: they are asked only where there is no plan."""
    asked: list[object] = []
    monkeypatch.setattr("dnnplan.solvers.replan.run.broken_limit", lambda view: asked.append(view))
    instance = replace(generate("layered", 12, devices=3, seed=2), limits=Limits(latency=1e3, energy=1e9))
    plan = a_plan(instance)
    done = replan(instance, plan, DeviceLost(device="d0"), deadline=0.02)
    assert done.result.valid
    assert asked == []
    tight = replace(instance, limits=Limits(latency=1e-9))
    assert (
        replan(tight, replace(plan, instance=""), DeviceLost(device="d0"), deadline=0.02).result.plan is None
    )
    assert len(asked) == 1


# --- kernels and their twins ---


@pytest.mark.parametrize("seed", range(6))
def test_the_repair_kernel_equals_its_twin(seed: int) -> None:
    instance = multi_model((12, 9), devices=3, seed=seed, restrict=0.2, host=bool(seed % 2))
    view = mapping_problem(instance)
    rng = np.random.default_rng(seed)
    order = np.array(view.topological, dtype=np.int64)
    forced = np.where(rng.random(view.n) < 0.6, [a[0] for a in view.allowed], -1).astype(np.int64)
    arguments = (view.arrays, order, forced, forced >= 0, rng.random((view.n, view.m)) * 1e-3)
    for mine, twin in zip(compiled(schedule_around)(*arguments), schedule_around(*arguments), strict=True):
        np.testing.assert_array_equal(mine, twin)


@pytest.mark.parametrize("seed", range(8))
def test_quick_bounds_are_those_of_the_formulations(seed: int) -> None:
    instance = multi_model((14, 9), devices=3, seed=seed, restrict=0.2, host=bool(seed % 2), ccr=2.0)
    view = mapping_problem(instance)
    topological = np.array(view.topological, dtype=np.int64)
    tails = np.zeros((view.n, view.m))
    length = path_length(view.arrays, topological, view.output, view.host, tails)
    assert length == pytest.approx(communication_path_bound(view).value, rel=1e-6)
    slots = np.minimum(view.slots, view.n).astype(float)
    load = least_load(view.duration, slots, 60, np.ones(view.m))
    exact = load_bound(view).value
    assert 0.97 * exact <= load <= exact * (1 + 1e-6)


@pytest.mark.parametrize(
    "objective", ["latency", "energy", "edp", "max_load", "latency=1,energy=0.2", "weighted_completion"]
)
def test_quick_bounds_are_never_above_the_best_of_all_plans(objective: str) -> None:
    """Over all settings that they cover, against all plans there are."""
    compared = 0
    for seed in range(40):
        view = mapping_problem(replace(random_small(seed), objective=objective))
        if not is_quick(view) or reason_for_infeasibility(view) is not None:
            continue
        try:
            best = brute_force(view, max_states=3_000)
        except RuntimeError:  # too many to look at all of them
            continue
        if best.plan is not None:
            assert quick_bound(view)[0].value <= best.value * (1 + 1e-9)
            compared += 1
    assert compared >= 10


# --- time ---


def test_no_time_still_gives_a_repaired_plan_and_says_that_it_is_late() -> None:
    instance = generate("layered", 30, devices=3, seed=1)
    done = replan(instance, a_plan(instance), DeviceLost(device="d1"), deadline=1e-6)
    assert done.result.valid
    assert not done.replan.in_time
    assert done.replan.new == done.replan.repaired


def test_stop_ends_the_search_with_the_plan_so_far() -> None:
    instance = generate("layered", 30, devices=3, seed=1)
    began = time.perf_counter()
    done = replan(instance, a_plan(instance), DeviceLost(device="d1"), deadline=1e6, stop=lambda: True)
    assert time.perf_counter() - began < 1e5
    assert done.result.valid
    assert done.result.stop_reason == "interrupted"


def test_who_stops_the_exact_search_is_told_that_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def solve_exactly(view: object, alone: Search, *, time_limit: float) -> None:
        asked.set()
        assert alone.finished()

    monkeypatch.setattr("dnnplan.solvers.exact.cpsat.solve_exactly", solve_exactly)
    instance = generate("layered", 12, devices=3, seed=1)
    done = replan(instance, a_plan(instance), DeviceLost(device="d1"), deadline=1.5, stop=asked.is_set)
    assert asked.is_set()
    assert done.result.stop_reason == "interrupted"


def test_collection_waits_for_short_plans_only_and_comes_back() -> None:
    instance = generate("chain", 8, devices=2, seed=1)
    seen: list[bool] = []

    def watch() -> bool:
        seen.append(gc.isenabled())
        return True

    plan = a_plan(instance)
    for seconds in (0.8, 5.0):
        replan(instance, plan, DeviceThrottled(device="d0", speed=0.5), deadline=seconds, stop=watch)
        assert gc.isenabled()
    assert False in seen
    assert seen[-1] is True


def test_collection_comes_after_the_plan_is_handed_back() -> None:
    seen: list[str] = []

    def watch(phase: str, _: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(watch)
    try:
        with WithoutCollection(0.05):
            waiting = [[number] for number in range(20 * gc.get_threshold()[0])]
        during = len(seen)
        more = [[number] for number in range(20 * gc.get_threshold()[0])]
    finally:
        gc.callbacks.remove(watch)
    assert during == 0
    assert seen
    assert len(waiting) == len(more)


def test_phases_are_in_order() -> None:
    instance = generate("layered", 30, devices=3, seed=1)
    done = replan(instance, a_plan(instance), DeviceLost(device="d1"), deadline=0.05)
    moments = [phase.until for phase in done.replan.phases]
    assert moments == sorted(moments)
    assert done.replan.phases[0].name == "events"
    assert done.replan.phases[-1].name == "end"


# --- in use ---


def test_a_chain_of_events_goes_on_from_what_was_accepted() -> None:
    instance = generate("layered", 30, devices=3, seed=7)
    plan = a_plan(instance)
    replanner = Replanner(instance, plan)
    for event in (
        DeviceThrottled(device="d0", speed=0.3),
        DeviceLost(device="d1"),
        BatchChanged(task="net", batch=2),
    ):
        done = replanner.replan(event, deadline=0.05)
        assert done.result.plan.instance == done.instance.hash()
        replanner.accept(done)
        assert replanner.plan is done.result.plan
    back = replanner.replan(after=instance, deadline=0.05)
    assert back.result.valid
    assert back.instance == instance
    assert {d.name for d in back.instance.platform.devices} == {"d0", "d1", "d2"}
    assert objective_value((("latency", 1.0),), back.result.cost) <= back.replan.repaired.objective * (
        1 + 1e-9
    )


def test_objective_and_limits_are_those_asked_for_of_an_instance_after_the_events_too() -> None:
    instance = generate("layered", 12, devices=3, seed=2)
    plan, after = a_plan(instance), apply(instance, DeviceThrottled(device="d0", speed=0.5))
    options = {"objective": "energy", "limits": {"latency": 1e3}, "deadline": 0.02}
    by_event = replan(instance, plan, DeviceThrottled(device="d0", speed=0.5), **options)
    by_instance = replan(instance, plan, after=after, **options)
    for done in (by_event, by_instance):
        assert done.result.objective.name == done.instance.objective == "energy"
        assert done.instance.limits.latency == 1e3
    assert by_instance.instance == by_event.instance


# --- joint plans ---


@pytest.fixture(scope="module")
def joint() -> tuple[Instance, Plan]:
    """Four tasks that share blocks on three devices, and a plan of it all."""
    instance = whole_instance(seed=1)
    plan = solve(instance, "sequential", problem="joint", time_limit=20, workers=1).plan
    assert plan is not None
    assert any(len(group) > 1 for group in plan.groups[-1])
    return instance, plan


def test_joint_plans_keep_their_groups_and_their_promises(joint: tuple[Instance, Plan]) -> None:
    instance, plan = joint
    devices = [device.name for device in instance.platform.devices]
    for event in (DeviceLost(device=devices[1]), DeviceThrottled(device=devices[0], speed=0.3)):
        done = replan(instance, plan, event, deadline=0.06)
        new = done.result.plan
        assert (new.problem, new.groups, new.instance) == ("joint", plan.groups, done.instance.hash())
        assert sorted(new.task_order) == sorted(plan.task_order)
        assert check(done.instance, new, measures=done.result.measures) == ()
        assert done.replan.new.value <= done.replan.repaired.value
        assert done.result.measures["latency"] == pytest.approx(done.replan.new.objective)


def test_a_task_that_goes_leaves_shared_layers_where_they_are(joint: tuple[Instance, Plan]) -> None:
    instance, plan = joint
    # Layers of shared blocks are called after the first task of their group.
    for task in (group[0] for group in plan.groups[0]):
        done = replan(instance, plan, ModelRemoved(task=task), deadline=1e-6)
        assert done.replan.repair == "repaired"
        assert done.replan.moved == ()
        assert done.replan.new.migration_bytes == 0
        assert task not in {name for level in done.result.plan.groups for group in level for name in group}
        assert done.result.valid


def test_what_the_groups_do_not_allow_is_refused(joint: tuple[Instance, Plan]) -> None:
    instance, plan = joint
    task = instance.effective_tasks()[0]
    with pytest.raises(UnsupportedError, match="batches of their own"):
        replan(instance, plan, BatchChanged(task=task.name, batch=2))
    with pytest.raises(UnsupportedError, match="shares with the others"):
        replan(instance, plan, ModelAdded(task=replace(task, name="new")))
    with pytest.raises(UnsupportedError, match="without placement"):
        replan(instance, replace(plan, placement={}), DeviceLost(device="d0"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline": 0}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"migration": -1}, "migration"),
        ({"migration": "cheap"}, "migration"),
        ({"after": random_small(0)}, "one of them"),
        ({"objective": "speed"}, "speed"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    instance = small_chain(0)
    with pytest.raises((InputError, UnsupportedError), match=message):
        replan(instance, a_plan(instance), DeviceLost(device="x"), **options)


def test_plans_that_are_not_covered_are_refused() -> None:
    instance = small_chain(0)
    plan = a_plan(instance)
    with pytest.raises(UnsupportedError, match="grouping"):
        replan(instance, replace(plan, problem="grouping"), DeviceLost(device="x"))
    with pytest.raises(UnsupportedError, match="calls_per_device"):
        replan(instance, plan, DeviceLost(device="x"), limits={"calls_per_device": 1})
    with pytest.raises(InputError, match="no device"):
        replan(instance, Plan(), DeviceLost(device="x"))
