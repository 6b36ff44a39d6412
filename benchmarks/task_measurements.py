"""Measurements of grouping and ordering that are no single run of a solver."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

import dnnplan
from benchmarks.case import Measured
from benchmarks.data import data_folder
from benchmarks.suites.antler import FILE as ANTLER
from benchmarks.suites.antler import names as antler_names
from benchmarks.suites.fronts import FILE as TENSORS
from dnnplan.costs.joint import joint_problem
from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.sharing.grouping import GroupingProblem, grouping_problem
from dnnplan.costs.sharing.selection import selection_problem
from dnnplan.instances import Instance, Ordering, Precedence, Task
from dnnplan.instances.files import read_instance
from dnnplan.instances.result import GAP_TOLERANCE
from dnnplan.solvers import get_solver
from dnnplan.solvers.grouping.front import pareto_front_of
from dnnplan.solvers.search import Settings, TaskSearch
from tests.support import task_oracles
from tests.support.order_oracles import best_by_trying
from tests.support.random_orders import KINDS, random_order_instance

FRONT_SECONDS, DAY_SECONDS, ANTLER_SECONDS = 10.0, 5e-3, 0.1
SOLVE_SECONDS = 60.0
MOST_EQUAL = 1e-9
AGREE = 1e-6
"""Relative gap at which exact solvers stop in these runs, and by which their values may differ from the best."""
POINTS = "0,1"
"""Branch points of the six-layer networks at which the published task graphs have their two levels."""


def measure(name: str) -> Measured:
    """Run one of the measurements; what follows a colon says on what."""
    kind, _, rest = name.partition(":")
    return MEASUREMENTS[kind](rest)


def front(name: str) -> Measured:
    """Seconds for a whole front with compiled code; reached if all points are proven within the target."""
    problem = grouping_problem(read_instance(data_folder() / TENSORS, select=name))
    pareto_front_of(problem, time_limit=60.0)
    began = time.perf_counter()
    points = pareto_front_of(problem, time_limit=60.0)
    seconds = time.perf_counter() - began
    proven = sum(point.proven for point in points)
    done = proven == len(points) and seconds <= FRONT_SECONDS
    known = _enumerated(problem, points) if problem.n <= 5 else "too many to enumerate plainly"
    note = f"{proven} of {len(points)} points proven; {known}"
    return Measured(seconds, "s", FRONT_SECONDS, done and "differs" not in known, note)


def _enumerated(problem: GroupingProblem, points: Sequence[object]) -> str:
    """Whether the front is that of plain enumeration."""
    best: dict[float, float] = {}
    for groups in task_oracles.task_graphs(tuple(range(problem.n)), problem.levels):
        measures = problem.measures(groups)
        best[measures["size"]] = min(best.get(measures["size"], np.inf), measures["variety"])
    front_of, least = [], np.inf
    for size in sorted(best):
        if best[size] < least - 1e-12:
            least = best[size]
            front_of.append((size, least))
    mine = [(p.measures["size"], p.measures["variety"]) for p in points]  # type: ignore[attr-defined]
    same = len(mine) == len(front_of) and bool(np.allclose(mine, front_of, rtol=1e-9, atol=1e-12))
    return "equal to plain enumeration" if same else "differs from plain enumeration"


def ten_tasks(_: str) -> Measured:
    """Seconds from call to answer for ten tasks with precedences; the median of warm calls."""
    rng = np.random.default_rng(1)
    names = [f"t{k}" for k in range(10)]
    pairs = [(a, b) for a in range(10) for b in range(a + 1, 10) if rng.random() < 0.2]
    switch = tuple(tuple(float(x) for x in row) for row in rng.random((10, 10)).round(3))
    instance = Instance(
        objective="switching",
        tasks=tuple(Task(name=name, model="net") for name in names),
        precedences=tuple(Precedence(before=names[a], after=names[b]) for a, b in pairs),
        ordering=Ordering(switch=switch),
    )
    samples = []
    for _round in range(40):
        began = time.perf_counter()
        result = dnnplan.solve(instance, problem="ordering")
        samples.append(time.perf_counter() - began)
    seconds = statistics.median(samples[5:])
    done = seconds <= DAY_SECONDS and result.status == "optimal"
    return Measured(
        seconds,
        "s",
        DAY_SECONDS,
        done,
        f"{len(pairs)} precedences, {result.status}, worst {max(samples[5:]):.4f} s",
    )


def antler_ratios(_: str) -> Measured:
    """Published baselines over our optimum of the published task graphs: the authors' ratios, regenerated."""
    ratios: dict[str, list[float]] = {}
    for name in antler_names():
        instance = read_instance(data_folder() / ANTLER, select=name)
        extension = instance.extensions["antler"]
        factor = extension.get("published_factor", 1.0) if name.startswith("HHAR") else 1.0
        own = dnnplan.solve(instance, time_limit=SOLVE_SECONDS).objective.value or np.nan
        unit = "s" if name.endswith("time") else "J"
        for system, total in extension["published"].items():
            ratios.setdefault(f"{system} {unit}", []).append(total / factor / own)
    text = "; ".join(
        f"{k}: {min(v):.2f} to {max(v):.2f} times" for k, v in sorted(ratios.items()) if "Antler" not in k
    )
    low = min(ratio for system, found in ratios.items() if "Antler" not in system for ratio in found)
    return Measured(low, "times", 1.0, low > 1.0, text)


def antler_seconds(_: str) -> Measured:
    """The slowest task set from call to answer, once the library is loaded; the first call of all is in the note."""
    spent, first = {}, 0.0
    for name in antler_names():
        instance = read_instance(data_folder() / ANTLER, select=name)
        samples = []
        for _round in range(6):
            began = time.perf_counter()
            result = dnnplan.solve(instance, time_limit=SOLVE_SECONDS)
            samples.append(time.perf_counter() - began)
        first = first or samples[0]
        spent[name] = statistics.median(samples[1:]) if result.status == "optimal" else np.inf
    slowest, proven = max(spent, key=spent.__getitem__), sum(np.isfinite(list(spent.values())))
    note = f"{proven} of {len(spent)} proven; slowest {slowest}; the first call in a process {first:.2f} s"
    return Measured(spent[slowest], "s", ANTLER_SECONDS, spent[slowest] <= ANTLER_SECONDS, note)


def antler_equal_variety(_: str) -> Measured:
    """Least ordered cost of a task graph of at most the published variety, by each tensor of its data set."""
    tensors = json.loads((data_folder() / TENSORS).read_text(encoding="utf-8"))
    gains, worse, proven = [], 0, 0
    for name in antler_names():
        published = read_instance(data_folder() / ANTLER, select=name)
        for tensor in (t for t in tensors if t.startswith(f"RSM/{name.split('-')[0].lower()}_net1")):
            given = read_instance(data_folder() / TENSORS, select=tensor, points=POINTS)
            assert published.sharing is not None
            assert given.sharing is not None
            sharing = replace(published.sharing, affinity=given.sharing.affinity)
            instance = replace(published, sharing=sharing, objective="switching")
            problem = grouping_problem(replace(instance, objective="variety"))
            index = {task: t for t, task in enumerate(problem.tasks)}
            groups = tuple(
                tuple(tuple(index[t] for t in group) for group in level) for level in sharing.groups
            )
            limit = problem.measures(groups)["variety"]
            theirs = dnnplan.solve(instance, problem="ordering").objective.value
            ours = dnnplan.solve(
                instance, problem="joint", limits={"variety": limit}, time_limit=SOLVE_SECONDS
            )
            assert theirs is not None
            value = ours.objective.value if ours.objective.value is not None else np.inf
            worse += value > theirs * (1 + MOST_EQUAL)
            proven += ours.status == "optimal"
            gains.append(1.0 - value / theirs)
    spread = f"less by {100 * min(gains):.1f} to {100 * max(gains):.1f} %"
    note = f"{len(gains)} task sets x tensors, {proven} proven; worse {worse}; {spread}"
    return Measured(100 * statistics.fmean(gains), "% less on average", 0.0, worse == 0, note)


def agreement(rest: str) -> Measured:
    """How many small random instances of a problem all exact solvers and trying everything agree on."""
    problem, _, count = rest.rpartition("-")
    checks: dict[str, Callable[[int], bool]] = {
        "ordering": _orders_agree,
        "grouping": lambda seed: _agree(seed, "grouping", ("cpsat", "milp", "enumeration", "auto")),
        "selection": lambda seed: _agree(
            seed, "selection", ("cpsat", "milp", "enumeration", "subsets", "auto")
        ),
        "joint": lambda seed: _agree(seed, "joint", ("cpsat", "milp")),
    }
    wrong = [seed for seed in range(int(count)) if not checks[problem](seed)]
    agreeing = int(count) - len(wrong)
    return Measured(
        agreeing, "instances", float(500), not wrong and agreeing >= 500, f"of {count}; not: {wrong[:5]}"
    )


def _orders_agree(seed: int) -> bool:
    kind = KINDS[seed % len(KINDS)]
    solvers = {
        "tools": ("cpsat", "milp", "auto"),
        "blocks": ("auto",),
        "conditions": ("cpsat", "milp", "conditional"),
        "closed-conditions": ("cpsat", "milp", "conditional"),
    }.get(kind, ("cpsat", "milp", "dynamic", "relax_and_search"))
    instance = random_order_instance(10_000 + seed, kind)
    best = best_by_trying(instance)
    problem = ordering_problem(instance)
    if problem.is_plain:
        # Some drawn conditions are none.
        solvers = ("cpsat", "milp", "dynamic", "relax_and_search")
    return all(_finds(problem, "ordering", name, best) for name in solvers)


def _finds(problem: Any, kind: str, name: str, best: float) -> bool:
    """Whether a solver proves, as far as every answer has to be, that the best value is the best; infinite: none is."""
    search = TaskSearch(problem, Settings(time_limit=SOLVE_SECONDS, workers=1, gap=AGREE), name=name)
    get_solver(name, kind).run(problem, search)
    if np.isinf(best):
        return search.best is None and search.infeasible is not None
    if search.value is None or search.gap is None or search.gap > GAP_TOLERANCE:
        return False
    return abs(search.value - best) <= AGREE * max(1.0, abs(best))


def _agree(seed: int, kind: str, solvers: Sequence[str]) -> bool:
    views: dict[str, tuple[Any, Any, Any]] = {
        "grouping": (grouping_problem, task_oracles.random_grouping, task_oracles.best_task_graph),
        "selection": (selection_problem, task_oracles.random_selection, task_oracles.best_choice),
        "joint": (joint_problem, task_oracles.random_joint, task_oracles.best_graph_and_order),
    }
    view, draw, oracle = views[kind]
    problem = view(draw(10_000 + seed))
    best = oracle(problem)
    return all(_finds(problem, kind, name, np.inf if best is None else best.value) for name in solvers)


MEASUREMENTS: dict[str, Callable[[str], Measured]] = {
    "front": front,
    "ten-tasks": ten_tasks,
    "antler-ratios": antler_ratios,
    "antler-seconds": antler_seconds,
    "antler-equal-variety": antler_equal_variety,
    "agreement": agreement,
}
