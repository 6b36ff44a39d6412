"""Eight instances of different problems, and what identifies an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dnnplan.instances import Instance, Result
from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.generators import layered, task_sharing
from tests.support.random_orders import random_order_instance
from tests.support.serving_oracles import random_instance
from tests.support.task_oracles import random_selection


@dataclass(frozen=True, kw_only=True)
class Run:
    """A call of `solve` whose answer does not depend on the clock."""

    instance: Instance
    solver: str
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Options of `solve`: work instead of time, and one worker."""
        return {"time_limit": None, "work_limit": 0.05, "workers": 1, "seed": 5, **self.options}


def eight() -> list[Run]:
    """Mapping by four kinds of search, and the other problems."""
    return [
        Run(instance=layered(layers=40, devices=4, seed=1), solver="auto"),
        Run(instance=layered(layers=30, devices=3, seed=2), solver="cpsat"),
        Run(instance=load_bundled("tiny/hand"), solver="milp", options={"work_limit": None}),
        Run(instance=layered(layers=60, devices=4, seed=3), solver="heft"),
        Run(instance=task_sharing(9, 4, seed=4), solver="local_search", options={"problem": "grouping"}),
        Run(instance=random_selection(5), solver="auto", options={"problem": "selection"}),
        Run(instance=random_order_instance(3, "graph"), solver="auto", options={"problem": "ordering"}),
        Run(instance=random_instance(6, samples=6), solver="auto", options={"problem": "serving"}),
    ]


def answer(result: Result) -> tuple[object, ...]:
    """What has to be the same whenever the same is asked; times are not part of it."""
    return (
        result.status,
        result.stop_reason,
        result.objective,
        result.bound,
        result.plan,
        result.measures,
    )
