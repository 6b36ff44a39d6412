"""Two tasks of three blocks on two devices, small enough to work out every plan by hand."""

from __future__ import annotations

from dnnplan.costs.whole import WholeProblem, whole_problem
from dnnplan.instances import (
    Device,
    Instance,
    Layer,
    Limits,
    Link,
    Memory,
    Model,
    Platform,
    Sharing,
    Task,
    Tensor,
)
from dnnplan.instances.platform import Execution, Power
from dnnplan.instances.sections import Costs

TOGETHER, APART = (((0, 1),),), (((0,), (1,)),)
D, E = 0, 1


def two(
    *,
    objective: str = "latency",
    limits: Limits | None = None,
    execution: Execution | None = None,
    size: float = 1,
    memory: float | None = None,
    slots: int = 1,
    host: bool = False,
    own: dict[str, float] | None = None,
    buses: int = 1,
    release: float = 0,
) -> WholeProblem:
    """Two tasks with a stem a, a block b and a head c of 4, 2 and 3 s on both devices; tensors move at 1 byte/s.

    `own`: seconds of layers of the second task. Weights of each layer are 2 bytes.
    """
    times = {"a": 4.0, "b": 2.0, "c": 3.0}
    tables = [times, {**times, **(own or {})}]
    models = tuple(
        Model(
            name=f"m{t}",
            layers=tuple(Layer(name=name, weight_bytes=2) for name in "abc"),
            tensors=(
                Tensor(name="x", targets=("a",), bytes=1),
                Tensor(name="ab", source="a", targets=("b",), bytes=size),
                Tensor(name="bc", source="b", targets=("c",), bytes=size),
                Tensor(name="y", source="c", bytes=1, output=True),
            ),
        )
        for t in range(2)
    )
    links = [Link(name="bus 0", source="d", target="e", bandwidth=1, energy_per_byte=2)]
    if host:
        links += [
            Link(name=f"bus {k % buses}", source="host", target=device, bandwidth=1, energy_per_byte=2)
            for k, device in enumerate("de")
        ]
    platform = Platform(
        memories=(
            *((Memory(name="host"),) if host else ()),
            *(Memory(name=f"memory {d}", bytes=memory) for d in "de"),
        ),
        devices=tuple(
            Device(name=d, memory=f"memory {d}", slots=slots, power=Power(active=p))
            for d, p in (("d", 1), ("e", 3))
        ),
        links=tuple(links),
        host="host" if host else None,
        execution=execution or Execution(memory="none" if memory is None else "static"),
    )
    instance = Instance(
        objective=objective,
        platform=platform,
        models=models,
        tasks=tuple(
            Task(name=f"t{t}", model=f"m{t}", blocks=(("a",), ("b",), ("c",)), release=release)
            for t in range(2)
        ),
        sharing=Sharing(branch_points=("p",), affinity=(((1, 0.5), (0.5, 1)),)),
        limits=limits or Limits(),
        costs=Costs(
            latency={
                f"m{t}": {k: {"d": s, "e": s} for k, s in table.items()} for t, table in enumerate(tables)
            }
        ),
    )
    return whole_problem(instance)
