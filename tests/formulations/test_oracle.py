"""The oracle itself, against a plain enumeration that knows nothing but `evaluate`."""

import math
from itertools import chain, combinations, permutations, product

import pytest

from dnnplan.costs import MappingProblem, encode, evaluate, mapping_problem
from dnnplan.costs.decisions import all_kept
from dnnplan.costs.objectives import is_feasible
from dnnplan.instances import Instance, Model, Plan, PlanError
from dnnplan.instances.generators import all_executions, random_small
from dnnplan.instances.model import DeviceRule, Layer
from dnnplan.instances.platform import Device, Execution, Memory, Platform
from dnnplan.instances.sections import Costs
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, Settings
from tests.support.brute_force import brute_force, horizon_of, placements


def subsets(items: list) -> list[tuple]:
    return list(chain.from_iterable(combinations(items, size) for size in range(len(items) + 1)))


def plans_of(problem: MappingProblem, place: tuple[int, ...]) -> list[dict]:
    """Every order, pin set and kept set of a placement, as arguments of `encode`."""
    rows = [permutations([i for i in range(problem.n) if place[i] == d]) for d in range(problem.m)]
    weights = sorted({(int(w), d) for w, d in zip(problem.weight_of, place, strict=True)})
    choice = problem.host and problem.execution.weights == "choice"
    pins = [
        [{w for w, e in chosen if e == d} for d in range(problem.m)]
        for chosen in (subsets(weights) if choice else [()])
    ]
    kept = subsets(sorted(all_kept(problem, place)))
    return [{"order": o, "pinned": p, "kept": k} for o in product(*rows) for p in pins for k in kept]


def transfer_orders(problem: MappingProblem, plan: Plan) -> list[dict]:
    """Every order of the transfers of each channel; only the dynamic one without contention."""
    if problem.execution.contention == "none":
        return [{}]
    found = evaluate(problem, plan)
    queues: dict[str, list[str]] = {}
    for t in found.transfers:
        channel = int(problem.routes.channel[t.source, t.target])
        if channel >= 0 and t.end > t.start:
            queues.setdefault(problem.routes.channels[channel], []).append(t.name(found.graph))
    orders = [list(permutations(queue)) for queue in queues.values()]
    return [dict(zip(queues, chosen, strict=True)) for chosen in product(*orders)]


def enumerated(problem: MappingProblem, *, delays: bool = False) -> float:
    """The least latency of all plans; `delays`: with starts of calls moved to whole seconds, too."""
    best = math.inf
    for place in placements(problem):
        for choice in plans_of(problem, place):
            order, options = choice["order"], {"pinned": choice["pinned"], "kept": choice["kept"]}
            try:
                ways = transfer_orders(problem, encode(problem, place, order, **options))
            except PlanError:
                continue
            for queues in ways:
                plan = encode(problem, place, order, transfer_order=queues, **options)
                best = min(best, least(problem, plan, best, delays=delays))
    return best


def least(problem: MappingProblem, plan: Plan, best: float, *, delays: bool) -> float:
    """Latency of a plan if it is feasible, else with the delays that make it so; infinite if nothing below best."""
    try:
        found = evaluate(problem, plan)
    except PlanError:
        return math.inf
    if found.cost.latency >= best or is_feasible(found):
        return found.cost.latency if is_feasible(found) else math.inf
    if not delays:
        return math.inf
    last = int(min(best, horizon_of(problem)))
    windows = [range(math.ceil(found.starts[name]), last) for name in problem.layers]
    for moments in product(*windows):
        delayed = Plan(
            **{f: getattr(plan, f) for f in plan.__struct_fields__ if f != "not_before"},
            not_before=dict(zip(problem.layers, map(float, moments), strict=True)),
        )
        found = evaluate(problem, delayed)
        if found.cost.latency < best and is_feasible(found):
            best = found.cost.latency
    return best


EXECUTIONS = all_executions()


# Instances of three layers on two devices of which a plain enumeration takes less than a second.
SIMPLE = [1, 12, 19, 20, 22, 37, 41, 54, 55, 59, 63, 73, 77, 95, 103, 104, 108, 113, 149, 173, 203, 245, 263]
SIMPLE += [279, 297, 354, 369, 408, 481, 498, 805]
LIVE = [278, 421, 457, 781, 890]


def problem_of(seed: int) -> MappingProblem:
    return mapping_problem(random_small(seed, EXECUTIONS[seed % len(EXECUTIONS)]))


def test_all_settings_that_can_be_enumerated_occur():
    settings = {(e.staging, e.overlap, e.contention, e.memory) for e in (EXECUTIONS[s % 72] for s in SIMPLE)}
    assert settings == set(product(("direct", "host"), (True, False), ("none", "links"), ("none", "static")))


@pytest.mark.parametrize("seed", SIMPLE)
def test_every_plan_enumerated(seed: int):
    problem = problem_of(seed)
    assert brute_force(problem).value == enumerated(problem)


@pytest.mark.parametrize("seed", LIVE)
def test_every_plan_and_delay_enumerated(seed: int):
    problem = problem_of(seed)
    assert problem.execution.memory == "live"
    assert brute_force(problem).value == enumerated(problem, delays=True)


def crowded() -> MappingProblem:
    """Two layers of 3 and 4 s, each fixed to a device; the devices share 5 bytes, and each layer needs 3."""
    layers = tuple(Layer(name=f"l{i}", workspace_bytes=3, devices=DeviceRule(fix=f"d{i}")) for i in range(2))
    platform = Platform(
        name="crowded",
        memories=(Memory(name="m", bytes=5),),
        devices=tuple(Device(name=f"d{i}", memory="m") for i in range(2)),
        execution=Execution(memory="live"),
    )
    latency = {"net": {"l0": {"d0": 3, "d1": 3}, "l1": {"d0": 4, "d1": 4}}}
    model = Model(name="net", layers=layers)
    return mapping_problem(
        Instance(name="crowded", platform=platform, models=(model,), costs=Costs(latency=latency))
    )


def test_delays_are_found_where_memory_asks_for_them():
    problem = crowded()
    assert enumerated(problem) == math.inf
    assert enumerated(problem, delays=True) == 7
    best = brute_force(problem)
    assert best.value == 7
    assert best.plan is not None
    assert sorted(best.plan.not_before.values()) in ([3.0], [4.0])


@pytest.mark.parametrize("solver", ["milp", "cpsat"])
def test_exact_solvers_delay_calls_too(solver: str):
    problem = crowded()
    search = Search(problem, Settings(time_limit=60, workers=1), name=solver)
    get_solver(solver).run(problem, search)
    assert search.value == 7
    assert search.proved


def test_too_large_is_an_error():
    with pytest.raises(RuntimeError, match="more than 3 branches"):
        brute_force(problem_of(0), max_states=3)
