"""The objective and the limits of whole plans, in linear rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pulp

from dnnplan.costs.judged import Terms as Stage
from dnnplan.costs.objectives import UNITS
from dnnplan.formulations.grouping.measures import limits_of
from dnnplan.formulations.grouping.milp.objective import Sum, minimise
from dnnplan.formulations.grouping.milp.objective import weighted as weighted_graph
from dnnplan.formulations.linear_sums import Terms, keep_at_most, merged
from dnnplan.formulations.mapping.milp.windows import LIMIT_TOLERANCE
from dnnplan.formulations.whole.milp.variables import Linear, Variables

Price: TypeAlias = Callable[[int, int], float]
"""What a byte from one end to another adds."""


def set_objective(v: Variables, cutoff: float | None) -> None:
    """Minimise the first stage, which is to be at most `cutoff`; keep the limits, and the values of earlier stages.

    Unit, constant and largest value are those of `v.graph`, which has the model.
    """
    for stage, limit in limits_of(v.problem):
        if stage[0][0] == "deadline":
            latest = max((job.release for job in v.view.jobs), default=0.0) + limit
            v.add(v.makespan <= v.scaled(latest) * (1 + LIMIT_TOLERANCE))
            continue
        terms, constant = weighted(v, stage)
        keep_at_most(v.model, terms, limit - constant)
    minimise(v.graph, weighted(v, v.problem.stages[0]), cutoff)


def weighted(v: Variables, stage: Stage) -> Sum:
    """A weighted sum of measures of task graph and mapping: its terms, and a constant."""
    graph = tuple((name, weight) for name, weight in stage if name not in UNITS)
    terms, constant = weighted_graph(v.graph, graph) if graph else ([], 0.0)
    for name, weight in stage:
        if name in UNITS:
            terms = [*terms, *((weight * factor, item) for factor, item in measure_of(v, name))]
    return merged(terms), constant


def measure_of(v: Variables, name: str) -> Terms:
    """A measure of the mapping as (coefficient, variable >= 0) pairs; made once."""
    if name not in v.terms:
        known: dict[str, Callable[[], Terms]] = {
            "latency": lambda: [(v.second, v.makespan)],
            "energy": lambda: energy(v),
            "traffic": lambda: moved(v, lambda a, b: 1.0),
        }
        v.terms[name] = known[name]()
    found: Terms = v.terms[name]
    return found


def energy(v: Variables) -> Terms:
    """Sum e[c,d] run[c,d] + energy per byte of what moves + idle power x idle(d).

    idle(d) >= C - sum_c t[c,d] run[c,d].
    """
    view = v.view
    terms: Terms = [(float(view.energy[c, d]), run) for c, row in enumerate(v.run) for d, run in row.items()]
    for d in range(view.m):
        power = float(view.idle_power[d])
        if power > 0:
            idle = v.time(f"idle_{d}")
            busy = [v.scaled(view.duration[c, d]) * row[d] for c, row in enumerate(v.run) if d in row]
            v.add(idle >= v.makespan - pulp.lpSum(busy))
            terms.append((power * v.second, idle))
    per_byte = view.routes.energy_per_byte
    if per_byte.any():
        terms += moved(v, lambda a, b: float(per_byte[a, b]))
    return [(factor, item) for factor, item in terms if factor > 0]


def moved(v: Variables, price: Price) -> Terms:
    """Bytes of every tensor that moves times price(from, to), and of weights that are streamed.

    taken[k,a,b] >= 1 if a reader needs it (`_needs`): once for each device that reads, by the copy that is there.
    """
    view = v.view
    taken: dict[tuple[int, int, int], pulp.LpVariable] = {}
    for k, a, b, use in _needs(v):
        if a == b or view.is_free(k, a, b) or float(view.size[k]) * price(a, b) <= 0:
            continue
        if (k, a, b) not in taken:
            taken[k, a, b] = v.share(f"taken_{k}_{a}_{b}")
        v.add(taken[k, a, b] >= use)
    terms = [(float(view.size[k]) * price(a, b), item) for (k, a, b), item in taken.items()]
    return [*terms, *_streamed(v, price)]


def _needs(v: Variables) -> Iterator[tuple[int, int, int, Linear]]:
    """(k, a, b, 1 if tensor k has to move from a to b), several for each.

    both[c,j][a,b] + stands(e,c) - 1 for readers j of a tensor of c, k being that of e which stands for it; own(c) for c
    itself. Inputs: x[j,b]. Outputs: run[c,a].
    """
    view = v.view
    for k, readers in enumerate(view.readers):
        i = int(view.source[k])
        if i < 0:
            for j in readers if view.host else ():
                yield from ((k, view.m, b, x) for b, x in v.x[j].items())
            continue
        for e, sends in [*v.stands_for(i), (i, v.own(i))]:
            twin = view.outputs[e][view.outputs[i].index(k)]
            for j in readers:
                yield from ((twin, a, b, way + sends - 1) for (a, b), way in v.both[i, j].items())
        if view.output[k] and view.host:
            yield from ((k, a, view.m, run) for a, run in v.run[i].items())


def _streamed(v: Variables, price: Price) -> Terms:
    """Bytes of the weights that calls load times price(host, to)."""
    view = v.view
    if not view.host or view.execution.weights != "streamed":
        return []
    return [
        (float(view.weight_bytes[c]) * price(view.m, d), run)
        for c, row in enumerate(v.run)
        for d, run in row.items()
        if float(view.weight_bytes[c]) * price(view.m, d) > 0
    ]
