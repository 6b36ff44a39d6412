"""Plans that the tests of pictures draw."""

from __future__ import annotations

from dnnplan.costs import encode, evaluate, mapping_problem
from dnnplan.instances.catalogue import load_bundled
from dnnplan.reports.schedule import Bar, Row


def hand_evaluation():
    """All of tiny/hand on the NPU but `right` and `score`: 14 ms."""
    problem = mapping_problem(load_bundled("tiny/hand"))
    names = [name.split("/")[-1] for name in problem.layers]
    place = [0 if name in ("right", "score") else 1 for name in names]
    order = [[names.index(n) for n in row] for row in (("right", "score"), ("stem", "left", "join", "head"))]
    return evaluate(problem, encode(problem, place, order))


def spread_evaluation(name: str):
    """Layers of a bundled instance dealt out to its devices in turn."""
    problem = mapping_problem(load_bundled(name))
    place = [allowed[i % len(allowed)] for i, allowed in enumerate(problem.allowed)]
    order = [[i for i in problem.topological if place[i] == d] for d in range(problem.m)]
    return evaluate(problem, encode(problem, place, order))


def bar(network: int, start: float, end: float) -> Bar:
    """A bar without a name."""
    return Bar(name="", detail="", network=network, start=start, end=end, compute=(start, end), index=0)


def row(*bars: Bar) -> Row:
    """A device with these bars."""
    return Row(name="d", kind="device", bars=list(bars))
