"""The oracle itself, against a plain enumeration that knows nothing but `evaluate`."""

import math
from itertools import chain, combinations, permutations, product

import pytest

from dnnplan.costs import MappingProblem, encode, evaluate, mapping_problem
from dnnplan.costs.decisions import all_kept
from dnnplan.costs.objectives import is_feasible
from dnnplan.instances import Plan, PlanError
from dnnplan.instances.generators import all_executions, random_small
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


def tiny(settings: range, *, layers: int, wanted: int, **values: object) -> list[tuple[int, int]]:
    """(seed, setting) of the first instances of so many layers with such settings, on two devices."""
    found = []
    for seed in settings:
        setting = seed % len(EXECUTIONS)
        if all(getattr(EXECUTIONS[setting], name) == value for name, value in values.items()):
            problem = mapping_problem(random_small(seed, EXECUTIONS[setting]))
            if problem.n == layers and problem.m == 2:
                found.append((seed, setting))
    return found[:wanted]


SIMPLE = [
    case
    for staging in ("direct", "host")
    for overlap in (True, False)
    for contention in ("none", "links")
    for memory in ("none", "static")
    for case in tiny(
        range(500), layers=3, wanted=2, staging=staging, overlap=overlap, contention=contention, memory=memory
    )
]
LIVE = [
    case
    for staging in ("direct", "host")
    for case in tiny(
        range(800), layers=3, wanted=8, staging=staging, overlap=False, contention="none", memory="live"
    )
]


@pytest.mark.parametrize(("seed", "setting"), SIMPLE)
def test_every_plan_enumerated(seed: int, setting: int):
    problem = mapping_problem(random_small(seed, EXECUTIONS[setting]))
    assert brute_force(problem).value == enumerated(problem)


@pytest.mark.parametrize(("seed", "setting"), LIVE)
def test_every_plan_and_delay_enumerated(seed: int, setting: int):
    problem = mapping_problem(random_small(seed, EXECUTIONS[setting]))
    best = brute_force(problem)
    assert best.value == enumerated(problem, delays=True)


def test_enough_cases():
    assert len(SIMPLE) >= 24
    assert len(LIVE) >= 8


def test_too_large_is_an_error():
    problem = mapping_problem(random_small(0, EXECUTIONS[0]))
    with pytest.raises(RuntimeError, match="more than 3 branches"):
        brute_force(problem, max_states=3)
