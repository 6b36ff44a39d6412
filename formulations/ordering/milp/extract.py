"""From a solution of the MILP to an order."""

from __future__ import annotations

from dnnplan.formulations.ordering.milp.variables import Variables


def extract(v: Variables, values: dict[str, float]) -> tuple[int, ...]:
    """Tasks by the number of tasks that run before them."""
    n = v.problem.n

    def place(b: int) -> int:
        return sum(values.get(v.ahead[a, b].name, 0.0) > 0.5 for a in range(n) if a != b)

    return tuple(sorted(range(n), key=place))
