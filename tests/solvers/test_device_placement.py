"""Device placement: loads, splits and calls against all placements, and against published values."""

from __future__ import annotations

import numpy as np
import pytest

import dnnplan
from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.check import check
from dnnplan.costs.objectives import is_feasible
from dnnplan.formulations.mapping.calls import path_bound
from dnnplan.formulations.mapping.load import load_problem
from dnnplan.instances import UnsupportedError
from dnnplan.instances.generators import all_executions, random_small
from dnnplan.solvers import Search, Settings, get_solver, solve
from dnnplan.solvers.placement.calls import HOST, with_calls
from dnnplan.solvers.placement.calls_exact import improve_calls
from dnnplan.solvers.placement.calls_search import call_arrays, decode_labels
from dnnplan.solvers.placement.dp_ideals import ideal_split
from dnnplan.solvers.placement.dp_linear import forward_edges, linear_order, linear_split, placed
from dnnplan.solvers.placement.placement_search import load_arrays
from dnnplan.solvers.search import UNLIMITED_SECONDS
from dnnplan.solvers.start import propose_simple_plans
from tests.support.data import data_folder, needs_data
from tests.support.device_placement import accelerators, best_in_one_call_each, is_contiguous, placements

PLAIN = [e for e in all_executions() if e.weights != "choice"]


@pytest.mark.parametrize("seed", range(40))
def test_loads_are_those_of_the_cost_model(seed: int) -> None:
    """Whatever the setting; halos may make them lower, never higher."""
    problem = mapping_problem(random_small(seed, PLAIN[seed % len(PLAIN)]))
    loads = load_problem(problem)
    draw = np.random.default_rng(seed)
    halos = any(size != problem.size[k] for (k, _), size in problem.read_sizes.items())
    for _ in range(5):
        place = np.array([int(draw.choice(np.flatnonzero(np.isfinite(row)))) for row in loads.work])
        stated = [evaluate(problem, placed(loads, place)).cost.load[d] for d in problem.devices]
        if halos:
            assert (loads.loads(place) <= np.array(stated) * (1 + 1e-12)).all()
        else:
            assert loads.loads(place) == pytest.approx(stated)


@pytest.mark.parametrize("seed", range(12))
def test_max_load_is_proven_as_trying_all_placements_does(seed: int) -> None:
    instance = accelerators(seed, train=seed % 3 == 0)
    problem = mapping_problem(instance)
    loads = load_problem(problem)
    best = min(
        loads.loads(np.array(place)).max() for place in placements(loads) if loads.fits(np.array(place))
    )
    result = solve(instance, "auto", time_limit=30, workers=1 + seed % 2)
    assert result.status == "optimal"
    assert result.valid
    assert result.objective.value == pytest.approx(best, rel=1e-4)
    assert result.bound <= best * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_the_milp_agrees_under_other_settings(seed: int) -> None:
    """Direct staging, overlap, streamed weights: bound and value meet at the best of all placements, or below."""
    execution = PLAIN[(7 * seed) % len(PLAIN)]
    problem = mapping_problem(random_small(seed, execution))
    loads = load_problem(problem)
    if loads.size > 7:
        return
    allowed = [
        place
        for place in placements(loads)
        if all(np.isfinite(loads.work[g, d]) for g, d in enumerate(place)) and loads.fits(np.array(place))
    ]
    best = min((float(loads.loads(np.array(place)).max()) for place in allowed), default=np.inf)
    result = solve(problem.instance, "load_milp", objective="max_load", time_limit=20, workers=1)
    if result.plan is not None and np.isfinite(best):
        assert result.valid
        assert result.bound <= best * (1 + 1e-6)
        assert result.bound >= best * (1 - 1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_annealing_adds_up_and_keeps_memory(seed: int) -> None:
    from dnnplan.solvers.kernels.placement import anneal

    loads = load_problem(mapping_problem(accelerators(seed, layers=12, count=3)))
    start = np.zeros(loads.size, dtype=np.int64)
    best, value, _ = anneal(load_arrays(loads), start, (0.1, 1e-3), 3, 3000, seed)
    assert loads.fits(best)
    assert value == pytest.approx(loads.loads(best).max())
    assert value < loads.loads(start).max()


@pytest.mark.parametrize("seed", range(12))
def test_ideals_give_the_best_contiguous_split_and_one_order_one_of_them(seed: int) -> None:
    instance = accelerators(seed, train=seed % 2 == 0)
    loads = load_problem(mapping_problem(instance))
    edges = forward_edges(loads)
    values = [
        loads.loads(np.array(place)).max()
        for place in placements(loads)
        if is_contiguous(edges, place, loads.m) and loads.fits(np.array(place))
    ]
    found = ideal_split(loads)
    linear = linear_split(loads, linear_order(loads))
    assert found is not None
    assert linear is not None
    assert is_contiguous(edges, found.tolist(), loads.m)
    assert loads.loads(found).max() == pytest.approx(min(values))
    # Where colocation makes a cycle no linear order is contiguous.
    if is_contiguous(edges, linear.tolist(), loads.m):
        assert loads.loads(linear).max() >= min(values) - 1e-9
    else:
        assert instance.models[0].colocate


@pytest.mark.parametrize("seed", range(12))
def test_one_call_each_is_found_and_bounded(seed: int) -> None:
    instance = accelerators(seed, layers=5, calls=1)
    problem = mapping_problem(instance)
    best = best_in_one_call_each(problem, load_problem(problem))
    assert path_bound(problem).value <= best * (1 + 1e-9)
    result = solve(instance, "call_search", work_limit=0.5, time_limit=60, workers=1)
    assert result.valid
    assert result.objective.value == pytest.approx(best)


@pytest.mark.parametrize("seed", range(16))
def test_the_exact_model_of_calls_agrees_with_trying_everything(seed: int) -> None:
    instance = accelerators(seed, layers=6, calls=1)
    problem = mapping_problem(instance)
    result = solve(instance, "calls_cpsat", time_limit=60, workers=1)
    assert result.status == "optimal"
    assert result.objective.value == pytest.approx(best_in_one_call_each(problem, load_problem(problem)))


@pytest.mark.parametrize("seed", range(4))
def test_two_calls_each_are_a_restriction_without_a_bound(seed: int) -> None:
    """Copies are not kept between the calls of a device there, so only plans count."""
    one = solve(accelerators(seed, layers=6, calls=1), "calls_cpsat", time_limit=60, workers=1)
    two = solve(accelerators(seed, layers=6, calls=2), "calls_cpsat", work_limit=0.2, workers=1)
    assert two.valid
    assert two.bound_name != "CP-SAT, calls"
    assert two.objective.value <= one.objective.value * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_neighbourhoods_of_calls_only_improve(seed: int) -> None:
    instance = accelerators(seed, layers=10, count=3, calls=1)
    problem = mapping_problem(instance)
    search = Search(problem, Settings(work_limit=0.2, workers=1))
    propose_simple_plans(problem, search)
    before = search.value
    improve_calls(problem, search)
    assert search.value is not None
    assert before is not None
    assert search.value <= before
    assert check(instance, search.best.plan) == ()


def test_a_chain_in_calls_is_proven() -> None:
    """Without branches the path is all there is, and its bound is the optimum."""
    instance = accelerators(3, layers=6, calls=1)
    model = instance.models[0]
    tensors = tuple(
        dnnplan.instances.Tensor(name=f"t{i}", source=f"l{i}", targets=(f"l{i + 1}",), bytes=2)
        for i in range(5)
    )
    chain = dnnplan.Instance(
        name="chain",
        objective="latency",
        limits=instance.limits,
        platform=instance.platform,
        costs=instance.costs,
        models=(dnnplan.instances.Model(name="m", layers=model.layers, tensors=tensors),),
    )
    result = solve(chain, "auto", time_limit=60, workers=1)
    assert result.status == "optimal"
    problem = mapping_problem(chain)
    assert result.objective.value == pytest.approx(best_in_one_call_each(problem, load_problem(problem)))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("calls", [1, 2])
def test_compiled_latency_is_that_of_the_cost_model(seed: int, calls: int) -> None:
    """With two calls a device the kernel does not see what is kept between them: never below the true latency."""
    from dnnplan.solvers.kernels.calls import anneal_calls

    instance = accelerators(seed, layers=9, count=3, calls=calls)
    problem = mapping_problem(instance)
    loads = load_problem(problem)
    start = np.full(problem.n, HOST, dtype=np.int64)
    best, latency, _ = anneal_calls(call_arrays(loads, calls), start, (0.1, 1e-3), 2000, seed)
    decisions = decode_labels(problem, best)
    assert decisions is not None
    found = evaluate(problem, decisions)
    if calls == 1:
        assert found.cost.latency == pytest.approx(latency)
    else:
        assert found.cost.latency <= latency * (1 + 1e-9)
    assert max(len(row) for d, row in enumerate(decisions.order) if d != problem.host_device) <= calls
    assert check(instance, found.plan, cost=found.cost) == ()


def test_the_limit_counts_calls_but_not_those_of_unlimited_devices() -> None:
    instance = accelerators(1, layers=5, calls=1)
    problem = mapping_problem(instance)
    on_host = evaluate(problem, with_calls(problem, [0] * 5, [HOST] * 5))
    assert check(instance, on_host.plan) == ()
    singles = evaluate(problem, with_calls(problem, [1, 1, 0, 0, 0], [HOST] * 5))
    broken = [v for v in check(instance, singles.plan) if v.rule == "limit"]
    assert [v.where for v in broken] == ["a0"]
    search = Search(problem, Settings(), name="test")
    assert not search.accept(singles)
    assert search.accept(on_host)


def test_models_of_single_layers_refuse_a_limit_on_calls() -> None:
    with pytest.raises(UnsupportedError, match="calls of several layers"):
        solve(accelerators(1, layers=5, calls=1), "cpsat", time_limit=5)


PUBLISHED = {
    "LayerGraphs/bert24_inference": (17.7899, 17.7899),
    "LayerGraphs/bert24_training": (41.7458, 41.7458),
    "LayerGraphs/gnmt_inference": (33.0326, None),
    "LayerGraphs/inceptionv3_inference": (51.5519, None),
    "LayerGraphs/resnet50_inference": (33.7747, 33.7747),
    "LayerGraphs/resnet50_training": (78.6498, 78.6318),
    "OperatorGraphs/bert_l-12_inference": (147.478, None),
    "OperatorGraphs/bert_l-3_inference": (27.9186, None),
    "OperatorGraphs/bert_l-3_training": (65.3031, None),
    "OperatorGraphs/resnet50_inference": (124.349, 124.349),
}
"""Max-loads of the authors' own runs on one linear order (DPL), and over all ideals where that is quick."""


@needs_data("dnn_partitioning")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_splits_are_reproduced(name: str) -> None:
    path = data_folder() / "dnn_partitioning" / "throughput-inputs" / f"{name}.json"
    problem = mapping_problem(dnnplan.load(str(path)))
    for solver, value in zip(("dp_linear", "dp_ideals"), PUBLISHED[name], strict=True):
        if value is not None:
            search = Search(problem, Settings(time_limit=None), name=solver)
            get_solver(solver).run(problem, search)
            assert search.value == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_fits_the_model_that_orders_identical_devices(seed: int) -> None:
    """Its devices take the names that the order wants, and the model then has it, at its latency, and no better."""
    from ortools.sat.python import cp_model

    from dnnplan.formulations.mapping.calls.cpsat import build
    from dnnplan.formulations.mapping.calls.cpsat.extract import labels_of

    instance = accelerators(seed, layers=8, count=3, calls=1)
    problem = mapping_problem(instance)
    label = np.random.default_rng(seed).permutation(np.array([0, 1, 2] + [HOST] * (problem.n - 3)))
    decisions = decode_labels(problem, label)
    if decisions is None:
        pytest.skip("calls that wait for each other")
    plan = evaluate(problem, decisions)
    if not is_feasible(plan):
        pytest.skip("more than memories hold")
    v = build(problem, plan.cost.latency / 1e6, horizon=plan.cost.latency, proofs=True)
    assert v.identical
    for row, chosen in zip(v.z, labels_of(v, plan), strict=True):
        for c, here in row.items():
            v.model.add(here == int(c == chosen))
    solver = cp_model.CpSolver()
    assert solver.solve(v.model) == cp_model.OPTIMAL
    assert solver.objective_value * v.tick == pytest.approx(plan.cost.latency, rel=1e-4)


def test_searches_without_proof_end_where_nothing_is_limited() -> None:
    problem = mapping_problem(accelerators(0, layers=4, calls=1))
    assert Search(problem, Settings(time_limit=None)).share(0.5) == UNLIMITED_SECONDS
    assert Search(problem, Settings(time_limit=None, work_limit=1.0)).share(0.5) == float("inf")
    assert Search(problem, Settings(time_limit=10.0)).share(0.5) <= 5.0
