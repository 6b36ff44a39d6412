"""How often plans stay optimal: against closed forms, against all plans, and what is said where nothing is proven."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.filled import AnalyticSource, analytic_source, fill_costs
from dnnplan.instances import Device, Instance, Layer, Limits, Link, Model, Plan, Platform, Tensor
from dnnplan.instances.errors import InputError, PlanError, UnsupportedError
from dnnplan.instances.platform import Execution
from dnnplan.solvers import solve, stability

FAST, SLOW = 1.2e9, 1e9


def roofline(peak: float, error: float, common: float = 0.0) -> AnalyticSource:
    return analytic_source({"kind": "roofline", "peak": peak}, error, common)


def chain(layers: int, **more) -> Instance:
    """A chain on two devices with a link that takes as long as a tenth of a layer."""
    model = Model(
        name="net",
        layers=tuple(Layer(name=f"l{i}", flops=1e9 * (1 + 0.1 * i)) for i in range(layers)),
        tensors=tuple(
            Tensor(name=f"t{i}", source=f"l{i}", targets=(f"l{i + 1}",), bytes=100) for i in range(layers - 1)
        ),
    )
    platform = Platform(
        devices=(Device(name="a"), Device(name="b")),
        links=(Link(name="bus", source="a", target="b", bandwidth=1000),),
    )
    return Instance(models=(model,), platform=platform, **more)


def placed(problem, devices) -> Plan:
    names = [problem.devices[d] for d in devices]
    order = {
        device: tuple(layer for layer, name in zip(problem.layers, names, strict=True) if name == device)
        for device in problem.devices
    }
    return Plan(placement=dict(zip(problem.layers, names, strict=True)), order=order)


@pytest.mark.parametrize(
    ("own", "common"), [((0.3, 0.2), (0.0, 0.0)), ((0.1, 0.1), (0.3, 0.2)), ((0.0, 0.0), (0.2, 0.0))]
)
def test_share_of_one_layer_on_two_devices_is_that_of_two_lognormals(own, common):
    """a stays best where log(fast / slow) < error of b - error of a: a normal difference."""
    sources = {"a": roofline(FAST, own[0], common[0]), "b": roofline(SLOW, own[1], common[1])}
    filled = fill_costs(chain(1), sources)
    plan = placed(mapping_problem(filled.instance), [0])
    draws = 300
    found = stability(filled, plan, draws=draws, solver="heft", seed=5)
    sd = math.sqrt(sum(x * x for x in (*own, *common)))
    share = NormalDist(0, sd).cdf(math.log(FAST / SLOW))
    assert 0.6 < share < 0.9
    assert found.optimal == pytest.approx(share, abs=3 * math.sqrt(share * (1 - share) / draws))
    assert (found.plans, found.draws, found.broken) == (2, draws, 0)


def test_figures_are_those_of_all_plans_under_the_same_draws():
    """Eight placements of three layers on two devices, judged by `evaluate`, draw by draw."""
    filled = fill_costs(chain(3), {"a": roofline(FAST, 0.3, 0.1), "b": roofline(SLOW, 0.3)})
    problem = mapping_problem(filled.instance)
    draws = 20
    own, best = [], []
    for number in range(draws):
        drawn = mapping_problem(filled.drawn(7, number))
        values = {
            p: evaluate(drawn, placed(problem, p)).cost.latency for p in itertools.product((0, 1), repeat=3)
        }
        own.append(values[0, 0, 0])
        best.append(min(values.values()))
    regret = np.array(own) / np.array(best) - 1
    found = stability(filled, placed(problem, (0, 0, 0)), draws=draws, seed=7)
    assert found.proven == draws
    assert found.values == pytest.approx(own, rel=1e-12)
    assert found.best == pytest.approx(best, rel=1e-12)
    assert found.optimal == found.optimal_at_least == np.mean(regret <= 1e-4)
    assert 0 < found.optimal < 1
    assert found.within_1 == np.mean(regret <= 0.01)
    assert found.within_5 == np.mean(regret <= 0.05)
    assert found.regret_mean == pytest.approx(regret.mean(), rel=1e-9)
    assert found.regret_max == pytest.approx(regret.max(), rel=1e-9)
    assert found.regret_mean <= found.regret_mean_at_most <= found.regret_mean + 1e-4
    assert found.median == pytest.approx(np.median(own))


def test_a_heuristic_gives_a_lower_bound_on_regret_and_proves_nothing():
    filled = fill_costs(chain(3), {"*": roofline(SLOW, 0.3)})
    plan = placed(mapping_problem(filled.instance), (0, 1, 0))
    exact = stability(filled, plan, draws=10)
    found = stability(filled, plan, draws=10, solver="single_device")
    assert found.values == exact.values
    assert found.regret_mean <= exact.regret_mean + 1e-12
    assert (found.optimal_at_least, found.regret_mean_at_most, found.proven) == (0, None, 0)
    assert found.alternative_regret_mean < found.regret_mean
    assert evaluate(filled.instance, found.alternative).cost.latency > 0


def test_the_first_draws_of_many_are_those_of_few_and_a_seed_decides_all():
    filled = fill_costs(chain(2), {"*": roofline(SLOW, 0.3)})
    plan = placed(mapping_problem(filled.instance), (0, 0))
    few, many = (stability(filled, plan, draws=n, solver="heft", seed=3) for n in (5, 9))
    assert many.values[:5] == few.values
    assert stability(filled, plan, draws=9, solver="heft", seed=3) == many
    assert stability(filled, plan, draws=5, solver="heft", seed=4).values != few.values


def test_without_errors_the_best_plan_stays_the_best_and_draws_are_around_medians():
    filled = fill_costs(chain(2), {"*": roofline(SLOW, 0.0)}, 0.9)
    plan = solve(filled.instance).plan
    found = stability(filled, plan, draws=3)
    assert (found.optimal, found.regret_max) == (1.0, 0.0)
    assert set(found.values) == {found.median}


def test_a_limit_that_breaks_under_a_draw_is_counted_and_is_never_optimal():
    filled = fill_costs(
        chain(1, limits=Limits(latency=0.85)), {"a": roofline(FAST, 0.3), "b": roofline(SLOW, 0.0)}
    )
    plan = placed(mapping_problem(filled.instance), [0])
    found = stability(filled, plan, draws=40, solver="heft")
    broken = [value is None for value in found.values]
    assert found.broken == sum(broken)
    assert 0 < found.broken < 40
    assert found.optimal == pytest.approx(1 - found.broken / 40)
    assert found.median is None
    assert found.regret_mean == 0
    drawn = [evaluate(filled.drawn(0, n), plan).cost.latency > 0.85 * (1 + 1e-6) for n in range(40)]
    assert drawn == broken


def test_no_plan_at_all_and_lexicographic_objectives():
    filled = fill_costs(chain(1, limits=Limits(latency=1e-6)), {"*": roofline(FAST, 0.1)})
    plan = placed(mapping_problem(filled.instance), [0])
    found = stability(filled, plan, draws=3)
    assert (found.optimal, found.regret_mean, found.broken) == (0, None, 3)
    assert found.best == (None, None, None)
    found = stability(filled, plan, draws=2, objective="energy>latency", limits={"latency": 10})
    assert (found.objective, found.unit, found.broken) == ("energy", "J", 0)


def test_stop_ends_with_what_is_there_and_progress_is_told():
    filled = fill_costs(chain(1), {"*": roofline(FAST, 0.1)})
    plan = placed(mapping_problem(filled.instance), [0])
    told: list[tuple[int, int]] = []
    found = stability(
        filled,
        plan,
        draws=9,
        solver="heft",
        stop=lambda: len(told) >= 2,
        on_draw=lambda *done: told.append(done),
    )
    assert (found.draws, told) == (2, [(1, 9), (2, 9)])
    none = stability(filled, plan, draws=9, stop=lambda: True)
    assert (none.draws, none.optimal, none.regret_mean, none.values) == (0, None, None, ())


@pytest.mark.parametrize("memory", ["static", "live"])
def test_other_settings_of_execution(memory):
    base = chain(3)
    platform = replace(base.platform, execution=Execution(memory=memory, contention="links", overlap=False))
    filled = fill_costs(replace(base, platform=platform), {"*": roofline(SLOW, 0.3)})
    plan = solve(filled.instance, "heft").plan
    found = stability(filled, plan, draws=3, solver="heft")
    assert (found.draws, found.broken) == (3, 0)


def test_what_does_not_fit_is_refused():
    filled = fill_costs(chain(1), {"*": roofline(FAST, 0.1)})
    plan = placed(mapping_problem(filled.instance), [0])
    for draws in (0, 10**9):
        with pytest.raises(InputError, match="draws"):
            stability(filled, plan, draws=draws)
    with pytest.raises(PlanError, match="unknown layer"):
        stability(filled, replace(plan, placement=plan.placement | {"x": "a"}))
    with pytest.raises(UnsupportedError, match="mappings"):
        stability(filled, plan, objective="variety")
    with pytest.raises(UnsupportedError, match="mappings"):
        stability(filled, replace(plan, problem="ordering"))
