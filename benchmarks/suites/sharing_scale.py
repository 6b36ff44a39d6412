"""Grouping at scale: generated task sets of 20 tasks x 6 and 50 x 8 branch points."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.instances import Instance
from dnnplan.instances.generators import sharing_by_name

SUMMARY = "generated task sets of 20 x 6 and 50 x 8: least variety in the middle of the sizes, with its gap"

SEEDS = range(1, 6)
SECONDS = {"20x6": 60.0, "50x8": 10.0}


def cases() -> Iterator[Case]:
    """Auto on every task set, under a size limit half way between everything shared and nothing."""
    for shape, seconds in SECONDS.items():
        for seed in SEEDS:
            name = f"sharing/{shape}-s{seed}"
            yield Case(
                instance=name,
                build=partial(task_set, name),
                solver="auto",
                time_limit=seconds,
                objective="variety",
                limits={"size": middle_size(task_set(name))},
            )


def task_set(name: str) -> Instance:
    """The generated task set of a name."""
    instance = sharing_by_name(name)
    assert instance is not None
    return instance


def middle_size(instance: Instance) -> float:
    """Half way between the sizes of everything and nothing shared, bytes."""
    problem = grouping_problem(instance)
    whole, apart = (tuple(range(problem.n)),), tuple((t,) for t in range(problem.n))
    sizes = [problem.measures((level,) * problem.levels)["size"] for level in (whole, apart)]
    return float(round(sum(sizes) / 2))
